"""The usage page, the roll-up and every list of calls over 10,000,000 rows of the request log.

Prints p50 and p95 over many people for each cut of the usage page in two zones, the house's cuts, the lists of calls as
people and staff ask for them, and how fast 1,000,000 new rows are folded beside a raw GROUP BY of the same rows.
Makes a database of its own and removes it. ``ROWS``, ``NEW_ROWS`` and ``PEOPLE`` make it smaller, ``EXPLAIN=1`` prints
every query's plan.
"""

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
from billing.models import RequestLog  # noqa: E402
from billing.selectors import CallFilters, Period, Scope, calls_for, usage_chart, usage_report  # noqa: E402
from billing.services import usage  # noqa: E402
from config.foundation.ids import uuid7  # noqa: E402
from keys.models import ApiKey  # noqa: E402

ROWS = int(os.environ.get("ROWS", "10000000"))
NEW_ROWS = min(int(os.environ.get("NEW_ROWS", "1000000")), ROWS)
PEOPLE = int(os.environ.get("PEOPLE", "200"))
DAYS = 90
KEYS = 5_000
# Skewed as traffic is: the square of a random number favours the first people, keys and models. A key belongs to one person.
FILL = """
INSERT INTO billing_requestlog (id, started_at, duration_ms, first_token_ms, user_id, key_id, key_name, key_tail, group_code,
    endpoint, is_stream, route, asked_model, billed_model, served_model, outcome, http_status, error_code, input_tokens,
    cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_source, held_nano, cost_nano, price_detail,
    attempts, client_family, client_network, origin, source_ref, modality)
SELECT i.id, uuid7_time(i.id), 900, 300, %(first_user)s + p.n, %(first_key)s + p.n, 'k', substr(md5(p.n::text), 1, 4),
    'group-' || p.n %% 8, '/v1/chat/completions', false, 'new', m.name, m.name, m.name,
    CASE WHEN x.f < 0.95 THEN 'ok' WHEN x.f < 0.99 THEN 'upstream_error' ELSE 'timeout' END,
    CASE WHEN x.f < 0.95 THEN 200 WHEN x.f < 0.99 THEN 502 ELSE 504 END, '', 100, 10, 0, 20, 0, 'upstream', 1000,
    CASE WHEN x.f < 0.95 THEN (x.u * 1000)::bigint + 1 ELSE 0 END, '{}', '[]', 'openai-sdk', '203.0.113.x', 'relay', '',
    CASE WHEN m.n %% 10 = 9 THEN 'image' ELSE 'text' END
FROM (
    SELECT random() * random() AS u, (random() * random() * 60)::int AS m, random() AS f,
        %(until)s::timestamptz - make_interval(secs => random() * 86400 * %(days)s) AS at
    FROM generate_series(1, %(rows)s)
) x
CROSS JOIN LATERAL (SELECT (x.u * 4999)::int AS n) p
CROSS JOIN LATERAL (SELECT x.m AS n, 'model-' || x.m AS name) m
CROSS JOIN LATERAL (SELECT (lpad(to_hex((extract(epoch FROM x.at) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid AS id) i
"""
DELTAS = """
INSERT INTO billing_usagedelta (hour_at, user_id, key_id, group_code, model_name, modality, origin, call_count, failed_count,
    input_tokens, cached_tokens, output_tokens, cost_nano)
SELECT billing_usage_hour(started_at), user_id, key_id, group_code, billed_model, modality, origin, 1,
    CASE WHEN outcome <> 'ok' THEN 1 ELSE 0 END, input_tokens, cached_tokens, output_tokens, cost_nano
FROM billing_requestlog ORDER BY started_at DESC LIMIT %s
"""
# The least a roll-up can cost: one aggregate of the same rows into one table without any index.
RAW = """
CREATE TABLE bench_rollup AS SELECT hour_at, user_id, key_id, group_code, model_name, modality, sum(call_count) AS calls,
    sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost_nano) AS cost
FROM billing_usagedelta GROUP BY 1, 2, 3, 4, 5, 6
"""
INDEXES = """SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'billing_requestlog'
    AND indexname NOT LIKE '%id_once'"""


def run(sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def timed(sql: str, values: Any = None) -> float:
    began = time.perf_counter()
    run(sql, values)
    return time.perf_counter() - began


def fill(until: datetime) -> tuple[int, list[ApiKey]]:
    """People from ``own_database`` with a key each; the rows in, then the indexes. Gives the first person's number."""
    first = User.objects.order_by("pk").values_list("pk", flat=True)[0]
    team = Group.objects.create(code="crew", name="Crew")
    keys = ApiKey.objects.bulk_create(
        ApiKey(name=f"k{n}", **({"team": team} if n % 500 == 3 else {"owner_id": first + n})) for n in range(KEYS)
    )
    run("SELECT billing_ensure_partitions(%s, %s)", [(until - timedelta(days=DAYS)).date(), until.date()])
    indexes = run(INDEXES)
    for name, _definition in indexes:
        run(f"DROP INDEX {name}")
    values = {"rows": ROWS, "days": DAYS, "first_user": first, "first_key": keys[0].pk, "until": until}
    print(f"{ROWS:,} calls of {KEYS:,} people in {DAYS} days: {timed(FILL, values):.0f} s", flush=True)
    # The definition of a partitioned index says ONLY; without it every partition gets its own.
    took = sum(timed(definition.replace(" ON ONLY ", " ON ")) for _name, definition in indexes)
    print(f"{len(indexes)} indexes: {took:.0f} s", flush=True)
    run("ANALYZE billing_requestlog")
    return first, keys


def roll_up(until: datetime) -> None:
    began = time.perf_counter()
    for back in range(DAYS + 1):
        day = (until - timedelta(days=back)).date()
        usage.recount(day, day)
    print(f"every roll-up counted from the log: {time.perf_counter() - began:.0f} s", flush=True)
    run(DELTAS, [NEW_ROWS])
    raw = timed(RAW)
    began = time.perf_counter()
    while usage.fold_usage(limit=100_000):
        pass
    folded = time.perf_counter() - began
    print(
        f"{NEW_ROWS:,} new rows folded into every roll-up: {folded:.1f} s ({NEW_ROWS / folded:,.0f}/s); raw GROUP BY into one "
        f"plain table: {raw:.1f} s ({NEW_ROWS / raw:,.0f}/s); ratio {raw / folded:.2f}",
        flush=True,
    )
    run("VACUUM ANALYZE")


def show(name: str, reads: list[Callable[[], Any]]) -> None:
    """p50 and p95 over the reads, each done once; the plan of the first with EXPLAIN."""
    times = []
    for number, read in enumerate(reads):
        connection.force_debug_cursor = bool(os.environ.get("EXPLAIN")) and number == 0
        connection.queries_log.clear()
        began = time.perf_counter()
        read()
        times.append(1000 * (time.perf_counter() - began))
        for query in list(connection.queries_log) if connection.force_debug_cursor else []:
            connection.force_debug_cursor = False
            if query["sql"].lstrip().upper().startswith(("SELECT", "WITH", "(")):
                plan = run("EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) " + query["sql"])
                print("    " + "\n    ".join(row[0] for row in plan if "never executed" not in row[0]))
    times.sort()
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    print(f"{name:<58} {statistics.median(times):>9.1f} {p95:>9.1f} {times[-1]:>9.1f}", flush=True)


def usage_pages(period: Period, people: list[User], busy: User, team: Group, staff: User) -> None:
    zone, many = period.zone, len(people)
    for by in ("model", "key", "day"):
        reads = [lambda who=who, by=by: usage_report(who, Scope(user=who), period, by) for who in people]
        show(f"{many} people: by {by}, 30 days of {zone}", reads)
    show(f"{many} people: chart, {zone}", [lambda who=who: usage_chart(who, Scope(user=who), period) for who in people])
    show(f"busiest person: by model, {zone}", [lambda: usage_report(busy, Scope(user=busy), period, "model")] * 5)
    show(f"busiest person: chart, {zone}", [lambda: usage_chart(busy, Scope(user=busy), period)] * 5)
    show(f"team of 10 keys: by key, {zone}", [lambda: usage_report(staff, Scope(team=team), period, "key")] * 5)
    for by in ("model", "modality", "group", "key", "team", "member", "day"):
        show(f"everybody: by {by}, {zone}", [lambda by=by: usage_report(staff, Scope(), period, by)] * 5)
    show(f"everybody: chart, {zone}", [lambda: usage_chart(staff, Scope(), period)] * 5)


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


def main() -> None:
    with own_database():
        until = datetime.now(UTC)
        first, keys = fill(until)
        roll_up(until)
        team = Group.objects.get(code="crew")
        member = User.objects.get(pk=first + 4000)
        GroupMembership.objects.create(group=team, user=member)
        support = User.objects.create_user(username="support", role=Role.SUPPORT, is_staff=True)
        step = max(1, (KEYS - 1) // PEOPLE)
        people = list(User.objects.filter(pk__in=range(first, first + KEYS, step)).order_by("pk"))
        print(f"\n{'':<58} {'p50 ms':>9} {'p95 ms':>9} {'worst':>9}")
        last = (until - timedelta(days=1)).date()
        for zone in ("UTC", "Asia/Shanghai"):
            period = Period(last - timedelta(days=29), last, zone)
            usage_pages(period, people, User.objects.get(pk=first), team, support)
        call_lists(until, people, User.objects.get(pk=first), member, support)
        sizes = run(
            """SELECT c.relname, pg_size_pretty(pg_total_relation_size(c.oid)) FROM pg_class c
            WHERE c.relname IN ('billing_usagecube', 'billing_usagepart', 'billing_usagedaily', 'billing_usagehourly')"""
        )
        print("sizes: " + ", ".join(f"{name} {size}" for name, size in sizes))


if __name__ == "__main__":
    main()
