"""Many at once over the contract, against the real PostgreSQL: never more than the balance, each event once."""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from billing.models import Hold, LedgerEntry, RequestLog
from config.foundation.ids import uuid7
from gateway.models import DataPlane
from gateway.services.planes import rotate_token
from tests.gateway.planes import Company, Plane, company, end
from tests.gateway.servers import until
from tests.gateway.world import balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

COST = 1_600
RESERVED = 2_500


@pytest.fixture
def world() -> Company:
    return company()


def at_once(count: int, act: Callable[[int], Any], threads: int = 16) -> list[Any]:
    """What ``act`` gives for each number, run side by side; every thread closes its connection."""

    def run(n: int) -> Any:
        try:
            return act(n)
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(count)))


def test_64_parallel_authorizes_on_a_balance_for_10(world: Company):
    """gateway.md 3.6: exactly 10 are admitted, the balance never goes below what is held, the ledger is clean."""
    plane = Plane.new()
    person = world.person("0")
    _, clear = world.key(person)
    world.top_up(person, 10 * RESERVED)
    answers = at_once(64, lambda n: Plane(plane.row, plane.token).ask(clear))
    allowed = [one for one in answers if one["decision"] == "allow"]
    assert len(allowed) == 10
    assert {one["code"] for one in answers if one["decision"] == "deny"} == {"insufficient_quota"}
    assert (balance(person), held(person)) == (10 * RESERVED, 10 * RESERVED)
    plane.told(*(end(one["request_id"]) for one in allowed))
    assert (balance(person), held(person)) == (10 * (RESERVED - COST), 0)
    assert RequestLog.objects.filter(user_id=person.pk).count() == 64
    call_command("ledger_check")


def test_the_same_batch_from_eight_at_once_counts_once(world: Company):
    plane = Plane.new()
    person = world.person("1")
    _, clear = world.key(person)
    batch = [end(plane.ask(clear)["request_id"]) for _ in range(20)]

    def send(n: int) -> list[str]:
        # Each in another order: nobody may wait in a circle.
        mine = batch[n:] + batch[:n]
        return [one["status"] for one in Plane(plane.row, plane.token).told(*mine)]

    answers = at_once(8, send, threads=8)
    statuses = [status for answer in answers for status in answer]
    assert (statuses.count("accepted"), statuses.count("duplicate")) == (20, 140)
    assert LedgerEntry.objects.filter(kind="charge").count() == 20
    assert (balance(person), held(person)) == (10**9 - 20 * COST, 0)
    call_command("ledger_check")


def test_one_request_id_asked_by_many_is_one_hold(world: Company):
    plane = Plane.new()
    person = world.person("1")
    _, clear = world.key(person)
    request_id = uuid7()
    answers = at_once(12, lambda n: Plane(plane.row, plane.token).ask(clear, request_id=request_id))
    assert {one["decision"] for one in answers} == {"allow"}
    assert held(person) == RESERVED
    assert Hold.objects.filter(user=person).count() == 1


def _kill_who_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'cut off' AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchall())


def test_a_batch_that_is_cut_off_in_the_middle_leaves_nothing_and_may_come_again(world: Company):
    """The connection to PostgreSQL is killed inside the transaction: 503, no event noted, nothing charged."""
    plane = Plane.new()
    person = world.person("1")
    _, clear = world.key(person)
    request_id = plane.ask(clear)["request_id"]
    answers: list[Any] = []
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        # The batch notes its event and then waits for this hold.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM billing_hold WHERE id = %s FOR UPDATE", [request_id])
            locked.set()
            release.wait(20)
        connection.close()

    def send() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'cut off'")
        answers.append(Plane(plane.row, plane.token).send(end(request_id)))
        connection.close()

    threads = [threading.Thread(target=lock), threading.Thread(target=send)]
    threads[0].start()
    assert locked.wait(10)
    threads[1].start()
    until(lambda: _kill_who_waits(), 10)
    threads[1].join(10)
    release.set()
    threads[0].join(10)
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "service_unavailable")
    assert held(person) == RESERVED
    assert plane.told(end(request_id))[0]["status"] == "accepted"
    assert (balance(person), held(person)) == (10**9 - COST, 0)
    call_command("ledger_check")


def test_a_change_that_is_committed_late_is_not_missed_by_the_key_feed(world: Company):
    """A transaction that began before the reading and ends after it: its key is told at the next reading."""
    from keys.services import issue_key

    plane = Plane.new()
    person = world.person("1")
    go, done = threading.Event(), threading.Event()
    made: list[int] = []

    def slow() -> None:
        with transaction.atomic():
            made.append(issue_key(actor=None, owner=person, name="slow")[0].pk)
            done.set()
            go.wait(10)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert done.wait(10)
    first = plane.get("keys").json()
    quick, _ = world.key(person)
    second = plane.get("keys", since=first["cursor"]).json()
    assert {row["key_id"] for row in second["rows"]} == {quick.pk}
    go.set()
    thread.join(10)
    third = plane.get("keys", since=second["cursor"]).json()
    assert made[0] in {row["key_id"] for row in third["rows"]}


def test_two_rotations_at_once_never_leave_two_people_with_dead_tokens(world: Company):
    plane = Plane.new()
    tokens: list[str] = []

    def turn(n: int) -> None:
        from config.foundation.errors import Conflict

        try:
            tokens.append(rotate_token(actor=None, plane=DataPlane.objects.get(pk=plane.row.pk)))
        except Conflict:
            return

    at_once(4, turn, threads=4)
    assert tokens
    assert Plane(plane.row, tokens[-1]).get("keys").status_code == 200
