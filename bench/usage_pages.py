"""The usage page and every list of calls over 10,000,000 rows of the request log.

Prints p50 and p95 over many people for each cut of the usage page in three zones, the house's cuts, and the lists of calls as
people and staff ask for them. Makes a database of its own and removes it; ``--keep`` keeps it and uses it again, on a server
that DATABASE_URL names. ``--rows`` and ``--people`` make it smaller, ``--plans`` prints every query's plan.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

from django.db import connection  # noqa: E402
from django.db.models import Max  # noqa: E402

from accounts.models import Group, GroupMembership, Role, User  # noqa: E402
from bench.ledger import own_database  # noqa: E402
from bench.usage_rows import DAYS, KEYS, fill, parser, run  # noqa: E402
from billing.models import RequestLog  # noqa: E402
from billing.selectors import CallFilters, Period, Scope, calls_for, usage_by_day, usage_chart, usage_report  # noqa: E402
from billing.selectors.usage_cuts import CUTS  # noqa: E402
from billing.services import usage  # noqa: E402
from config.foundation.ids import uuid7  # noqa: E402

PLANS = False
# What the page shows, and how often everybody's usage is asked for.
SHOWN = 200
LOOKS = 9


def show(name: str, reads: list[Callable[[], Any]]) -> None:
    """p50 and p95 over the reads, each done once; the plan of the first with EXPLAIN."""
    times = []
    for number, read in enumerate(reads):
        connection.force_debug_cursor = PLANS and number == 0
        connection.queries_log.clear()
        began = time.perf_counter()
        read()
        times.append(1000 * (time.perf_counter() - began))
        for query in list(connection.queries_log) if connection.force_debug_cursor else []:
            connection.force_debug_cursor = False
            if query["sql"].lstrip().upper().startswith(("SELECT", "WITH", "(")):
                plan = run("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY OFF) " + query["sql"])
                print("    " + "\n    ".join(row[0] for row in plan if "never executed" not in row[0]))
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    print(f"{name:<58} {statistics.median(times):>9.1f} {p95:>9.1f} {times[-1]:>9.1f}", flush=True)


def usage_pages(period: Period, people: list[User], busy: User, team: Group, staff: User) -> None:
    zone, many = period.zone, len(people)
    for by in ("model", "key", "day"):
        reads = [lambda who=who, by=by: usage_report(who, Scope(user=who), period, by) for who in people]
        show(f"{many} people: by {by}, 30 days of {zone}", reads)
    if zone == "UTC":
        show(f"{many} people: dashboard, 62 days", [lambda who=who: usage_by_day(who, who, 62) for who in people])
    show(f"{many} people: chart, {zone}", [lambda who=who: usage_chart(who, Scope(user=who), period) for who in people])
    show(f"busiest person: by model, {zone}", [lambda: usage_report(busy, Scope(user=busy), period, "model")] * 5)
    show(f"busiest person: chart, {zone}", [lambda: usage_chart(busy, Scope(user=busy), period)] * 5)
    show(f"team of 10 keys: by key, {zone}", [lambda: usage_report(staff, Scope(team=team), period, "key")] * 5)
    for by in CUTS:
        show(f"everybody: by {by}, {zone}", [lambda by=by: usage_report(staff, Scope(), period, by, most=SHOWN)] * LOOKS)
    show(f"everybody: chart, {zone}", [lambda: usage_chart(staff, Scope(), period)] * LOOKS)
    show(f"everybody: export by key, {zone}", [lambda: usage_report(staff, Scope(), period, "key")] * LOOKS)


def long_periods(last: date, staff: User) -> None:
    """What the other spans of the page ask for; 365 days are as many rows of each key as there are, not more calls."""
    for days in (7, 90, 365):
        for zone in ("UTC", "Asia/Kolkata"):
            period = Period(last - timedelta(days=days - 1), last, zone)
            for by in ("model", "key", "day"):
                reads = [lambda by=by, period=period: usage_report(staff, Scope(), period, by, most=SHOWN)]
                show(f"everybody: by {by}, {days} days of {zone}", reads * LOOKS)


def call_lists(until: datetime, people: list[User], busy: User, member: User, support: User) -> None:
    some = RequestLog.objects.order_by("-started_at")[5000]
    month = {"since": until - timedelta(days=30)}
    month_ago = uuid7(int(month["since"].timestamp() * 1000))
    lists: dict[str, tuple[User, dict[str, Any], Any]] = {
        "support: newest": (support, {}, None),
        "support: a page a month back": (support, {"since": until - timedelta(days=60)}, month_ago),
        "support: request id": (support, {"request_id": some.id.hex}, None),
        "support: key tail, 30 days": (support, {**month, "key_tail": some.key_tail}, None),
        "support: rare person, 30 days": (support, {**month, "user_id": busy.pk + 4900}, None),
        "support: model": (support, {"model": "model-3"}, None),
        "support: rare model, failed, 30 days": (support, {**month, "model": "model-58", "outcome": "failed"}, None),
        "support: failed": (support, {"outcome": "failed"}, None),
        "support: an outcome that never was, 7 days": (support, {"outcome": "cut_stream"}, None),
        "support: 504 in a group": (support, {"http_status": 504, "group_code": "group-7"}, None),
        "support: no such status, 7 days": (support, {"http_status": 418}, None),
        "support: no such status, 30 days": (support, {**month, "http_status": 418}, None),
        "person: own failed, 30 days": (busy, {**month, "outcome": "failed"}, None),
        "team member: own and 10 team keys": (member, {}, None),
        "team member: no match, 30 days": (member, {**month, "model": "none"}, None),
    }
    show(f"{len(people)} people: own calls", [lambda who=who: calls_for(who, CallFilters()) for who in people])
    show(
        f"{len(people)} people: own failed, 30 days",
        [lambda who=who: calls_for(who, CallFilters(outcome="failed", **month)) for who in people],
    )
    for name, (actor, filters, before) in lists.items():
        show(name, [lambda actor=actor, filters=filters, before=before: calls_for(actor, CallFilters(**filters), before)] * 7)


def main(options: argparse.Namespace) -> None:
    global PLANS
    PLANS = options.plans
    with own_database(f"bench_usage_{options.rows}" if options.keep else ""):
        if not RequestLog.objects.exists():
            until = datetime.now(UTC)
            fill(options.rows, until)
            for back in range(DAYS, -1, -1):
                day = (until - timedelta(days=back)).date()
                usage.recount(day, day)
            run("VACUUM ANALYZE")
        until = RequestLog.objects.aggregate(at=Max("started_at"))["at"]
        first = User.objects.order_by("pk").values_list("pk", flat=True)[0]
        team = Group.objects.get(code="crew")
        member = User.objects.get(pk=first + 4000)
        GroupMembership.objects.get_or_create(group=team, user=member)
        support, _made = User.objects.get_or_create(username="support", role=Role.SUPPORT, is_staff=True)
        step = max(1, (KEYS - 1) // options.people)
        people = list(User.objects.filter(pk__in=range(first, first + KEYS, step)).order_by("pk"))
        print(f"\n{'':<58} {'p50 ms':>9} {'p95 ms':>9} {'worst':>9}")
        last = (until - timedelta(days=1)).date()
        for zone in ("UTC", "Asia/Shanghai", "Asia/Kolkata"):
            period = Period(last - timedelta(days=29), last, zone)
            usage_pages(period, people, User.objects.get(pk=first), team, support)
        long_periods(last, support)
        call_lists(until, people, User.objects.get(pk=first), member, support)
        sizes = run(
            """SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class
            WHERE relname LIKE 'billing\\_usage%' AND relkind = 'r' ORDER BY 1"""
        )
        print(f"load {os.getloadavg()[0]:.1f}")
        print("sizes: " + ", ".join(f"{name} {size}" for name, size in sizes))


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--people", type=int, default=200, help="how many people look, %(default)s if not said")
    arguments.add_argument("--keep", action="store_true", help="keep the database and use it again")
    arguments.add_argument("--plans", action="store_true", help="print the plan of each query")
    main(arguments.parse_args())
