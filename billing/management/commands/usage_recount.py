"""``manage.py usage_recount``: counts every roll-up again from the log, day by day; may be stopped and run again."""

from argparse import ArgumentParser
from datetime import UTC, date, timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Min

from billing.models import RequestLog
from billing.services.usage import recount
from config.foundation.clock import now


class Command(BaseCommand):
    help = "Counts the usage roll-ups again from the request log."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, help="first UTC day, by default that of the oldest call")
        parser.add_argument("--until", type=date.fromisoformat, help="last UTC day, by default today")

    def handle(self, *args: Any, **options: Any) -> None:
        oldest = RequestLog.objects.aggregate(at=Min("started_at"))["at"]
        if oldest is None:
            self.stdout.write("no calls, nothing to count")
            return
        day, last = options["since"] or oldest.astimezone(UTC).date(), options["until"] or now().astimezone(UTC).date()
        calls = 0
        while day <= last:
            calls += recount(day, day)
            day += timedelta(days=1)
        self.stdout.write(f"{calls:,} calls counted up to {last}")
