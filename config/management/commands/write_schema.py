"""Draw ``config/stack/schema.sql`` anew: ``make schema``, after every new migration."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config.stack import fresh_schema


class Command(BaseCommand):
    help = "Apply every migration to the database, which must be empty, and write the picture that new databases start from."

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.introspection.table_names():
            raise CommandError("This database is not empty: run make schema, which brings one of its own.")
        call_command("migrate", one_by_one=True, verbosity=0)
        fresh_schema.draw()
        self.stdout.write(f"{fresh_schema.SCHEMA.name} is written")
