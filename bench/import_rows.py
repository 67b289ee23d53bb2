"""How many log rows a second an import takes over, beside a raw COPY of the same finished rows into the same table.

The source is a SQLite file with the columns of New API, made here; the database is one of its own and is removed.
``ROWS=1000000`` changes the number of log rows.
"""

import gc
import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
django.setup()

from django.db import connection, transaction  # noqa: E402

from bench.ledger import own_database  # noqa: E402
from billing.models import RequestLog, UsageDelta  # noqa: E402
from migrations_center.services import import_engine as engine  # noqa: E402
from migrations_center.services.apply.context import ImportOptions  # noqa: E402
from migrations_center.services.apply.history import HistoryWriter, copy_rows  # noqa: E402
from migrations_center.services.apply.steps import Apply  # noqa: E402
from migrations_center.services.imports import import_now  # noqa: E402
from migrations_center.sources import logs  # noqa: E402
from migrations_center.sources.address import parse_source  # noqa: E402

ROWS = int(os.environ.get("ROWS", "200000"))
PEOPLE = 500
FIRST = 1_790_000_000
OTHER = (
    '{"model_ratio":1.25,"group_ratio":1,"completion_ratio":4,"cache_tokens":12,"cache_ratio":0.5,"frt":310,'
    '"model_price":-1,"request_path":"/v1/chat/completions","user_group_ratio":-1,"billing_source":"wallet"}'
)
SCHEMA = """
CREATE TABLE users (id integer primary key, username text, password text, role integer, status integer, quota integer,
    aff_quota integer, `group` text, aff_code text, deleted_at datetime);
CREATE TABLE tokens (id integer primary key, user_id integer, `key` text, status integer, name text, expired_time integer,
    unlimited_quota numeric, model_limits text, deleted_at datetime);
CREATE TABLE channels (id integer primary key, type integer, `key` text, status integer, models text, `group` text, tag text);
CREATE TABLE options (`key` text primary key, value text);
CREATE TABLE setups (id integer primary key, version text, initialized_at integer);
CREATE TABLE logs (id integer primary key, user_id integer, created_at integer, type integer, content text, username text,
    token_name text, model_name text, quota integer, prompt_tokens integer, completion_tokens integer, use_time integer,
    is_stream numeric, channel_id integer, token_id integer, `group` text, ip text, request_id text, other text);
"""


def make_source(path: Path) -> None:
    """A New API file with people, keys and ROWS calls spread over 30 days."""
    chance = random.Random(7)
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
        people = [(n, f"user{n}", "", 1, 1, 1000, 0, "default", f"a{n}") for n in range(1, PEOPLE + 1)]
        db.executemany("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", people)
        keys = [(n, n, f"{n:048d}", 1, "main", -1, 1) for n in range(1, PEOPLE + 1)]
        db.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, '', NULL)", keys)
        db.execute("INSERT INTO channels VALUES (1, 1, 'k', 1, 'gpt-4o', 'default', '')")
        db.execute("INSERT INTO setups VALUES (1, 'bench', 1)")
        rows = (
            (
                n,
                (person := chance.randint(1, PEOPLE)),
                FIRST + n * 2_592_000 // ROWS,
                f"model-{chance.randint(1, 40)}",
                chance.randint(1, 9000),
                chance.randint(10, 4000),
                chance.randint(1, 900),
                person,
                f"{n:032x}",
            )
            for n in range(1, ROWS + 1)
        )
        db.executemany(
            "INSERT INTO logs VALUES (?, ?, ?, 2, '', 'u', 'main', ?, ?, ?, ?, 2, 0, 1, ?, 'default', '203.0.113.7', ?, '"
            + OTHER
            + "')",
            rows,
        )
    db.close()


def finished_records(path: Path) -> list[tuple[object, ...]]:
    """The rows as the import would write them, made beforehand, so that the raw COPY has nothing to do but copying."""
    place = engine.Place(parse_source(str(path)))
    with engine.open_reading(place, ImportOptions()) as reading:
        source = engine.identify(reading)
        plan = engine.plan_of(reading, source)
        source.pk = 1
        work = Apply(plan, None, lambda *_: None)  # type: ignore[arg-type]
        work.user_ids = {n: n for n in range(1, PEOPLE + 1)}
        work.key_ids = dict(work.user_ids)
        writer = HistoryWriter(work)
        writer.ensure_months()
        return [writer.record(row) for _n, rows in logs.stream(reading.gateway) for row in rows]


def raw_copy(records: list[tuple[object, ...]]) -> float:
    """Seconds for one COPY of everything into the request log, in one transaction."""
    start = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        copy_rows(cursor, records, "billing_requestlog")
    return time.perf_counter() - start


def whole_import(path: Path) -> tuple[float, float]:
    """Seconds of a whole import, and of its log rows alone."""
    began: list[float] = []
    ended: list[float] = []

    def watch(step: str, done: int, total: int) -> None:
        if step == "money" and done == total:
            began.append(time.perf_counter())
        if step == "logs" and done == total:
            ended.append(time.perf_counter())

    start = time.perf_counter()
    import_now(engine.Place(parse_source(str(path))), ImportOptions(), dry_run=False, on_progress=watch)
    return time.perf_counter() - start, ended[-1] - began[-1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, own_database():
        path = Path(folder) / "source.db"
        make_source(path)
        records = finished_records(path)
        raw = raw_copy(records)
        assert RequestLog.objects.count() == ROWS
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE billing_requestlog")
        del records
        gc.collect()
        whole, history = whole_import(path)
        assert RequestLog.objects.count() == ROWS
        assert sum(UsageDelta.objects.values_list("call_count", flat=True)) == ROWS
    print(f"   {ROWS:,} log rows, {PEOPLE} people and keys, 5,000 rows a batch")
    print(f"   raw COPY of finished rows      {ROWS / raw:>10,.0f} rows/s")
    print(f"   import, log rows alone         {ROWS / history:>10,.0f} rows/s   {history / raw:.1f} x the time of the raw COPY")
    print(f"   import, everything             {ROWS / whole:>10,.0f} rows/s   {whole / raw:.1f} x")


if __name__ == "__main__":
    main()
