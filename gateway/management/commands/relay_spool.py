"""``manage.py relay_spool``: what lies in the spool of this machine's relays, and ``--send`` for what processes left that are
gone. Exit code 1 when something is left that nobody can send: unreadable files, or no database."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from gateway.relay.database import NOT_NOW
from gateway.relay.replay import Leftover, replay, survey


class Command(BaseCommand):
    help = "Shows the ends of calls that wait on this machine's disk; --send sends those of relays that are gone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--send", action="store_true", help="send what relays left that are gone")
        parser.add_argument("--folder", type=Path, help="another spool than that of RELAY_STATE_DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"] or settings.RELAY_STATE_DIR / "spool"
        try:
            found = replay(folder) if options["send"] else survey(folder)
        except NOT_NOW as error:
            self.stderr.write(f"PostgreSQL does not take them ({type(error).__name__}); nothing was removed that was not sent.")
            sys.exit(1)
        for left in found:
            self.stdout.write(self._line(left))
        refused = folder / "refused.jsonl"
        if refused.exists():
            self.stdout.write(f"{refused}: ends of calls that PostgreSQL refused, kept for people")
        if not found:
            self.stdout.write("Nothing waits.")
        if any(left.unreadable for left in found):
            sys.exit(1)

    def _line(self, left: Leftover) -> str:
        state = "at work" if left.is_alive else "gone"
        calls = sum(1 for call in left.opens if call not in left.ends)
        said = ", ".join(f"{n} {status}" for status, n in sorted(left.answers.items()))
        parts = [f"{left.stem} ({state}): {len(left.ends)} ends", f"{calls} calls without an end"]
        parts += [f"{left.broken_lines} broken lines"] * bool(left.broken_lines)
        parts += [f"cannot be read: {path}" for path in left.unreadable]
        return ", ".join(parts) + (f"; sent: {said}" if said else "")
