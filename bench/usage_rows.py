"""The rows that the benchmarks of usage read: many calls of many people, as skewed as traffic is.

``--rows`` says how many; 10,000,000 is the headline.
"""

import argparse
import os
import time
from datetime import datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

from django.db import connection  # noqa: E402

from accounts.models import Group, User  # noqa: E402
from keys.models import ApiKey  # noqa: E402

HEADLINE = 10_000_000
DAYS = 90
KEYS = 5_000
# Skewed as traffic is: the square of a random number favours the first people, keys and models. A key belongs to one person.
# In the order of time, as a log is written.
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
    FROM generate_series(1, %(rows)s) ORDER BY at
) x
CROSS JOIN LATERAL (SELECT (x.u * 4999)::int AS n) p
CROSS JOIN LATERAL (SELECT x.m AS n, 'model-' || x.m AS name) m
CROSS JOIN LATERAL (SELECT (lpad(to_hex((extract(epoch FROM x.at) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid AS id) i
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


def parser(about: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rows", type=int, default=HEADLINE, help="rows of the request log, %(default)s if not said")
    return found


def fill(rows: int, until: datetime) -> tuple[int, list[ApiKey]]:
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
    values = {"rows": rows, "days": DAYS, "first_user": first, "first_key": keys[0].pk, "until": until}
    print(f"{rows:,} calls of {KEYS:,} people in {DAYS} days: {timed(FILL, values):.0f} s", flush=True)
    # The definition of a partitioned index says ONLY; without it every partition gets its own.
    took = sum(timed(definition.replace(" ON ONLY ", " ON ")) for _name, definition in indexes)
    print(f"{len(indexes)} indexes: {took:.0f} s", flush=True)
    run("ANALYZE billing_requestlog")
    return first, keys
