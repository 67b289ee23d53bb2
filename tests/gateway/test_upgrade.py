"""An upgrade under traffic: between two migrations the functions of the database and its tables do not fit for a while.

Migration 0041 of billing brings functions that write a column which 0042 makes. What ends meanwhile waits and is charged.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from billing.models import RequestLog
from config.foundation.ids import uuid7
from gateway.contract.task_ends import MOST_FAILED_CHECKS
from gateway.relay.replay import replay, survey
from tests.billing.helpers import broken, hold, key_of, rich
from tests.gateway.servers import running, scratch, start_relay, until
from tests.gateway.task_world import CENT, look_now, post, task_of, with_media
from tests.gateway.test_spool import event, spool_in
from tests.gateway.world import USD, World, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@contextmanager
def between_two_migrations() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_usagedelta RENAME quarter_at TO hour_at")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE billing_usagedelta RENAME hour_at TO quarter_at")


@pytest.mark.parametrize("money", ["holds", "leases"])
def test_ends_of_calls_between_two_migrations_are_charged_when_the_second_is_through(world: World, money: str) -> None:
    person = world.person("1")
    _, clear = world.key(person)
    state = scratch("state")
    answers: list[Any] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            answers.append(world_of_own.ask(clear, "[[usage 100 10]]", stream=len(answers) % 2 == 0))

    with running(start_relay(RELAY_STATE_DIR=str(state), RELAY_MONEY=money)) as server:
        world_of_own = World(world.upstream, server)
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 20, 20)
        with between_two_migrations():
            seen = len(answers)
            until(lambda: len(answers) > seen + 20, 20)
            assert RequestLog.objects.filter(user_id=person.pk).count() < len(answers)
        stop.set()
        for thread in threads:
            thread.join()
        until(lambda: RequestLog.objects.filter(user_id=person.pk).count() == len(answers), 20)
        until(lambda: balance(person) == USD - 130 * len(answers))
    assert {answer.status_code for answer in answers} == {200}
    assert list(RequestLog.objects.filter(user_id=person.pk).values_list("cost_nano", flat=True)) == [130] * len(answers)
    assert held(person) == 0
    assert not list(state.rglob("refused.jsonl"))
    assert broken() == {}


def test_what_a_relay_left_waits_for_the_second_migration_too(tmp_path: Any) -> None:
    user, _purse = rich(amount=1000)
    call = uuid7()
    assert hold(user, 100, key=key_of(user), call=call).status == "held"
    spool = spool_in(tmp_path)
    spool.ended(call, event(call, 60))
    spool.close()
    with between_two_migrations():
        with pytest.raises(Exception, match="quarter_at"):
            replay(tmp_path)
        assert len(survey(tmp_path)[0].ends) == 1
    assert replay(tmp_path)[0].answers == {"recorded": 1}
    assert not list(tmp_path.rglob("refused.jsonl"))
    assert broken() == {}


def test_a_video_whose_end_cannot_be_kept_comes_before_people_and_is_charged_once_it_can(world: World) -> None:
    """Its money is held meanwhile; without a word of it the hold would be prolonged for ever."""
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, seconds="4", size="1280x720").json()["id"]
    with between_two_migrations():
        look_now(made)
        assert (task_of(made).state, held(person)) == ("queued", 40 * CENT)
        look_now(made, rounds=MOST_FAILED_CHECKS)
        task = task_of(made)
        assert (task.state, task.doubt) == ("unknown", "no_answer end_not_kept ProgrammingError")
        assert (held(person), balance(person)) == (40 * CENT, 500 * CENT)
    look_now(made)
    assert (task_of(made).state, balance(person), held(person)) == ("completed", 460 * CENT, 0)
    assert broken() == {}
