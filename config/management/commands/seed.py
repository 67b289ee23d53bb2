"""Fill in the demo: ``manage.py seed``. Safe to run again; never for an installation that real people use."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import env
from config.stack import places
from config.stack.demo_content import Addresses, ensure_demo


class Command(BaseCommand):
    help = "Demo people of each role, a demo upstream with models and prices, and a user with money and a key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--home", type=Path, help="folder of the kept passwords (.portal)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo: set DEMO=1 if it may get demo people with known passwords.")
        addresses = Addresses(
            upstream=env.text("DEMO_UPSTREAM_URL") or None, old_gateway=env.text("DEMO_OLD_GATEWAY_URL") or None
        )
        ensure_demo(home=options["home"] or places.home(), addresses=addresses)
        if options["verbosity"] > 0:
            self.stdout.write("the demo is filled in")
