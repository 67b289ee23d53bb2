"""Refunds to payers, unmatched payments and rules of alerts over the API: once, by whom may, and without keys."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Role, User
from billing.models import AdjustmentRequest, AlertRule, IncomingPayment, PaymentRefund
from billing.services import ledger
from config.foundation.ids import uuid7
from tests.admin.world import World
from tests.billing.helpers import figures

Caller = Callable[[str], APIClient]
BASE = "/api/portal/"
USD = 10**9
PASTED = "sk-" + "canaryPastedKey0123456789" * 2


def second(caller: Caller) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.create_user(username="checker", role=Role.FINANCE, is_staff=True))
    return client


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_x5_a_refund_is_asked_for_once(caller: Caller, world: World) -> None:
    """X5: the same transaction pays once and never with other figures; what is not paid is not given back."""
    payment, purse, client = world.things["payment"], world.things["account"], caller(Role.FINANCE)
    before = figures(purse)[0]
    body = {"payment_id": str(payment.pk), "amount": "2.5", "reason": "asked for", "transaction_id": str(uuid7())}
    first, again = (client.post(BASE + "payment-refunds/", body, format="json") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["amount"], first.json()["state"], first.json()["by"]) == ("2.500000000", "asked", "finance-person")
    assert figures(purse)[0] == before - 5 * USD // 2
    for wrong, told in (
        ({"amount": "3"}, (409, "entry_mismatch")),
        ({"amount": "7.51", "transaction_id": str(uuid7())}, (422, "invalid_input")),
        ({"amount": "0.005", "transaction_id": str(uuid7())}, (422, "invalid_input")),
        ({"payment_id": str(uuid7())}, (404, "not_found")),
    ):
        assert refused(client.post(BASE + "payment-refunds/", {**body, **wrong}, format="json")) == told, wrong
    pasted = client.post(BASE + "payment-refunds/", {**body, "reason": f"see {PASTED}"}, format="json")
    assert pasted.status_code == 400
    assert PASTED not in pasted.content.decode()
    assert AuditEvent.objects.filter(action="payment.refund_asked", object_id=str(payment.pk)).count() == 1
    rows = client.get(BASE + "payment-refunds/", {"payment_id": str(payment.pk), "state": "asked"}).json()["results"]
    assert [row["id"] for row in rows] == [first.json()["id"]]
    assert client.get(f"{BASE}payment-refunds/{first.json()['id']}/").json() == rows[0]
    assert client.get(BASE + "payment-refunds/", {"payment_id": "x"}).status_code == 422
    assert figures(purse)[0] == before - 5 * USD // 2


def test_x5_a_refund_of_spent_money_waits_for_a_second_person(caller: Caller, world: World) -> None:
    payment, purse, client = world.things["payment"], world.things["account"], caller(Role.FINANCE)
    left = figures(purse)[0] - USD
    adjusting = ledger.house_account("adjustment").pk
    ledger.post_entries([ledger.Posting(uuid7(), "adjustment", purse.pk, adjusting, left)])
    body = {"payment_id": str(payment.pk), "amount": "4", "reason": "asked for", "transaction_id": str(uuid7())}
    assert refused(client.post(BASE + "payment-refunds/", body, format="json")) == (402, "insufficient_balance")
    asked = [client.post(BASE + "payment-refunds/", {**body, "with_debt": True}, format="json") for _ in range(2)]
    assert [answer.status_code for answer in asked] == [202, 202]
    assert AdjustmentRequest.objects.filter(kind="refund_debt").count() == 1
    done = second(caller).post(f"{BASE}approvals/{asked[0].json()['id']}/approve/", {}, format="json")
    assert done.json()["state"] == "done"
    assert figures(purse)[0] == -3 * USD
    repeated = client.post(BASE + "payment-refunds/", {**body, "with_debt": True}, format="json")
    assert (repeated.status_code, repeated.json()["id"]) == (201, asked[0].json()["id"])
    assert PaymentRefund.objects.filter(payment=payment, state="asked").count() == 1


def test_x5_unmatched_money_is_entered_and_assigned_once(caller: Caller, world: World) -> None:
    client, ada = caller(Role.FINANCE), User.objects.create_user(username="ada")
    body = {
        "reference": "RE-77", "amount_minor": 1050, "currency": "USD", "payer": "ACME", "received_at": "2026-08-31T00:00:00Z"
    }  # fmt: skip
    made = client.post(BASE + "unmatched-payments/", body, format="json")
    assert (made.status_code, made.json()["booked"], made.json()["state"]) == (201, "10.500000000", "open")
    assert refused(client.post(BASE + "unmatched-payments/", body, format="json")) == (409, "conflict")
    for wrong in ({"reference": PASTED}, {"payer": PASTED}, {"amount_minor": 0}, {"currency": "dollars"}, {"price": 1}):
        answer = client.post(BASE + "unmatched-payments/", {**body, "reference": "RE-78", **wrong}, format="json")
        assert answer.status_code == 400, wrong
        assert PASTED not in answer.content.decode()
    assert not IncomingPayment.objects.filter(reference__in=["RE-78", PASTED]).exists()
    address = f"{BASE}unmatched-payments/{made.json()['id']}/"
    assert client.post(address + "assign/", {"reason": "hers"}, format="json").status_code == 400
    assert refused(client.post(address + "assign/", {"user_id": 10**6, "reason": "x"}, format="json")) == (404, "not_found")
    done = client.post(address + "assign/", {"user_id": ada.pk, "reason": "hers"}, format="json")
    assert (done.status_code, done.json()["state"], done.json()["username"]) == (200, "assigned", "ada")
    for path, more in (("assign/", {"user_id": ada.pk}), ("return/", {})):
        assert refused(client.post(address + path, {"reason": "again", **more}, format="json")) == (409, "already_decided")
    assert figures(ledger.purse_for(user=ada)) == (1_050 * USD // 100, 0)
    open_ones = client.get(BASE + "unmatched-payments/", {"state": "open"}).json()["results"]
    assert [row["id"] for row in open_ones] == [str(world.things["incoming"].pk)]


def test_x5_foreign_and_large_money_and_what_goes_back(caller: Caller, world: World) -> None:
    client, ada = caller(Role.FINANCE), User.objects.create_user(username="ada")
    foreign = f"{BASE}unmatched-payments/{world.things['incoming'].pk}/"
    assert client.get(foreign).json()["booked"] is None
    hers = {"user_id": ada.pk, "reason": "at 1.08", "transaction_id": str(uuid7())}
    assert refused(client.post(foreign + "assign/", hers, format="json")) == (422, "invalid_input")
    large = {**hers, "worth": "5000"}
    asked = [client.post(foreign + "assign/", large, format="json") for _ in range(2)]
    assert [answer.status_code for answer in asked] == [202, 202]
    assert AdjustmentRequest.objects.filter(kind="assign").count() == 1
    assert refused(client.post(foreign + "assign/", {**large, "worth": "6000"}, format="json")) == (409, "entry_mismatch")
    assert figures(ledger.purse_for(user=ada)) == (0, 0)
    done = second(caller).post(f"{BASE}approvals/{asked[0].json()['id']}/approve/", {}, format="json")
    assert done.json()["state"] == "done"
    assert figures(ledger.purse_for(user=ada)) == (5000 * USD, 0)
    body = {"reference": "RE-9", "amount_minor": 100, "currency": "USD", "received_at": "2026-08-31T00:00:00Z"}
    made = client.post(BASE + "unmatched-payments/", body, format="json").json()
    back = client.post(f"{BASE}unmatched-payments/{made['id']}/return/", {"reason": "not ours"}, format="json")
    assert (back.status_code, back.json()["state"], back.json()["closed_by"]) == (200, "returned", "finance-person")
    assert ledger.house_account("suspense", "payments").pk
    trail = AuditEvent.objects.filter(object_type="billing.incomingpayment").values_list("action", flat=True)
    assert set(trail) == {"incoming.kept", "incoming.assigned", "incoming.returned"}


def test_R028_rules_of_alerts_are_set_changed_and_turned_off(caller: Caller, world: World) -> None:
    """R028: one's own thresholds; there is one rule for each kind and scope."""
    own, address = caller("customer"), BASE + "alert-rules/"
    rule = world.things["alert_rule"]
    assert [row["id"] for row in own.get(address).json()["results"]] == [rule.pk]
    body = {"kind": "limit_use", "thresholds": [80, 95, 80], "channels": ["mail"]}
    made = own.post(address, body, format="json")
    assert (made.status_code, made.json()["thresholds"], made.json()["channels"]) == (201, [95, 80], ["mail"])
    again = own.post(address, {**body, "thresholds": [90]}, format="json")
    assert (again.status_code, again.json()["id"], again.json()["thresholds"]) == (200, made.json()["id"], [90])
    one = f"{address}{made.json()['id']}/"
    off = own.patch(one, {"is_enabled": False}, format="json")
    assert (off.status_code, off.json()["is_enabled"], off.json()["thresholds"]) == (200, False, [90])
    assert own.get(one).json() == off.json()
    for wrong, status in (
        ({"thresholds": []}, 422), ({"thresholds": [101]}, 422), ({"thresholds": ["x"]}, 400), ({"channels": ["pigeon"]}, 400),
        ({"thresholds": list(range(1, 20))}, 422), ({"threshold": 1}, 400),
    ):  # fmt: skip
        assert own.patch(one, wrong, format="json").status_code == status, wrong
    assert AlertRule.objects.get(pk=made.json()["id"]).thresholds == [90]
    assert AuditEvent.objects.filter(action="alert.changed", object_id=str(made.json()["id"])).count() == 3


def test_R028_only_whose_it_is_sets_a_rule(caller: Caller, world: World) -> None:
    address, group, key = BASE + "alert-rules/", world.things["group"], world.things["key"]
    odd = {"kind": "odd_spend", "thresholds": [5], "pauses_key": True}
    assert caller(Role.DEVELOPER).post(address, {**odd, "key_id": key.pk}, format="json").status_code == 404
    assert caller(Role.DEVELOPER).post(address, {**odd, "team_id": group.pk}, format="json").status_code == 404
    assert caller("customer").post(address, {**odd, "key_id": key.pk}, format="json").json()["pauses_key"] is True
    both = caller("customer").post(address, {**odd, "key_id": key.pk, "of_house": True}, format="json")
    assert both.status_code == 400
    house = {"kind": "old_holds", "of_house": True, "thresholds": [3]}
    assert refused(caller("customer").post(address, house, format="json")) == (403, "not_allowed")
    set_by = caller(Role.ADMIN).post(address, house, format="json")
    assert (set_by.status_code, set_by.json()["username"], set_by.json()["thresholds"]) == (201, None, [3])
    assert set_by.json()["id"] in [row["id"] for row in caller(Role.ADMIN).get(address).json()["results"]]
    assert refused(caller("customer").post(address, {"kind": "old_holds", "thresholds": [3]}, format="json"))[0] == 422


@pytest.mark.parametrize("path", ["payment-refunds/", "unmatched-payments/", "alert-rules/"])
def test_pages_of_a_list_follow_each_other(caller: Caller, world: World, path: str) -> None:
    answer = caller(Role.FINANCE).get(BASE + path)
    assert answer.status_code == 200
    assert answer.json()["next"] is None
