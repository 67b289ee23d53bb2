"""``manage.py ledger_check``: proves every invariant of the ledger and prints a table; exit code 1 when one is broken."""

import sys
from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from billing.invariants import Finding, check_all


class Command(BaseCommand):
    help = "Checks every invariant of the ledger. Exit code 1 when one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = check_all()
        broken = [finding for finding in findings if finding.breaches]
        if options["json"]:
            body = {"ok": not broken, "invariants": [finding.as_json() for finding in findings]}
            self.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
        else:
            self._table(findings, len(broken))
        if broken:
            sys.exit(1)

    def _table(self, findings: list[Finding], broken: int) -> None:
        width = max(len(finding.code) for finding in findings)
        for finding in findings:
            state = f"{finding.breaches} broken" if finding.breaches else "ok"
            self.stdout.write(f"{finding.code:<{width}}  {state:<10}  {finding.says}")
            for thing, detail in finding.examples:
                self.stdout.write(f"{'':<{width}}  {'':<10}    {thing}: {detail}")
        self.stdout.write(
            f"{len(findings)} invariants, {broken} broken." if broken else f"{len(findings)} invariants, all hold."
        )
