"""``manage.py import_source SOURCE``: read an old gateway's database and let it land, from the shell."""

import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.foundation.errors import PortalError
from migrations_center.services import import_engine as engine
from migrations_center.services.apply.context import REFUSE, RENAME, ImportOptions
from migrations_center.services.imports import import_now
from migrations_center.sources.address import SourceAddress, parse_source
from migrations_center.sources.errors import SourceAddressWrong

# Set for the second start of a command line that held a password.
_HIDDEN = {"source": "PORTAL_IMPORT_SOURCE", "logs": "PORTAL_IMPORT_LOGS"}


class Command(BaseCommand):
    help = "Import people, keys, models, prices, balances and log rows of a One API or New API database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", nargs="?", default="", metavar="SOURCE", help="a SQLite file or a database address")
        parser.add_argument("--logs", default="", metavar="LOG_SOURCE", help="the separate log database, if there is one")
        parser.add_argument("--source-env", default="", metavar="NAME", help="read SOURCE from this environment variable")
        parser.add_argument("--logs-env", default="", metavar="NAME", help="read LOG_SOURCE from this environment variable")
        parser.add_argument("--dry-run", action="store_true", help="show what would land and write nothing")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
        parser.add_argument("--upstream", default="", metavar="NAME", help="let this upstream serve every imported model")
        parser.add_argument("--old-entry", default="", metavar="URL", help="address of the old gateway; people stay there")
        parser.add_argument("--include-preset-grant", action="store_true", help="land the product's gift to its first root")
        parser.add_argument("--with-upstream-secrets", action="store_true", help="take the credentials of channels along")
        parser.add_argument("--grant-staff", action="store_true", help="make administrators of the old gateway staff here")
        parser.add_argument("--refuse-taken-names", action="store_true", help="refuse people whose user name is taken here")
        parser.add_argument("--product", default="", choices=["", "one_api", "new_api"], help="for a database of both products")

    def run_from_argv(self, argv: list[str]) -> None:
        """A password on the command line would stay in the process list: start again with it in the environment."""
        hidden, environment = hide_passwords(argv)
        if environment:
            os.execve(sys.executable, [sys.executable, *hidden], {**os.environ, **environment})  # noqa: S606
        super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = self._import(options)
        except PortalError as error:
            raise CommandError(f"{error.message} [{error.code}]") from None
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self._print(report, options["dry_run"])

    def _import(self, options: dict[str, Any]) -> dict[str, Any]:
        place = engine.Place(
            _address(options["source"], options["source_env"]) or _missing(),
            _address(options["logs"], options["logs_env"]),
        )
        chosen = ImportOptions(
            include_preset_grant=options["include_preset_grant"],
            with_upstream_secrets=options["with_upstream_secrets"],
            upstream=options["upstream"],
            old_entry=options["old_entry"],
            grant_staff=options["grant_staff"],
            name_clash=REFUSE if options["refuse_taken_names"] else RENAME,
            product=options["product"],
        )
        progress = self._progress if not options["json"] and options["verbosity"] > 0 and sys.stderr.isatty() else None
        return import_now(place, chosen, dry_run=options["dry_run"], on_progress=progress)

    def _progress(self, step: str, done: int, total: int) -> None:
        if ":" not in step:
            end = "\n" if done == total else "\r"
            self.stderr.write(f"{step}: {done:,} of {total:,}   ", ending=end)

    def _print(self, report: dict[str, Any], dry_run: bool) -> None:
        verb = "would land" if dry_run else "landed"
        self.stdout.write(f"{report['product']}, {report['unit']} units a dollar")
        for name, row in report["tables"].items():
            if row["read"]:
                self.stdout.write(
                    f"  {name:34} {row['read']:>9,} read {row['landed']:>9,} {verb} "
                    f"{row['left_out']:>9,} left out {row['refused']:>6,} refused"
                )
        for name, total in report["totals"].items():
            word = "ties out" if total["ties_out"] else "DOES NOT TIE OUT"
            self.stdout.write(
                f"  {name:34} {total['source_quota']:,} units = {total['landed_quota']:,} {verb} + "
                f"{total['left_out_quota']:,} left out + {total['refused_quota']:,} refused: {word}"
            )
        for row in report["left_out"]:
            self.stdout.write(f"  left out: {row['count']:,} of {row['table']} ({row['reason']})")
        for row in report["refused"]:
            self.stdout.write(f"  refused: {row['table']} {row['id']} ({row['reason']})")


def hide_passwords(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command line with addresses that hold a password moved into the environment, and that environment."""
    hidden, environment = [argv[0]], {}
    what = "source"
    for place, text in enumerate(argv[1:], 1):
        name, joined, value = text.partition("=") if text.startswith("--logs=") else ("", "", text)
        follows = argv[place - 1] == "--logs" or bool(joined)
        what = "logs" if follows else "source"
        if not _holds_password(value):
            hidden.append(text)
            continue
        environment[_HIDDEN[what]] = value
        if argv[place - 1] == "--logs":
            hidden.pop()
        hidden += [f"--{what}-env", _HIDDEN[what]]
    return hidden, environment


def _holds_password(text: str) -> bool:
    if text.startswith("-") or ("://" not in text and "@tcp(" not in text and "@unix(" not in text):
        return False
    try:
        return bool(parse_source(text).password)
    except SourceAddressWrong:
        return False


def _address(text: str, variable: str) -> SourceAddress | None:
    if variable:
        text = os.environ.get(variable, "")
        if not text:
            raise SourceAddressWrong(f"The environment variable {variable} is empty.")
    return parse_source(text) if text else None


def _missing() -> SourceAddress:
    raise SourceAddressWrong("Give a SOURCE, or --source-env with the name of a variable that holds it.")
