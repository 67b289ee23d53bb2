"""Relays that serve calls from leases: never more than the balance, several at once, killed or cut off from the database."""

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.models import F

from billing.models import Hold, Lease, LedgerAccount, LedgerEntry, RequestLog
from billing.services import leases, ledger
from billing.services.budgets import set_spend_limit
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, counted
from tests.gateway.servers import Server, running, start_relay, test_database_url, until
from tests.gateway.test_spool import behind_a_door
from tests.gateway.world import USD, World, balance, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def lenders(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[Server]]:
    """Two relays that lend, as two machines: each with a disk of its own."""
    with django_db_blocker.unblock():
        servers = [start_relay(RELAY_MONEY="leases", RELAY_NAME=f"lender {n}") for n in range(2)]
    with running(servers[0]), running(servers[1]):
        yield servers


@pytest.fixture
def worlds(world: World, lenders: list[Server]) -> Iterator[list[World]]:
    """The same world behind each of the two."""
    both = [World(world.upstream, lender, group=world.group) for lender in lenders]
    for one in both:
        one.settle_in()
    world.upstream.reset()
    yield both
    until(lambda: not any(httpx.get(f"{one.relay.url}/healthz").json()["waiting_events"] for one in both), 10)


def test_a_call_is_served_from_a_lease_and_charged_once(worlds: list[World]) -> None:
    one = worlds[0]
    person = one.person("1")
    _, clear = one.key(person)
    answers = [one.ask(clear, "[[usage 100 10]]", max_tokens=60) for _n in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    until(lambda: balance(person) == USD - 5 * 130)
    # The news of the new purse may have made an end of the first one.
    lease = Lease.objects.filter(user=person).latest("created_at")
    assert (lease.state, sum(Lease.objects.filter(user=person).values_list("spent_nano", flat=True))) == ("open", 5 * 130)
    until(lambda: held(person) == leases.lent_nano(user=person) > 0)
    row = log_of(answers[0].headers["x-request-id"])
    assert (row.cost_nano, row.outcome, row.held_nano > 130) == (130, "ok", True)
    assert set(Hold.objects.filter(user=person).values_list("lease_id", "state")) == {
        (one, "settled") for one in Lease.objects.filter(user=person, spent_nano__gt=0).values_list("pk", flat=True)
    }
    assert broken() == {}
    # Idle, it comes back.
    until(lambda: held(person) == 0, 20)
    assert leases.lent_nano(user=person) == 0
    assert balance(person) == USD - 5 * 130


def test_R028_64_parallel_calls_on_two_relays_with_a_balance_for_10(worlds: list[World]) -> None:
    """R028, strict: at most 10 are served, overdraft 0 at every moment, whoever lends."""
    person = worlds[0].person("0")
    _, clear = worlds[0].key(person)
    text, price = "hi [[usage 20 500]] [[delay 0.5]]", 20 + 3 * 500
    worlds[0].top_up(person, 10 * price)
    lowest, purse, stop = [0], LedgerAccount.objects.filter(user=person), threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            lowest[0] = min(lowest[0], purse.annotate(free=F("balance_nano") - F("held_nano")).get().free)
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: worlds[n % 2].ask(clear, text), range(64)))
    stop.set()
    watcher.join()
    ok = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 402}
    assert 1 <= len(ok) <= 10
    assert worlds[0].upstream.calls()["total"] == len(ok)
    until(lambda: RequestLog.objects.filter(user_id=person.pk).count() == 64, 10)
    until(lambda: held(person) == 0, 20)
    assert balance(person) == (10 - len(ok)) * price
    assert lowest[0] >= 0
    assert not LedgerEntry.objects.filter(from_account__user=person, draw="debt").exists()
    assert broken() == {}


def test_R028_many_payers_on_two_relays_spend_exactly_what_they_have(worlds: list[World]) -> None:
    """R028: balances that last for some calls only; what is served is charged, nobody is below zero, all leases come back."""
    people = [worlds[0].person("0") for _n in range(6)]
    keys = [worlds[0].key(person)[1] for person in people]
    for person in people:
        worlds[0].top_up(person, 130 * 40)

    def call(n: int) -> int:
        return worlds[n % 2].ask(keys[n % 6], "hi [[usage 100 10]]", max_tokens=60).status_code

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(call, range(180)))
    assert set(codes) <= {200, 402}
    until(lambda: sum(held(person) for person in people) == 0, 20)
    served = RequestLog.objects.filter(user_id__in=[person.pk for person in people], outcome="ok")
    assert served.count() == codes.count(200)
    assert sum(balance(person) for person in people) == 6 * 130 * 40 - 130 * codes.count(200)
    assert min(balance(person) for person in people) >= 0
    assert broken() == {}


def test_a_limit_that_comes_holds_for_the_next_call(worlds: list[World]) -> None:
    one = worlds[0]
    person = one.person("1")
    key, clear = one.key(person)
    assert one.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
    set_spend_limit(actor=None, key=key, span="total", limit_nano=900, time_zone="UTC")
    until(lambda: not Lease.objects.filter(user=person, state="open").exists(), 10)
    codes = [one.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code for _n in range(12)]
    assert codes[0] == 200
    assert codes[-1] == 403
    until(lambda: held(person) == 0, 10)
    assert counted(key=key) == (130 * (1 + codes.count(200)), 0)
    assert 130 * (1 + codes.count(200)) <= 900
    assert broken() == {}


def test_a_purse_that_is_shut_serves_nobody(worlds: list[World]) -> None:
    one = worlds[1]
    person = one.person("1")
    _, clear = one.key(person)
    assert one.ask(clear, "[[usage 100 10]]").status_code == 200
    ledger.set_spendable(actor=None, user_ids=[person.pk], origin=None, is_spendable=False)
    until(lambda: one.ask(clear, "[[usage 100 10]]").status_code == 402, 5)
    until(lambda: held(person) == 0, 10)
    assert broken() == {}


def test_a_test_key_spends_test_money_and_a_failed_call_nothing(worlds: list[World]) -> None:
    one = worlds[0]
    person = one.person("1")
    key, clear = one.key(person)
    ApiKey.objects.filter(pk=key.pk).update(purpose="test")
    assert one.ask(clear).status_code == 402
    purse = ledger.purse_for(user=person, kind="test")
    cash = ledger.house_account("cash")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, USD)])
    until(lambda: one.ask(clear, "[[usage 100 10]]").status_code == 200, 15)
    assert one.ask(clear, model="demo-500").status_code >= 500
    until(lambda: RequestLog.objects.filter(user_id=person.pk, outcome="upstream_error").exists())
    purse.refresh_from_db()
    spent = RequestLog.objects.filter(user_id=person.pk, outcome="ok").count() * 130
    assert (purse.balance_nano, balance(person)) == (USD - spent, 2 * USD - spent)
    assert broken() == {}


def test_kill_9_gives_back_what_was_not_spent_once_its_time_is_over(worlds: list[World]) -> None:
    """Nobody finds the disk of the dead relay: the sweeper gives back the rest of its lease."""
    person = worlds[0].person("1")
    _, clear = worlds[0].key(person)
    with running(start_relay(RELAY_MONEY="leases", RELAY_NAME="gone for ever")) as victim:
        other = World(worlds[0].upstream, victim)
        assert other.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        until(lambda: balance(person) == USD - 130)
        victim.kill()
    assert held(person) > 0
    over = now() + timedelta(seconds=settings.LEASE_SECONDS + settings.HOLD_SECONDS + 1)
    assert leases.expire_leases() == 0
    assert leases.expire_leases(at=over) >= 1
    assert (balance(person), held(person)) == (USD - 130, 0)
    assert broken() == {}


def test_while_the_database_is_away_calls_go_on_as_long_as_the_lease_lasts(world: World, tmp_path: Path) -> None:
    person = world.person("0")
    _, clear = world.key(person)
    world.top_up(person, 130 * 200)
    with behind_a_door(tmp_path, "leases") as (server, door):
        other = World(world.upstream, server)
        assert other.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        until(lambda: balance(person) == 130 * 199)
        # The news of the new key must have come before the silence.
        time.sleep(1)
        assert other.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        until(lambda: balance(person) == 130 * 198)
        (lease,) = Lease.objects.filter(user=person)
        door.shut()
        codes = [other.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code for _n in range(40)]
        served = codes.count(200)
        # Then it fails closed, and stays so.
        assert codes == [200] * served + [503] * (40 - served)
        assert 1 <= served < 40
        assert (served + 2) * 130 <= lease.granted_nano
        door.open()
        until(lambda: other.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200, 15)
        until(lambda: balance(person) <= 130 * (197 - served), 10)
    until(lambda: held(person) == 0, 10)
    assert balance(person) == 130 * 200 - 130 * RequestLog.objects.filter(user_id=person.pk, outcome="ok").count()
    assert broken() == {}


def test_lines_cut_and_redis_emptied_under_load_lose_nothing(worlds: list[World]) -> None:
    """Every connection to PostgreSQL is cut several times and Redis is emptied, as a restart of both does it."""
    people = [worlds[0].person("1") for _n in range(4)]
    keys = [worlds[0].key(person)[1] for person in people]
    stop = threading.Event()

    def storm() -> None:
        with psycopg.connect(test_database_url(), autocommit=True) as line:
            while not stop.wait(0.3):
                line.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'portal relay'"
                )
                redis.from_url(settings.REDIS_URL).flushdb()

    thread = threading.Thread(target=storm)
    thread.start()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: worlds[n % 2].ask(keys[n % 4], "[[usage 100 10]]").status_code, range(120)))
    stop.set()
    thread.join()
    assert set(codes) <= {200, 503}
    assert codes.count(200) > 0
    served = RequestLog.objects.filter(user_id__in=[person.pk for person in people], outcome="ok")
    until(lambda: served.count() == codes.count(200), 20)
    until(lambda: sum(held(person) for person in people) == 0, 30)
    assert sum(balance(person) for person in people) == 4 * USD - 130 * codes.count(200)
    assert broken() == {}
