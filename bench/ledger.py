"""Durable hold and settle pairs a second through the ledger's SQL functions, beside the least that durable money can cost.

The floor is the same number of durable commits with one UPDATE of the purse and one INSERT each, without checks, log, usage or
idempotency. Every figure is the median of three runs of ``SECONDS``; ratios are of figures measured in the same process.
Makes a database of its own and removes it.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

import psycopg  # noqa: E402
from django.db import connection  # noqa: E402
from psycopg.conninfo import make_conninfo  # noqa: E402

from billing.services.ledger import (  # noqa: E402
    RECORD_SQL,
    RESERVE_SQL,
    CallEvent,
    ReserveRequest,
    record_payload,
    reserve_payload,
)
from config.foundation.ids import uuid7  # noqa: E402

SECONDS = 2.0
RUNS = 3
PEOPLE = 10_000
MAKE_PEOPLE = """
INSERT INTO accounts_user (username, password, is_superuser, is_staff, is_active, date_joined, email, display_name, role, state,
    language, time_zone)
SELECT 'bench' || n, '!', false, false, true, now(), '', '', 'user', 'enabled', 'en', 'UTC' FROM generate_series(1, %s) n
"""
MAKE_PURSES = """
INSERT INTO billing_ledgeraccount (kind, user_id, currency, origin, is_purse, is_spendable, balance_nano, held_nano, floor_nano,
    credit_limit_nano, priority, seq, created_at)
SELECT 'prepaid', id, 'USD', '', true, true, 1000000000000000, 0, 0, 0, 30, 0, now() FROM accounts_user
"""
MAKE_FLOOR = """
CREATE TABLE bench_purse (id bigint PRIMARY KEY, balance bigint NOT NULL, held bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE bench_hold (id uuid PRIMARY KEY, purse bigint NOT NULL, amount bigint NOT NULL);
CREATE TABLE bench_entry (id uuid PRIMARY KEY, purse bigint NOT NULL, amount bigint NOT NULL);
INSERT INTO bench_purse SELECT id, 1000000000000000, 0 FROM accounts_user;
"""
FLOOR_HOLD = """
WITH ask AS (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) a(id, purse)),
     moved AS (UPDATE bench_purse p SET held = held + 1000 * t.n FROM (SELECT purse, count(*) n FROM ask GROUP BY purse) t
               WHERE p.id = t.purse)
INSERT INTO bench_hold SELECT id, purse, 1000 FROM ask
"""
FLOOR_SETTLE = """
WITH ask AS (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) a(id, purse)),
     moved AS (UPDATE bench_purse p SET held = held - 1000 * t.n, balance = balance - 700 * t.n
               FROM (SELECT purse, count(*) n FROM ask GROUP BY purse) t WHERE p.id = t.purse)
INSERT INTO bench_entry SELECT id, purse, 700 FROM ask
"""
LOG = {
    "outcome": "ok",
    "http_status": 200,
    "asked_model": "gpt-4o",
    "billed_model": "gpt-4o",
    "served_model": "gpt-4o",
    "group_code": "default",
    "endpoint": "/v1/chat/completions",
    "input_tokens": 100,
    "output_tokens": 50,
    "key_tail": "ab12",
    "price_detail": {"formula": "portal", "cost_nano": 700, "lines": []},
}
Pair = Callable[[psycopg.Connection[Any], list[int]], None]


def through_the_ledger(line: psycopg.Connection[Any], people: list[int]) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=15)
    requests = [ReserveRequest(uuid7(), who, None, None, 1000, expires, {}) for who in people]
    line.execute(RESERVE_SQL, [reserve_payload(requests)])
    events = [CallEvent(r.request_id, 700, True, "", {**LOG, "user_id": r.user_id}) for r in requests]
    for _id, status, _reason in line.execute(RECORD_SQL, [record_payload(events)]):
        assert status == "recorded", status


def through_the_floor(line: psycopg.Connection[Any], people: list[int]) -> None:
    ids = [uuid7() for _ in people]
    line.execute(FLOOR_HOLD, [ids, people])
    line.execute(FLOOR_SETTLE, [ids, people])


def pairs_per_second(dsn: str, pair: Pair, people: list[int], threads: int, batch: int) -> float:
    """The median of several runs with this many connections, each going through the people from a place of its own."""

    def once() -> float:
        done = [0] * threads
        stop = time.monotonic() + SECONDS

        def work(number: int) -> None:
            place = number * len(people) // threads
            with psycopg.connect(dsn, autocommit=True) as line:
                while time.monotonic() < stop:
                    chosen = [people[(place + n) % len(people)] for n in range(batch)]
                    place += batch
                    pair(line, chosen)
                    done[number] += batch

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        began = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(done) / (time.monotonic() - began)

    return statistics.median(once() for _ in range(RUNS))


@contextmanager
def own_database() -> Iterator[str]:
    connection.settings_dict["TEST"]["NAME"] = f"bench_ledger_{os.getpid()}"
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    params = connection.get_connection_params()
    try:
        with connection.cursor() as cursor:
            cursor.execute(MAKE_PEOPLE, [PEOPLE])
            cursor.execute(MAKE_PURSES)
            cursor.execute(MAKE_FLOOR)
            cursor.execute("SELECT billing_house_account('revenue', '')")
        yield make_conninfo(**{x: params[x] for x in ("host", "port", "user", "password", "dbname") if params.get(x)})
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def main() -> None:
    with own_database() as dsn:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM accounts_user ORDER BY id")
            everybody = [row[0] for row in cursor.fetchall()]
            cursor.execute("SHOW fsync")
            fsync = cursor.fetchone()[0]
            cursor.execute("SHOW synchronous_commit")
            commit = cursor.fetchone()[0]
        print(f"PostgreSQL {connection.pg_version}, fsync {fsync}, synchronous_commit {commit}, {os.cpu_count()} cores")
        print(f"{'purses':>8} {'threads':>8} {'batch':>6} {'ledger pairs/s':>15} {'floor pairs/s':>15} {'ledger/floor':>13}")
        for people in (everybody, everybody[:1]):
            for threads, batch in ((1, 1), (8, 1), (1, 100), (8, 100)):
                ledger = pairs_per_second(dsn, through_the_ledger, people, threads, batch)
                floor = pairs_per_second(dsn, through_the_floor, people, threads, batch)
                print(
                    f"{len(people):>8,} {threads:>8} {batch:>6} {ledger:>15,.0f} {floor:>15,.0f} {ledger / floor:>13.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
