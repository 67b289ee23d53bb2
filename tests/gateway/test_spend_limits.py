"""Spend limits as a client meets them at the unified entry."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.selectors.limits import limits_of
from billing.services import ledger
from billing.services.budgets import set_spend_limit
from config.foundation.ids import uuid7
from tests.billing.helpers import broken
from tests.gateway.servers import until
from tests.gateway.world import USD, World, balance, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ZONE = "Asia/Shanghai"


def spend(key_id: int, user_id: int, nano: int, call: object = None) -> ledger.ReserveResult:
    """A call of this price, made over the contract as another relay would."""
    request = ledger.ReserveRequest(
        call or uuid7(),  # type: ignore[arg-type]
        user_id,
        None,
        key_id,
        nano,
        datetime.now(UTC) + timedelta(minutes=5),
    )
    (answer,) = ledger.reserve([request])
    if answer.status == "held":
        ledger.record_calls([ledger.CallEvent(request.request_id, nano, True, "", {"outcome": "ok", "user_id": user_id})])
    return answer


@pytest.fixture
def midnight() -> datetime:
    """The next midnight in Shanghai; the test would not make sense in the seconds before it."""
    local = datetime.now(ZoneInfo(ZONE))
    return (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def test_R017_a_daily_limit_over_the_entry(world: World, midnight: datetime) -> None:
    """R017: daily 10.00: 9.99 passes, the next 0.02 is refused with a quota code and no upstream call; after midnight in
    Shanghai it passes; what is left and the time with its zone are told."""
    person = world.person("50", time_zone=ZONE)
    key, clear = world.key(person)
    set_spend_limit(actor=person, key=key, span="daily", limit_nano=10 * USD)
    assert spend(key.pk, person.pk, 999 * USD // 100).status == "held"
    before = balance(person)
    # 6,700,000 tokens of 3 nano-dollars may cost 0.0201.
    answer = world.ask(clear, max_tokens=6_700_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "key_daily_limit_reached")
    message = answer.json()["error"]["message"]
    assert "$0.01 that is left" in message
    assert f"{midnight:%Y-%m-%d} 00:00 ({ZONE})" in message
    wait = midnight - datetime.now(UTC)
    assert abs(int(answer.headers["retry-after"]) - wait.total_seconds()) < 60
    log = log_of(answer.headers["x-request-id"])
    assert (log.outcome, log.error_code, log.attempts, log.cost_nano) == ("no_balance", "key_daily_limit_reached", [], 0)
    assert hold_of(answer.headers["x-request-id"]) is None
    assert balance(person) == before
    assert world.ask(clear).status_code == 200
    ms = int(midnight.timestamp() * 1000)
    assert spend(key.pk, person.pk, 2 * USD // 100, uuid7(ms - 1)).status == "key_limit"
    assert spend(key.pk, person.pk, 2 * USD // 100, uuid7(ms)).status == "held"
    (state,) = limits_of(person, key=key)
    assert state.resets_at == midnight
    assert until(lambda: broken() == {})


def test_a_limit_of_a_person_over_the_entry(world: World) -> None:
    person = world.person("5")
    _key, clear = world.key(person)
    set_spend_limit(actor=None, user=person, span="total", limit_nano=100)
    answer = world.ask(clear)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "person_limit_reached")
    assert "retry-after" not in answer.headers
    set_spend_limit(actor=None, user=person, span="total", limit_nano=None)
    assert world.ask(clear).status_code == 200


def test_R011_a_test_key_over_the_entry_spends_test_money_only(world: World) -> None:
    """R011: refused while there is no test money; then charged to the test purse, the wallet unchanged."""
    person = world.person("1")
    _key, clear = world.key(person, purpose="test")
    answer = world.ask(clear)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
    wallet = balance(person)
    sandbox = ledger.purse_for(user=person, kind="test")
    cash = ledger.house_account("cash").pk
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash, sandbox.pk, USD)])
    answers = [world.ask(clear) for _call in range(5)]
    assert {x.status_code for x in answers} == {200}
    cost = sum(log_of(x.headers["x-request-id"]).cost_nano for x in answers)
    assert cost > 0
    assert until(lambda: balance(person) == wallet + USD - cost)
    sandbox.refresh_from_db()
    assert sandbox.balance_nano == USD - cost
