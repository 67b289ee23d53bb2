"""Many at once, and processes that die: the ledger has one effect per call and nothing stays held."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from billing.models import Hold, LedgerEntry, RequestLog, UsageCube, UsageDelta
from billing.services import ledger, usage
from config.foundation.clock import now
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, end, figures, hold, key_of, rich, wants

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
THREADS = 64


def dsn() -> str:
    # From the open connection's settings: the test database has a name of its own.
    params = connection.get_connection_params()
    return make_conninfo(**{name: params[name] for name in ("host", "port", "user", "password", "dbname") if params.get(name)})


@pytest.fixture
def pool() -> Iterator[ConnectionPool[Any]]:
    connection.ensure_connection()
    with ConnectionPool(dsn(), min_size=4, max_size=16, kwargs={"autocommit": True}) as made:
        yield made


def together(pool: ConnectionPool[Any], sql: str, payloads: list[str]) -> list[tuple[Any, ...]]:
    """Every payload in a thread of its own, let go at the same moment; the rows of all answers."""
    barrier = threading.Barrier(len(payloads))

    def run(payload: str) -> list[tuple[Any, ...]]:
        barrier.wait(30)
        with pool.connection(timeout=60) as line:
            return line.execute(sql, [payload]).fetchall()

    with ThreadPoolExecutor(len(payloads)) as threads:
        return [row for rows in threads.map(run, payloads) for row in rows]


def test_64_calls_at_once_on_a_balance_for_10_hold_exactly_10(pool: ConnectionPool[Any]) -> None:
    user, purse = rich(amount=10 * 100 + 99)
    requests = [wants(user, 100) for _ in range(THREADS)]
    rows = together(pool, ledger.RESERVE_SQL, [ledger.reserve_payload([request]) for request in requests])
    assert Counter(row[1] for row in rows) == {"held": 10, "no_balance": 54}
    assert figures(purse) == (1099, 1000)
    events = [ledger.CallEvent(row[0], 100, True) for row in rows if row[1] == "held"]
    together(pool, ledger.RECORD_SQL, [ledger.record_payload([event]) for event in events])
    assert figures(purse) == (99, 0)
    assert broken() == {}


def test_each_call_sent_twice_at_once_has_one_effect(pool: ConnectionPool[Any]) -> None:
    user, purse = rich(amount=100_000)
    key = key_of(user)
    requests = [wants(user, 100 + n, key=key) for n in range(16)]
    payloads = [ledger.reserve_payload([request]) for request in requests]
    rows = together(pool, ledger.RESERVE_SQL, payloads * 2)
    assert Counter(row[1] for row in rows) == {"held": 16, "repeated": 16}
    events = [ledger.CallEvent(request.request_id, 50 + n, True) for n, request in enumerate(requests)]
    rows = together(pool, ledger.RECORD_SQL, [ledger.record_payload([event]) for event in events] * 2)
    assert Counter(row[1] for row in rows) == {"recorded": 16, "repeated": 16}
    assert figures(purse) == (100_000 - sum(50 + n for n in range(16)), 0)
    assert LedgerEntry.objects.filter(kind="charge").count() == RequestLog.objects.count() == 16
    assert broken() == {}


def test_overlapping_batches_in_opposite_orders_neither_deadlock_nor_double(pool: ConnectionPool[Any]) -> None:
    people = [rich(f"person{n}", 1_000_000)[0] for n in range(6)]
    requests = [wants(people[n % 6], 10) for n in range(60)]
    batches = [ledger.reserve_payload(part) for part in (requests, requests[::-1], requests[20:], requests[:40][::-1])]
    rows = together(pool, ledger.RESERVE_SQL, batches * 3)
    assert Counter(row[1] for row in rows)["held"] == 60
    events = [ledger.CallEvent(request.request_id, n % 13, True) for n, request in enumerate(requests)]
    batches = [ledger.record_payload(part) for part in (events, events[::-1], events[20:], events[:40][::-1])]
    sweep = threading.Thread(target=lambda: together(pool, "SELECT billing_expire_holds(%s::int)", ["50"] * 4))
    sweep.start()
    rows = together(pool, ledger.RECORD_SQL, batches * 3)
    sweep.join()
    assert Counter(row[1] for row in rows)["recorded"] == 60
    assert Hold.objects.filter(state="open").count() == 0
    assert broken() == {}


def test_a_late_report_and_the_sweeper_at_once_charge_once(pool: ConnectionPool[Any]) -> None:
    user, purse = rich(amount=10_000)
    requests = [wants(user, 100, seconds=-1) for _ in range(20)]
    ledger.reserve(requests)
    events = [ledger.record_payload([ledger.CallEvent(request.request_id, 60, True)]) for request in requests]
    sweep = threading.Thread(target=lambda: together(pool, "SELECT billing_expire_holds(%s::int)", ["3"] * 10))
    sweep.start()
    rows = together(pool, ledger.RECORD_SQL, events * 2)
    sweep.join()
    answers = Counter(row[1] for row in rows)
    assert answers["repeated"] == 20
    assert answers["recorded"] + answers["late"] == 20
    assert figures(purse) == (10_000 - 20 * 60, 0)
    assert RequestLog.objects.filter(error_code="hold_expired").count() == 0
    assert broken() == {}


def test_two_workers_fold_each_count_once(pool: ConnectionPool[Any]) -> None:
    user, _purse = rich(amount=10_000_000)
    for _batch in range(5):
        requests = [wants(user, 10) for _ in range(40)]
        ledger.reserve(requests)
        for n, request in enumerate(requests):
            end(request.request_id, 3, user_id=user.pk, billed_model=f"m{n % 5}", input_tokens=n)
    done = run_in_threads([lambda: fold_until_empty(7) for _ in range(2)])
    assert sum(done) == 200
    assert UsageDelta.objects.count() == 0
    assert sum(UsageCube.objects.values_list("call_count", flat=True)) == 200
    assert sum(UsageCube.objects.values_list("cost_nano", flat=True)) == 600
    assert broken() == {}


def fold_until_empty(limit: int) -> int:
    total = 0
    for _round in range(400):
        moved = usage.fold_usage(limit)
        total += moved
        if not moved and not UsageDelta.objects.exists():
            break
    return total


def run_in_threads(jobs: list[Callable[[], int]]) -> list[int]:
    def closing(job: Callable[[], int]) -> int:
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(closing, jobs))


LOOP = Path(__file__).with_name("calling_loop.py")


def test_a_process_killed_in_the_middle_leaves_nothing_held() -> None:
    """kill -9 of a process that reserves and records; afterwards the sweeper ends what it held, and every sum ties out."""
    user, purse = rich(amount=10**12)
    connection.ensure_connection()
    for _round in range(2):
        child = subprocess.Popen(
            [sys.executable, str(LOOP), str(user.pk)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd(), "CALLING_LOOP_DSN": dsn()},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"calling\n"
        time.sleep(0.4)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
    wait_until_quiet()
    calls = RequestLog.objects.count()
    assert calls > 0
    assert Hold.objects.filter(state="open").exists()
    assert broken() == {}
    ledger.expire_holds(at=now() + timedelta(hours=1))
    assert Hold.objects.filter(state="open").count() == 0
    assert figures(purse)[1] == 0
    assert broken(now() + timedelta(hours=1)) == {}
    call_command("ledger_check", stdout=StringIO())


def wait_until_quiet() -> None:
    """Until the server has noticed that the killed clients are gone."""
    for _attempt in range(100):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'calling_loop'")
            if cursor.fetchone()[0] == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the killed process is still connected")


def test_a_hold_survives_only_as_a_whole() -> None:
    """A transaction that ends without a commit leaves neither hold nor held money."""
    user, purse = rich(amount=1000)
    connection.ensure_connection()
    with psycopg.connect(dsn()) as line:
        line.execute(ledger.RESERVE_SQL, [ledger.reserve_payload([wants(user, 100, call=uuid7())])])
        line.rollback()
    assert figures(purse) == (1000, 0)
    assert hold(user, 1000).status == "held"
