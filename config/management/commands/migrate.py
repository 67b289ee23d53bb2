"""Django's ``migrate``, which fills an empty database from a picture of the schema first: see config/stack/fresh_schema.py."""

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from config.stack import fresh_schema

NOT_ALL = ("app_label", "plan", "check_unapplied", "fake", "fake_initial", "prune")


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--one-by-one",
            action="store_true",
            help="Apply every migration, to an empty database too, instead of loading the picture.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_all = options["database"] == DEFAULT_DB_ALIAS and not any(options.get(name) for name in NOT_ALL)
        if is_all and not options.pop("one_by_one", False) and fresh_schema.load_if_empty() and options["verbosity"] > 0:
            self.stdout.write("The empty database was filled from config/stack/schema.sql.")
        super().handle(*args, **options)
