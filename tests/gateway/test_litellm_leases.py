"""The real LiteLLM proxy with lent money: it serves without asking for each call, also while the portal is away; killed, and
with a balance that lasts for some calls only, nobody is below zero and everything settles."""

import concurrent.futures
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from django.core.management import call_command

from accounts.models import User
from billing.models import Hold, Lease, LedgerAccount, RequestLog
from billing.services import ledger
from models_catalog import services as catalog
from tests.gateway.litellm_server import installed, spool_folder, start_litellm, wait_for_models
from tests.gateway.planes import Plane, company
from tests.gateway.servers import Server, start_relay, until
from tests.gateway.test_litellm_plane import Stage, words
from tests.gateway.world import CREDENTIAL, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# 20 tokens in, 500 out; a little more is kept free for each, as the words of the request are counted generously.
COST, MOST = 1_520, 1_600


@dataclass
class LentStage(Stage):
    # Calls that were answered.
    served: int = 0

    def start(self) -> None:
        own = {f"PORTAL_SECRET_UPSTREAM_{number}": CREDENTIAL for number in (self.world.route.pk, self.world.messages_route.pk)}
        self.proxy = start_litellm(self.portal.url, self.plane.token, self.spool, PORTAL_MONEY="leases", **own)

    def ask(self, clear: str, **fields: object) -> int:
        body = {"model": "demo-chat", "messages": words("[[usage 20 500]]"), "max_tokens": 500, **fields}
        headers = {"Authorization": f"Bearer {clear}"}
        answer = httpx.post(f"{self.proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        self.served += answer.status_code == 200
        return answer.status_code


@pytest.fixture
def stage(transactional_db: None, upstream: Server) -> Iterator[LentStage]:
    installed()
    upstream.reset()
    world = company(upstream.url)
    catalog.set_upstream_state(actor_name="test", upstream=world.messages_route, state="disabled")
    portal = start_relay(app="config.asgi:application", ready_path="/healthz")
    with spool_folder() as spool:
        stage = LentStage(world, Plane.new(), portal, spool)
        stage.start()
        try:
            yield stage
        finally:
            for server in (stage.proxy, stage.portal):
                if server.process.poll() is None:
                    server.kill()


def test_litellm_serves_from_lent_money(stage: LentStage):
    """Bounded and never below zero (R028), through an outage of the portal and a kill -9 of the proxy."""
    person = stage.world.person("1")
    _, clear = stage.world.key(person)
    wait_for_models(stage.proxy, clear, "demo-chat")
    lent_and_charged(stage, person, clear)
    away_and_back(stage, person, clear)
    killed(stage, person, clear)
    a_balance_for_ten(stage)
    call_command("ledger_check")


def open_lease(person: User) -> Lease | None:
    return Lease.objects.filter(user=person, state="open").first()


def until_lent(stage: LentStage, person: User, clear: str) -> None:
    """Calls until there is a lease: the first is asked for, and the news of a new key may end the first lease."""
    until(lambda: stage.ask(clear) == 200 and open_lease(person), 60, 0.3)


def settled(stage: LentStage, person: User) -> int:
    """The balance, once each call that was answered is charged."""
    until(lambda: balance(person) == 10**9 - COST * stage.served, 60)
    return balance(person)


def lent_and_charged(stage: LentStage, person: User, clear: str) -> None:
    until_lent(stage, person, clear)
    settled(stage, person)
    on_lease = Hold.objects.filter(user=person, lease_id__isnull=False, state="settled")
    before = on_lease.count()
    assert {stage.ask(clear, stream=n % 2 == 0) for n in range(6)} == {200}
    settled(stage, person)
    assert on_lease.count() - before >= 4
    # Idle, everything comes back.
    until(lambda: held(person) == 0, 60)


def away_and_back(stage: LentStage, person: User, clear: str) -> None:
    until_lent(stage, person, clear)
    settled(stage, person)
    assert stage.ask(clear) == 200
    settled(stage, person)
    port = int(stage.portal.url.rpartition(":")[2])
    stage.portal.kill()
    # PostgreSQL knows what is lent; nobody can change that now.
    lent = held(person)
    codes = [stage.ask(clear) for _n in range(50)]
    served = codes.count(200)
    assert codes == [200] * served + [503] * (50 - served)
    assert 1 <= served < 50
    assert served * COST <= lent
    stage.portal = start_relay(app="config.asgi:application", ready_path="/healthz", port=port)
    settled(stage, person)
    until(lambda: held(person) == 0, 60)


def killed(stage: LentStage, person: User, clear: str) -> None:
    until_lent(stage, person, clear)
    settled(stage, person)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        text = words("[[usage 20 500]] [[delay 3]]")
        before = calls_of(stage)
        calls = [pool.submit(lost, stage, clear, text) for _n in range(4)]
        until(lambda: calls_of(stage) == before + 4, 20)
        stage.proxy.kill()
        assert [one.result() for one in calls] == [0] * 4
    assert held(person) > 0
    stage.start()

    def is_all_back() -> bool:
        # Calls that were asked for by themselves are ended by the sweeper.
        ledger.expire_holds()
        return held(person) == 0

    until(is_all_back, 60, 0.2)
    cut_off = RequestLog.objects.filter(user_id=person.pk, error_code="hold_expired")
    assert cut_off.count() >= 1
    assert {row.cost_nano for row in cut_off} == {0}
    settled(stage, person)


def calls_of(stage: LentStage) -> int:
    """Calls that reached the upstream."""
    return int(httpx.get(f"{stage.world.route.base_url}/__calls").json()["total"])


def lost(stage: LentStage, clear: str, messages: list[dict[str, str]]) -> int:
    try:
        return stage.ask(clear, messages=messages)
    except httpx.HTTPError:
        return 0


def a_balance_for_ten(stage: LentStage) -> None:
    poor = stage.world.person("0")
    _, clear = stage.world.key(poor)
    stage.world.top_up(poor, 10 * MOST)
    wait_for_models(stage.proxy, clear, "demo-chat")
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        codes = list(pool.map(lambda _n: stage.ask(clear, messages=words("[[usage 20 500]]")), range(64)))
    assert set(codes) <= {200, 402}
    assert 1 <= codes.count(200) <= 10
    until(lambda: held(poor) == 0, 60)
    assert balance(poor) == 10 * MOST - codes.count(200) * COST
    assert not LedgerAccount.objects.filter(is_purse=True, balance_nano__lt=0).exists()
