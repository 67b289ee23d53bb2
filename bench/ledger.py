"""Durable hold and settle pairs a second through the ledger's SQL functions, beside what such money costs in plain SQL.

Three floors, each the same number of durable commits as the ledger makes, over one connection each client:

* ``least``: an UPDATE of the purse and one INSERT for each half. No close of the hold.
* ``floor``: what any durable two-phase ledger needs. First half: UPDATE of the purse, INSERT of the hold. Second half: UPDATE
  of the purse, INSERT of the entry (one amount, running number and balance, unique per act, an index for the history),
  UPDATE of the hold to closed.
* ``logged``: ``floor`` and an INSERT of the request log row, ready made, into a table with the columns and indexes of ours.

The ledger does all of that and decides: balance, limits, test money, repeats, late events, usage counts.
Batches: 300 events a transaction, against COPY of the same log rows and entries and an UPDATE of the same
holds and of the same purses.
Every figure is the median of runs of ``SECONDS``; floor and ledger take turns. Makes a database of its own and removes it.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

import orjson  # noqa: E402
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
from config.foundation.ids import uuid7, uuid7_time  # noqa: E402

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
CREATE TABLE bench_purse (
    id bigint PRIMARY KEY, balance bigint NOT NULL, held bigint NOT NULL, seq bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE bench_hold (id uuid PRIMARY KEY, purse bigint NOT NULL, amount bigint NOT NULL, state text NOT NULL,
    settled bigint, expires_at timestamptz NOT NULL, closed_at timestamptz) WITH (fillfactor = 70);
CREATE INDEX ON bench_hold (expires_at) WHERE state = 'open';
CREATE TABLE bench_entry (id bigserial PRIMARY KEY, tx uuid NOT NULL, kind text NOT NULL, n smallint NOT NULL,
    source bigint NOT NULL, target bigint NOT NULL, amount bigint NOT NULL, seq bigint NOT NULL,
    balance bigint NOT NULL, booked_at timestamptz NOT NULL, UNIQUE (tx, kind, n));
CREATE INDEX ON bench_entry (source, id DESC);
CREATE TABLE bench_log (LIKE billing_requestlog INCLUDING INDEXES);
INSERT INTO bench_purse SELECT id, 1000000000000000, 0, 0 FROM accounts_user;
"""
LEAST_HOLD = """
WITH moved AS (UPDATE bench_purse SET held = held + 1000 WHERE id = %(who)s)
INSERT INTO bench_hold VALUES (%(id)s, %(who)s, 1000, '', NULL, now(), NULL)
"""
LEAST_SETTLE = """
WITH moved AS (UPDATE bench_purse SET held = held - 1000, balance = balance - 700, seq = seq + 1 WHERE id = %(who)s
    RETURNING seq, balance)
INSERT INTO bench_entry (tx, kind, n, source, target, amount, seq, balance, booked_at)
SELECT %(id)s, 'charge', 0, %(who)s, 0, 700, seq, balance, now() FROM moved
"""
FLOOR_HOLD = """
WITH moved AS (UPDATE bench_purse SET held = held + 1000 WHERE id = %(who)s AND balance - held >= 1000 RETURNING id)
INSERT INTO bench_hold SELECT %(id)s, id, 1000, 'open', NULL, now() + interval '15 minutes', NULL FROM moved
"""
FLOOR_SETTLE = """
WITH closed AS (UPDATE bench_hold SET state = 'settled', settled = 700, closed_at = now()
        WHERE id = %(id)s AND state = 'open' RETURNING purse),
    moved AS (UPDATE bench_purse p SET held = held - 1000, balance = balance - 700, seq = seq + 1 FROM closed
        WHERE p.id = closed.purse RETURNING p.id, seq, balance)
INSERT INTO bench_entry (tx, kind, n, source, target, amount, seq, balance, booked_at)
SELECT %(id)s, 'charge', 0, id, 0, 700, seq, balance, now() FROM moved
"""
LOGGED_SETTLE = FLOOR_SETTLE.replace(
    "WITH closed AS",
    """WITH logged AS (
    INSERT INTO bench_log SELECT r.* FROM jsonb_populate_record(NULL::bench_log, %(log)s::jsonb) r ON CONFLICT DO NOTHING
), closed AS""",
)
BATCH = 300
BATCHES = 12
BATCH_HOLDS = """
UPDATE bench_hold h SET state = 'settled', settled = 700, closed_at = now() FROM unnest(%s::uuid[]) x(id) WHERE h.id = x.id
"""
BATCH_PURSES = """
UPDATE bench_purse p SET held = held - 1000 * t.n, balance = balance - 700 * t.n, seq = seq + t.n
FROM (SELECT purse, count(*) AS n FROM unnest(%s::bigint[]) x(purse) GROUP BY purse ORDER BY purse) t WHERE p.id = t.purse
"""
COPY_ENTRIES = "COPY bench_entry (tx, kind, n, source, target, amount, seq, balance, booked_at) FROM STDIN"
# What the relay reports of a call.
LOG = {
    "key_name": "",
    "key_tail": "ab12",
    "group_code": "default",
    "endpoint": "/v1/chat/completions",
    "is_stream": False,
    "route": "new",
    "asked_model": "gpt-4o",
    "billed_model": "gpt-4o",
    "served_model": "gpt-4o",
    "outcome": "ok",
    "http_status": 200,
    "error_code": "",
    "duration_ms": 120,
    "input_tokens": 100,
    "cached_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 50,
    "reasoning_tokens": 0,
    "usage_source": "upstream",
    "price_detail": {"formula": "portal", "cost_nano": 700, "lines": []},
    "attempts": [],
    "client_family": "",
    "client_network": "",
}
# What the ledger fills in; a plain INSERT has to bring it.
LOG_COLUMNS = {
    "held_nano": 1000,
    "cost_nano": 700,
    "origin": "relay",
    "source_ref": "",
    "modality": "text",
    "audio_input_tokens": 0,
    "audio_output_tokens": 0,
    "image_count": 0,
    "media_ms": 0,
    "character_count": 0,
    "media_size": "",
    "media_quality": "",
}
Line = psycopg.Connection[Any]
Work = Callable[[Line, list[int]], None]


def ledger_pair(line: Line, people: list[int]) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=15)
    requests = [ReserveRequest(uuid7(), who, None, None, 1000, expires, {}) for who in people]
    for _id, status, *_rest in line.execute(RESERVE_SQL, [reserve_payload(requests)], prepare=True):
        assert status == "held", status
    ledger_settle(line, [(request.request_id, who) for request, who in zip(requests, people, strict=True)])


def ledger_settle(line: Line, calls: list[tuple[UUID, int]]) -> None:
    events = [CallEvent(call, 700, True, "", {**LOG, "user_id": who}) for call, who in calls]
    for _id, status, reason in line.execute(RECORD_SQL, [record_payload(events)], prepare=True):
        assert status == "recorded", (status, reason)


def plain_pair(hold: str, settle: str) -> Work:
    def pair(line: Line, people: list[int]) -> None:
        for who in people:
            call = uuid7()
            line.execute(hold, {"id": call, "who": who}, prepare=True)
            values = {"id": call, "who": who}
            if "bench_log" in settle:
                values["log"] = orjson.dumps(log_row(call, who)).decode()
            line.execute(settle, values, prepare=True)

    return pair


def log_row(call: UUID, who: int) -> dict[str, Any]:
    return {**LOG, **LOG_COLUMNS, "id": call, "started_at": uuid7_time(call), "user_id": who, "key_id": None}


def copied_settle(line: Line, calls: list[tuple[UUID, int]]) -> None:
    """COPY of the log rows and entries, UPDATE of holds and purses: one transaction."""
    rows = [log_row(call, who) for call, who in calls]
    names = list(rows[0])
    with line.transaction(), line.cursor() as cursor:
        with cursor.copy(f"COPY bench_log ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([orjson.dumps(x).decode() if isinstance(x, dict | list) else x for x in row.values()])
        now = datetime.now(UTC)
        with cursor.copy(COPY_ENTRIES) as copy:
            for call, who in calls:
                copy.write_row((call, "charge", 0, who, 0, 700, 0, 0, now))
        cursor.execute(BATCH_HOLDS, [[call for call, _who in calls]])
        cursor.execute(BATCH_PURSES, [[who for _call, who in calls]])


def rate(dsn: str, work: Work, people: list[int], clients: int, batch: int) -> float:
    """Calls a second with this many connections, each going through the people from a place of its own."""
    done = [0] * clients
    stop = time.monotonic() + SECONDS

    def run(number: int) -> None:
        place = number * len(people) // clients
        with psycopg.connect(dsn, autocommit=True) as line:
            while time.monotonic() < stop:
                chosen = [people[(place + n) % len(people)] for n in range(batch)]
                place += batch
                work(line, chosen)
                done[number] += batch

    workers = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.monotonic() - began)


def in_turns(dsn: str, works: dict[str, Work], people: list[int], clients: int, batch: int = 1) -> dict[str, float]:
    """The median of several runs of each, one after the other in every round, so that a slow minute hits them all."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _round in range(RUNS):
        for name, work in works.items():
            found[name].append(rate(dsn, work, people, clients, batch))
    return {name: statistics.median(rates) for name, rates in found.items()}


def settled(dsn: str, people: list[int]) -> dict[str, float]:
    """Events a second of batches alone: the holds are made before the clock runs."""
    found: dict[str, list[float]] = {"ledger": [], "floor": []}
    with psycopg.connect(dsn, autocommit=True) as line:
        for _round in range(RUNS):
            for name, settle in (("ledger", ledger_settle), ("floor", copied_settle)):
                batches = [_held(line, people, name, number) for number in range(BATCHES)]
                began = time.monotonic()
                for calls in batches:
                    settle(line, calls)
                found[name].append(BATCHES * BATCH / (time.monotonic() - began))
    return {name: statistics.median(rates) for name, rates in found.items()}


def _held(line: Line, people: list[int], name: str, number: int) -> list[tuple[UUID, int]]:
    calls = [(uuid7(), people[(number * BATCH + n) * 7 % len(people)]) for n in range(BATCH)]
    if name == "ledger":
        expires = datetime.now(UTC) + timedelta(minutes=15)
        line.execute(
            RESERVE_SQL, [reserve_payload([ReserveRequest(x, who, None, None, 1000, expires, {}) for x, who in calls])]
        )
    else:
        rows = [(x, who) for x, who in calls]
        with line.cursor() as cursor:
            cursor.executemany(FLOOR_HOLD, [{"id": x, "who": who} for x, who in rows])
    return calls


@contextmanager
def own_database(kept: str = "") -> Iterator[str]:
    """A database with people and purses. It is removed afterwards, unless it is ``kept`` under a name for the next time."""
    connection.settings_dict["TEST"]["NAME"] = kept or f"bench_ledger_{os.getpid()}"
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False, keepdb=bool(kept))
    params = connection.get_connection_params()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM accounts_user)")
            if not cursor.fetchone()[0]:
                cursor.execute(MAKE_PEOPLE, [PEOPLE])
                cursor.execute(MAKE_PURSES)
                cursor.execute(MAKE_FLOOR)
                cursor.execute("SELECT billing_house_account('revenue', '')")
        yield make_conninfo(**{x: params[x] for x in ("host", "port", "user", "password", "dbname") if params.get(x)})
    finally:
        if not kept:
            connection.creation.destroy_test_db(name, verbosity=0)


def main() -> None:
    with own_database() as dsn:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM accounts_user ORDER BY id")
            everybody = [row[0] for row in cursor.fetchall()]
            cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            fsync, commit = cursor.fetchone()
        print(f"PostgreSQL {connection.pg_version}, fsync {fsync}, synchronous_commit {commit}, {os.cpu_count()} cores")
        works: dict[str, Work] = {
            "ledger": ledger_pair,
            "floor": plain_pair(FLOOR_HOLD, FLOOR_SETTLE),
            "logged": plain_pair(FLOOR_HOLD, LOGGED_SETTLE),
            "least": plain_pair(LEAST_HOLD, LEAST_SETTLE),
        }
        print("durable hold and settle pairs a second, one call a transaction; /x is the ledger to that floor")
        print(f"{'purses':>8} {'clients':>8}" + "".join(f"{name:>9}" for name in works) + "  /floor /logged  /least")
        for people in (everybody, everybody[:1]):
            for clients in (1, 16):
                found = in_turns(dsn, works, people, clients)
                rates = "".join(f"{found[name]:>9,.0f}" for name in works)
                ratios = "".join(f"{found['ledger'] / found[name]:>8.2f}" for name in works if name != "ledger")
                print(f"{len(people):>8,} {clients:>8}{rates}{ratios}", flush=True)
        print(f"settled events a second, {BATCH} a transaction, one client, beside COPY and UPDATE of the same rows")
        print(f"{'purses':>8} {'ledger':>9} {'floor':>9} {'ledger/floor':>13}")
        for people in (everybody, everybody[:1]):
            r = settled(dsn, people)
            print(f"{len(people):>8,} {r['ledger']:>9,.0f} {r['floor']:>9,.0f} {r['ledger'] / r['floor']:>13.2f}", flush=True)


if __name__ == "__main__":
    main()
