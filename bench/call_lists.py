"""How long each list of calls and each breakdown takes over 1,000,000 rows of the request log, through the selectors.

Makes a database of its own and removes it. ``--rows`` chooses another size, ``--plans`` prints the plan of every query as well.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

from django.db import connection  # noqa: E402

from accounts.models import Group, GroupMembership, Role, User  # noqa: E402
from bench.ledger import own_database  # noqa: E402
from billing.invariants import check_all  # noqa: E402
from billing.models import RequestLog  # noqa: E402
from billing.selectors import CallFilters, call_detail, calls_for, ledger_lines, usage_by_day  # noqa: E402
from billing.selectors.usage_cuts import CUTS, Period, Scope, usage_report  # noqa: E402
from billing.services import ledger, usage  # noqa: E402
from config.foundation.ids import uuid7  # noqa: E402
from keys.models import ApiKey  # noqa: E402

PLANS = False
DAYS = 30
# Skewed as traffic is: the square of a random number favours the first people, keys and models.
FILL = """
INSERT INTO billing_requestlog
SELECT r.* FROM (
    SELECT random() * random() AS u, random() * random() AS m, random() AS f,
        now() - make_interval(secs => random() * 86400 * %(days)s) AS at
    FROM generate_series(1, %(rows)s)
) x CROSS JOIN LATERAL (
    SELECT (lpad(to_hex((extract(epoch FROM x.at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid AS id
) i CROSS JOIN LATERAL jsonb_populate_record(billing_blank_log(), jsonb_build_object('id', i.id, 'started_at', uuid7_time(i.id),
    'user_id', %(first_user)s + (x.u * 5000)::int, 'key_id', %(first_key)s + (x.u * 199)::int,
    'key_tail', substr(md5((x.u * 5000)::int::text), 1, 4), 'asked_model', 'model-' || (x.m * 60)::int,
    'billed_model', 'model-' || (x.m * 60)::int, 'group_code', 'group-' || (x.m * 8)::int,
    'outcome', CASE WHEN x.f < 0.95 THEN 'ok' WHEN x.f < 0.99 THEN 'upstream_error' ELSE 'timeout' END,
    'http_status', CASE WHEN x.f < 0.95 THEN 200 WHEN x.f < 0.99 THEN 502 ELSE 504 END,
    'input_tokens', 100, 'output_tokens', 20)) r
"""


def fill(rows: int) -> tuple[User, User, User]:
    """Calls of 5,000 people with 200 keys; gives a busy person, a team member and a supporter."""
    first = User.objects.order_by("pk").values_list("pk", flat=True)[0]
    team = Group.objects.create(code="crew", name="Crew")
    keys = [ApiKey.objects.create(name=f"k{n}", team=team if n % 20 == 3 else None) for n in range(200)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_ensure_partitions((now() - interval '2 months')::date, now()::date)")
        cursor.execute(FILL, {"rows": rows, "days": DAYS, "first_user": first, "first_key": keys[0].pk})
        cursor.execute("ANALYZE")
    today = datetime.now(UTC).date()
    usage.recount(today - timedelta(days=DAYS + 1), today)
    member = User.objects.get(pk=first + 4000)
    GroupMembership.objects.create(group=team, user=member)
    support = User.objects.create_user(username="support", role=Role.SUPPORT, is_staff=True)
    return User.objects.get(pk=first), member, support


def with_history(person: User) -> None:
    purse = ledger.purse_for(user=person)
    cash = ledger.house_account("cash").pk
    for _batch in range(20):
        ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash, purse.pk, 1000) for _ in range(500)])


def show(name: str, read: Callable[[], Any]) -> None:
    connection.force_debug_cursor = PLANS
    connection.queries_log.clear()
    times = []
    for _round in range(7):
        began = time.perf_counter()
        read()
        times.append(1000 * (time.perf_counter() - began))
    print(f"{name:<44} {statistics.median(times):>9.1f} {max(times):>9.1f}", flush=True)
    queries, connection.force_debug_cursor = list(connection.queries_log)[: len(connection.queries_log) // 7], False
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) " + query["sql"])
            print("    " + "\n    ".join(row[0] for row in cursor.fetchall() if "never executed" not in row[0]))


def main(options: argparse.Namespace) -> None:
    global PLANS
    PLANS = options.plans
    with own_database():
        busy, member, support = fill(options.rows)
        with_history(busy)
        now = datetime.now(UTC)
        some = RequestLog.objects.order_by("-started_at")[5000]
        month = {"since": now - timedelta(days=DAYS)}
        lists: dict[str, tuple[User, dict[str, Any], Any]] = {
            "support: newest": (support, {}, None),
            "support: page at 200,000 rows back": (support, month, uuid7(int((now.timestamp() - 86400 * 6) * 1000))),
            "support: request id": (support, {"request_id": some.id.hex}, None),
            "support: key tail, 30 days": (support, {**month, "key_tail": some.key_tail}, None),
            "support: busy person, 30 days": (support, {**month, "user_id": busy.pk}, None),
            "support: rare person, 30 days": (support, {**month, "user_id": busy.pk + 4900}, None),
            "support: model": (support, {"model": "model-3"}, None),
            "support: rare model, failed, 30 days": (support, {**month, "model": "model-58", "outcome": "failed"}, None),
            "support: failed": (support, {"outcome": "failed"}, None),
            "support: 504 in rare group": (support, {"http_status": 504, "group_code": "group-8"}, None),
            "support: no such status, 7 days": (support, {"http_status": 418}, None),
            "person: own calls": (busy, {}, None),
            "person: own failed, 30 days": (busy, {**month, "outcome": "failed"}, None),
            "team member: own and 10 team keys": (member, {}, None),
            "team member: no match, 30 days": (member, {**month, "model": "none"}, None),
        }
        print(f"{options.rows:,} calls in {DAYS} days{'':<22} {'median ms':>9} {'worst ms':>9}")
        for name, (actor, filters, before) in lists.items():
            show(name, lambda actor=actor, filters=filters, before=before: calls_for(actor, CallFilters(**filters), before))
        show("detail", lambda: call_detail(support, some.id))
        show("usage of a busy person, 30 days", lambda: usage_by_day(busy, busy, 30))
        show("ledger lines of 10,000", lambda: ledger_lines(busy, busy))
        first, last = (now - timedelta(days=DAYS)).date(), now.date()
        for by in CUTS:
            show(f"everybody's usage by {by}, 30 days", lambda by=by: usage_report(support, Scope(), Period(first, last), by))
        began = time.perf_counter()
        check_all()
        print(f"every invariant: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the request log, %(default)s if not said")
    parser.add_argument("--plans", action="store_true", help="print the plan of each query")
    main(parser.parse_args())
