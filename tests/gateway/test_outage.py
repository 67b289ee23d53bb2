"""PostgreSQL is stopped as a server and started again: what goes on meanwhile, also through a restart of the relay, and that
everything settles afterwards."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.core.management import call_command

from accounts.models import Group, User
from billing.models import Lease, RequestLog
from gateway.relay.replay import read
from tests.billing.helpers import broken
from tests.gateway.own_postgres import OwnPostgres, own_postgres
from tests.gateway.planes import company
from tests.gateway.servers import Server, running, scratch, start_relay, until
from tests.gateway.world import World, balance, held

pytestmark = pytest.mark.slow

TEXT, COST = "[[usage 100 10]]", 130
START = 130 * 400


@pytest.fixture(scope="module")
def postgres(django_db_setup: None, django_db_blocker: Any, upstream: Server) -> Iterator[OwnPostgres]:
    """With a company in it, which all tests here share."""
    with django_db_blocker.unblock(), own_postgres() as own:
        company(upstream.url)
        yield own


class Place:
    """A machine with a disk, on which relays come and go."""

    def __init__(self, upstream: Server) -> None:
        self.upstream = upstream
        self.state = scratch("state")
        # The address stays; whether somebody answers there is another matter.
        self._environment = {"RELAY_MONEY": "leases", "RELAY_STATE_DIR": str(self.state), "RELAY_SPOOL_SYNC_MS": "200"}

    def relay(self, name: str) -> Server:
        return start_relay(RELAY_NAME=name, **self._environment)

    def ask(self, server: Server, clear: str, calls: int) -> list[int]:
        world = World(self.upstream, server)
        return [world.ask(clear, TEXT, max_tokens=60).status_code for _n in range(calls)]

    def settled(self) -> bool:
        """Nothing of relays that are gone is left on the disk but what lives."""
        return len(list((self.state / "spool").glob("*.lock"))) == 1


def customer(upstream: Server, relay: Server) -> tuple[User, str]:
    """Somebody with money for 400 calls, and a key that the relay has heard of."""
    world = World(upstream, relay, group=Group.objects.get())
    person = world.person("0")
    _, clear = world.key(person)
    world.top_up(person, START)
    world.settle_in()
    return person, clear


def lent(place: Place, server: Server, clear: str) -> Lease:
    """Calls until the payer has a lease that the news of the new purse does not end any more."""
    time.sleep(1)
    assert place.ask(server, clear, 2) == [200, 200]
    until(lambda: httpx.get(f"{server.url}/healthz").json()["waiting_events"] == 0)
    # What the next relay knows keys by is written every five seconds.
    until(lambda: any(path.stat().st_size > 100 for path in place.state.glob("keys-*.json")), 15)
    return Lease.objects.filter(state="open").latest("created_at")


@pytest.mark.parametrize("end", [Server.kill, Server.stop], ids=["kill -9", "stop"])
def test_a_relay_restarted_while_the_database_is_away_goes_on_with_what_was_lent(
    postgres: OwnPostgres, upstream: Server, end: Callable[[Server], None]
) -> None:
    """Calls before, during, after a restart in, and after a second restart in the outage: never more than was lent, every one
    charged once, and nothing is held in the end."""
    place = Place(upstream)
    with running(place.relay("first")) as first:
        person, clear = customer(upstream, first)
        lease = lent(place, first, clear)
        granted, before = lease.granted_nano, balance(person)
        postgres.stop()
        served = place.ask(first, clear, 3)
        assert served == [200] * 3
        end(first)
    with running(place.relay("second")) as second:
        codes = place.ask(second, clear, 3)
        assert codes == [200] * 3, second.errors()[-1500:]
        served += codes
        end(second)
    with running(place.relay("third")) as third:
        codes = place.ask(third, clear, 40)
        taken = codes.count(200)
        # Once it is used up the relay fails closed, and stays so.
        assert codes == [200] * taken + [503] * (40 - taken)
        assert 1 <= taken < 40
        served += codes[:taken]
        assert len(served) * COST <= granted
        postgres.start()
        until(lambda: place.ask(third, clear, 1) == [200], 30)
        until(lambda: balance(person) == before - COST * (len(served) + 1), 30)
        until(place.settled, 40)
        until(lambda: held(person) == 0, 40)
    ok = RequestLog.objects.filter(user_id=person.pk, outcome="ok")
    assert balance(person) == START - COST * ok.count()
    assert ok.count() == 2 + len(served) + 1
    # Every call on the lease was covered by it: none came late, none made a debt.
    assert not RequestLog.objects.filter(user_id=person.pk, error_code__in=["late", "hold_expired"]).exists()
    lease.refresh_from_db()
    assert lease.state == "closed"
    assert lease.spent_nano <= lease.granted_nano == granted
    assert broken() == {}
    call_command("ledger_check")


def test_two_relays_of_one_machine_share_what_a_third_left(postgres: OwnPostgres, upstream: Server) -> None:
    """Both serve the same payer at once; together never more than the lease, and the ends of a killed one are charged too."""
    place = Place(upstream)
    with running(place.relay("gone")) as gone:
        person, clear = customer(upstream, gone)
        granted = lent(place, gone, clear).granted_nano
        postgres.stop()
        gone.kill()
    with running(place.relay("left")) as left, running(place.relay("right")) as right:
        codes = [code for _n in range(30) for server in (left, right) for code in place.ask(server, clear, 1)]
        assert set(codes) == {200, 503}
        assert codes[:2] == [200, 200]
        assert codes.count(200) * COST <= granted
        left.kill()
        postgres.start()
        until(lambda: place.ask(right, clear, 1) == [200], 30)
        until(place.settled, 40)
        until(lambda: held(person) == 0, 40)
    served = RequestLog.objects.filter(user_id=person.pk, outcome="ok").count()
    assert served == 2 + codes.count(200) + 1
    assert balance(person) == START - COST * served
    assert broken() == {}
    call_command("ledger_check")


def test_while_the_database_is_there_nothing_is_taken_up(postgres: OwnPostgres, upstream: Server) -> None:
    place = Place(upstream)
    with running(place.relay("first")) as first:
        person, clear = customer(upstream, first)
        lent(place, first, clear)
        first.kill()
    with running(place.relay("second")) as second:
        assert place.ask(second, clear, 2) == [200, 200]
        until(place.settled, 40)
        assert "is taken up" not in second.errors()
        assert all(not read(place.state / "spool", path.stem).ends for path in (place.state / "spool").glob("first*.lock"))
    until(lambda: held(person) == 0, 10)
    assert broken() == {}
