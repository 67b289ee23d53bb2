"""The real LiteLLM proxy with lent money: it serves without asking for each call, also while the portal is away; killed, and
with a balance that lasts for some calls only, nobody is below zero and everything settles."""

import concurrent.futures
import time
from collections.abc import Iterator

import httpx
import pytest
from django.core.management import call_command

from accounts.models import User
from billing.models import Hold, Lease, LedgerAccount, RequestLog
from billing.services import ledger
from gateway.models import DataPlaneInstance
from models_catalog import services as catalog
from tests.gateway.litellm_server import installed, spool_folder, start_litellm, wait_for_models
from tests.gateway.planes import Plane, company
from tests.gateway.servers import Server, start_relay, until
from tests.gateway.test_litellm_plane import Stage, words
from tests.gateway.world import CREDENTIAL, balance, held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

COST = 1_600


class LentStage(Stage):
    def start(self) -> None:
        own = {f"PORTAL_SECRET_UPSTREAM_{number}": CREDENTIAL for number in (self.world.route.pk, self.world.messages_route.pk)}
        self.proxy = start_litellm(self.portal.url, self.plane.token, self.spool, PORTAL_MONEY="leases", **own)

    def ask(self, clear: str, **fields: object) -> int:
        body = {"model": "demo-chat", "messages": words("[[usage 1000 200]]"), "max_tokens": 500, **fields}
        headers = {"Authorization": f"Bearer {clear}"}
        return httpx.post(f"{self.proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=60).status_code


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
            stage.proxy.kill()
            stage.portal.kill()


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


def lent_and_charged(stage: LentStage, person: User, clear: str) -> None:
    assert stage.ask(clear) == 200
    until(lambda: open_lease(person), 20)
    on_lease = Hold.objects.filter(user=person, lease_id__isnull=False, state="settled")
    # The news of the new key may have ended the first lease.
    until(lambda: stage.ask(clear) == 200 and on_lease.exists(), 20)
    before = balance_settled(person)
    assert {stage.ask(clear, stream=n % 2 == 0) for n in range(6)} == {200}
    until(lambda: balance(person) == before - 6 * COST, 20)
    assert on_lease.count() >= 5
    until(lambda: DataPlaneInstance.objects.filter(lease_count__gte=1).exists(), 30)
    # Idle, everything comes back.
    until(lambda: held(person) == 0, 30)


def balance_settled(person: User) -> int:
    """The balance once every call that was served is charged."""
    until(lambda: not Hold.objects.filter(user=person, state="open").exists(), 20)
    found = -1
    while found != balance(person):
        found = balance(person)
        time.sleep(1)
    return found


def away_and_back(stage: LentStage, person: User, clear: str) -> None:
    settled = balance_settled(person)
    assert stage.ask(clear) == 200
    until(lambda: open_lease(person), 20)
    assert stage.ask(clear) == 200
    until(lambda: balance(person) == settled - 2 * COST, 20, 0.02)
    before, lent = balance(person), held(person)
    port = int(stage.portal.url.rpartition(":")[2])
    stage.portal.kill()
    codes = [stage.ask(clear) for _n in range(50)]
    served = codes.count(200)
    assert codes == [200] * served + [503] * (50 - served)
    assert 1 <= served < 50
    assert served * COST <= lent
    stage.portal = start_relay(app="config.asgi:application", ready_path="/healthz", port=port)
    until(lambda: balance(person) == before - served * COST, 60)
    until(lambda: held(person) == 0, 60)


def killed(stage: LentStage, person: User, clear: str) -> None:
    until(lambda: stage.ask(clear) == 200, 30, 0.5)
    until(lambda: open_lease(person), 20)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        text = words("[[usage 1000 200]] [[delay 3]]")
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
    ok = RequestLog.objects.filter(user_id=person.pk, outcome="ok").count()
    assert balance(person) == 10**9 - ok * COST


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
    stage.world.top_up(poor, 10 * 2_500)
    wait_for_models(stage.proxy, clear, "demo-chat")
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        codes = list(pool.map(lambda _n: stage.ask(clear, messages=words("[[usage 1000 500]]")), range(64)))
    assert set(codes) <= {200, 402}
    assert 1 <= codes.count(200) <= 10
    until(lambda: held(poor) == 0, 60)
    assert balance(poor) == (10 - codes.count(200)) * 2_500
    assert not LedgerAccount.objects.filter(is_purse=True, balance_nano__lt=0).exists()
