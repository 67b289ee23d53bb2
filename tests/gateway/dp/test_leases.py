"""Money lent to a data plane."""

import pytest
from django.core.management import call_command

from billing.pricing import RuleFigures
from config.foundation.ids import uuid7
from keys.services import disable_key
from tests.gateway.planes import Company, Plane, end
from tests.gateway.world import RULE, balance, charges, held, log_of

pytestmark = pytest.mark.django_db

# 1,000 in at 1 nano-dollar and 200 out at 3.
COST = 1_600


def lend(plane: Plane, key_id: int, wanted: int = 10_000, least: int = 2_500) -> dict:
    wish = {"lease_id": str(uuid7()), "key_id": key_id, "wanted_nano": wanted, "least_nano": least}
    answer = plane.post("leases", {"open": [wish]})
    assert answer.status_code == 200, answer.content
    return answer.json()["open"][0]


def lent_end(lease: dict, key_id: int, outcome: str = "ok", **fields: object) -> dict:
    more = {"lease_id": lease["lease_id"], "promised_nano": 2_500, "key_id": key_id, "model_requested": "demo-chat"}
    return end(str(uuid7()), outcome, endpoint="/v1/chat/completions", **{**more, **fields})


def test_money_is_lent_spent_by_events_and_given_back(world: Company, plane: Plane):
    """A lease holds money of the payer; calls that draw on it are priced here; what is left comes back."""
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    assert (lease["status"], lease["granted_nano"], held(person)) == ("open", 10_000, 10_000)
    rate = next(one for one in lease["rates"] if one["name"] == "demo-chat")
    assert (rate["call_nano"], rate["input_nano"], rate["output_nano"]) == (0, 1_000_000, 3_000_000)
    events = [lent_end(lease, key.pk), lent_end(lease, key.pk), lent_end(lease, key.pk, "upstream_error_before_output")]
    assert [one["status"] for one in plane.told(*events)] == ["accepted"] * 3
    assert (balance(person), held(person)) == (10**9 - 2 * COST, 10_000 - 2 * COST)
    row = log_of(events[0]["request_id"])
    assert (row.cost_nano, row.asked_model, row.key_id, row.user_id) == (COST, "demo-chat", key.pk, person.pk)
    assert [one["status"] for one in plane.told(*events)] == ["duplicate"] * 3
    renewed = plane.post("leases", {"renew": [{"lease_id": lease["lease_id"], "granted_nano": 20_000}]}).json()["renew"][0]
    assert (renewed["status"], renewed["granted_nano"], held(person)) == ("renewed", 20_000, 20_000 - 2 * COST)
    closed = plane.post("leases", {"close": [lease["lease_id"]]}).json()["close"][0]
    assert (closed["status"], closed["returned_nano"], held(person)) == ("closed", 20_000 - 2 * COST, 0)
    # An end that comes after that is charged as late.
    late = plane.told(lent_end(lease, key.pk))[0]
    assert (late["status"], late.get("reason")) == ("accepted", "late")
    assert balance(person) == 10**9 - 3 * COST
    call_command("ledger_check")


def test_a_lease_is_its_data_planes_own(world: Company, plane: Plane):
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    other = Plane.new("other")
    answer = other.told(lent_end(lease, key.pk))[0]
    assert (answer["status"], answer["reason"]) == ("rejected", "not_yours")
    body = {"renew": [{"lease_id": lease["lease_id"], "granted_nano": 0}], "close": [lease["lease_id"]]}
    found = other.post("leases", body).json()
    assert (found["renew"][0]["status"], found["close"][0]["status"]) == ("unknown", "unknown")
    assert (balance(person), held(person)) == (10**9, 10_000)


def test_who_gets_no_lease(world: Company, plane: Plane):
    """A key that may not call, a balance that is too small, a spend limit: no money is set aside."""
    from billing.services.budgets import set_key_limit

    person, poor, limited = world.person("1"), world.person("0.00002"), world.person("1")
    shut, _ = world.key(person)
    disable_key(actor=None, key=shut)
    held_back, _ = world.key(limited)
    set_key_limit(actor=None, key=held_back, limit_nano=10**8)
    assert lend(plane, shut.pk)["status"] == "refused"
    assert lend(plane, 999_999)["status"] == "refused"
    assert lend(plane, world.key(poor)[0].pk, 10**6, 10**6)["status"] == "no_balance"
    assert lend(plane, held_back.pk)["status"] == "per_call"
    assert [held(one) for one in (person, poor, limited)] == [0, 0, 0]
    for bad in (
        {"open": [{}]},
        {"open": 5},
        {"close": ["x"]},
        {"more": []},
        {"renew": [{"lease_id": str(uuid7()), "granted_nano": -1}]},
    ):
        assert plane.post("leases", bad).status_code == 400


def test_a_lent_call_is_priced_by_what_was_in_force_when_it_began_and_is_never_free(world: Company, plane: Plane):
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    before, silent = lent_end(lease, key.pk), lent_end(lease, key.pk, usage=None, usage_source="none")
    world.publish({"demo-chat": RuleFigures(input_nano=RULE.input_nano * 100)})
    disable_key(actor=None, key=key)
    assert [one["status"] for one in plane.told(before, silent)] == ["accepted"] * 2
    assert charges(before["request_id"]) == [COST]
    assert charges(silent["request_id"]) == [2_500]
    call_command("ledger_check")
