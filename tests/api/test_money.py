"""Money over the API: strings in and out, strict input, booked once, one shape of errors."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Role
from billing.models import LedgerAccount, LedgerEntry, PriceVersion
from billing.selectors import balance_of
from billing.services.prices import create_book
from tests.admin.world import World


@pytest.fixture
def finance(caller: Callable[[str], APIClient]) -> APIClient:
    return caller(Role.FINANCE)


def error_of(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"])
    return answer.status_code, body["error"]["code"]


def test_a_top_up_is_booked_once_however_often_it_is_sent(world: World, finance: APIClient) -> None:
    person = world.people[Role.DEVELOPER]
    body = {"user_id": person.pk, "amount": "12.500000001", "reason": "invoice 7", "transaction_id": str(uuid.uuid4())}
    first = finance.post("/api/portal/top-ups/", body, format="json")
    assert first.status_code == 201
    assert first.json()["status"] == "posted"
    again = finance.post("/api/portal/top-ups/", body, format="json")
    assert (again.status_code, again.json()["status"]) == (200, "repeated")
    assert again.json()["entry_id"] == first.json()["entry_id"]
    assert balance_of(person).total_nano == 12_500_000_001
    other = finance.post("/api/portal/top-ups/", {**body, "amount": "13"}, format="json")
    assert error_of(other) == (409, "entry_mismatch")
    assert balance_of(person).total_nano == 12_500_000_001
    assert AuditEvent.objects.filter(action="ledger.top_up", actor=world.people[Role.FINANCE]).count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 12.5}, "amount"),
        ({"amount": "12.5000000001"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "ten"}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": "9999999999999"}, "amount"),
        ({"ammount": "1"}, "ammount"),
        ({"user_id": "x"}, "user_id"),
        ({"group_id": 1}, "user_id"),
        ({"reason": ""}, "reason"),
        ({"transaction_id": "7"}, "transaction_id"),
    ],
)
def test_money_input_that_is_not_exact_is_refused_and_books_nothing(
    world: World, finance: APIClient, change: dict[str, Any], field: str
) -> None:
    count = LedgerEntry.objects.count()
    body = {"user_id": world.things["customer"].pk, "amount": "1", "reason": "x", **change}
    answer = finance.post("/api/portal/top-ups/", body, format="json")
    assert error_of(answer) == (400, "invalid_input")
    assert field in answer.json()["error"]["fields"]
    assert LedgerEntry.objects.count() == count


def test_what_the_service_refuses_keeps_its_code(world: World, finance: APIClient, caller: Callable[[str], APIClient]) -> None:
    purse = world.things["account"]
    zero = finance.post("/api/portal/adjustments/", {"purse_id": purse.pk, "amount": "0", "reason": "x"}, format="json")
    assert error_of(zero) == (422, "invalid_input")
    body = {"purse_id": purse.pk, "amount": "-1000000", "reason": "x"}
    asked = finance.post("/api/portal/adjustments/", body, format="json")
    assert (asked.status_code, asked.json()["state"]) == (202, "open")
    decided = caller(Role.ADMIN).post(f"/api/portal/approvals/{asked.json()['id']}/approve/", {}, format="json")
    assert error_of(decided) == (402, "insufficient_balance")
    house = LedgerAccount.objects.get(kind="cash")
    body = {"purse_id": house.pk, "amount": "1", "reason": "x"}
    assert error_of(finance.post("/api/portal/adjustments/", body, format="json")) == (404, "not_found")
    for nothing in ("calls/not-an-id/", "nowhere/", "keys/12/clear/"):
        assert error_of(finance.get(f"/api/portal/{nothing}")) == (404, "not_found")
        assert error_of(finance.post(f"/api/portal/{nothing}", {}, format="json")) == (404, "not_found")
    assert error_of(finance.post("/api/portal/top-ups/", "not json", content_type="application/json"))[1] == "invalid_input"
    assert error_of(finance.put("/api/portal/top-ups/", {}, format="json")) == (405, "method_not_allowed")


def test_balance_lines_and_reversal(world: World, finance: APIClient, caller: Callable[[str], APIClient]) -> None:
    person = world.people[Role.DEVELOPER]
    body = {"user_id": person.pk, "amount": "3", "reason": "start"}
    finance.post("/api/portal/top-ups/", body, format="json")
    entry_id = finance.post("/api/portal/top-ups/", body, format="json").json()["entry_id"]
    asked = [
        finance.post(f"/api/portal/ledger-entries/{entry_id}/reverse/", {"reason": "typo"}, format="json") for _n in range(2)
    ]
    assert [answer.status_code for answer in asked] == [202, 202]
    first, again = (f"/api/portal/approvals/{answer.json()['id']}/approve/" for answer in asked)
    assert error_of(finance.post(first, {}, format="json")) == (403, "same_person")
    admin = caller(Role.ADMIN)
    assert admin.post(first, {}, format="json").json()["state"] == "done"
    assert error_of(admin.post(first, {}, format="json")) == (409, "already_decided")
    assert error_of(admin.post(again, {}, format="json")) == (409, "already_reversed")
    lines = finance.get("/api/portal/ledger-entries/", {"user_id": person.pk}).json()
    assert [(line["kind"], line["amount"], line["balance_after"]) for line in lines["results"]] == [
        ("reversal", "-3.000000000", "3.000000000"),
        ("top_up", "3.000000000", "6.000000000"),
        ("top_up", "3.000000000", "3.000000000"),
    ]
    balance = finance.get("/api/portal/balance/", {"user_id": person.pk}).json()
    assert (balance["user_id"], balance["total"], len(balance["purses"])) == (person.pk, "3.000000000", 1)


def test_ledger_lines_are_paged_by_position(world: World, finance: APIClient) -> None:
    person = world.people[Role.DEVELOPER]
    for _ in range(53):
        finance.post("/api/portal/top-ups/", {"user_id": person.pk, "amount": "1", "reason": "x"}, format="json")
    first = finance.get("/api/portal/ledger-entries/", {"user_id": person.pk}).json()
    assert len(first["results"]) == 50
    second = finance.get(first["next"]).json()
    assert len(second["results"]) == 3
    assert second["next"] is None
    ids = [line["entry_id"] for line in first["results"] + second["results"]]
    assert ids == sorted(set(ids), reverse=True)


def test_a_price_version_is_published_from_strings_and_read_back(world: World, finance: APIClient) -> None:
    create_book(actor=None, code="standard", name="Standard", formula="portal")
    body = {
        "book": "standard",
        "rules": [{"model_name": "model-one", "input": "2.5", "cached_input": "1.25", "output": "10"}],
        "multipliers": [{"group_code": "team-one", "multiplier": "0.8"}],
        "note": "spring",
    }
    made = finance.post("/api/portal/price-versions/", body, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["rules"][0]["input"] == "2.500000000"
    version = PriceVersion.objects.get(pk=made.json()["id"])
    assert (version.rules.get().input_nano, version.rules.get().cached_nano) == (2_500_000_000, 1_250_000_000)
    assert version.published_at is not None
    again = finance.post("/api/portal/price-versions/", body, format="json")
    assert again.json()["id"] == made.json()["id"]
    rules = [*body["rules"], *body["rules"]]  # type: ignore[misc]
    twice = finance.post("/api/portal/price-versions/", {**body, "rules": rules}, format="json")
    assert error_of(twice) == (422, "invalid_input")
    unknown = {**body, "rules": [{"model_name": "m", "inputs": "2.5"}]}
    answer = finance.post("/api/portal/price-versions/", unknown, format="json")
    assert error_of(answer) == (400, "invalid_input")
    assert answer.json()["error"]["fields"]["rules"] == {"0": {"inputs": ["There is no such field."]}}


def test_a_key_limit_is_set_and_read(world: World, caller: Callable[[str], APIClient]) -> None:
    key = world.things["key"]
    owner = caller("customer")
    assert owner.get(f"/api/portal/keys/{key.pk}/limit/").json() == {
        "limit": "5.000000000",
        "spent": "0.000000000",
        "held": "0.000000000",
    }
    assert owner.put(f"/api/portal/keys/{key.pk}/limit/", {"limit": None}, format="json").json()["limit"] is None
    assert owner.put(f"/api/portal/keys/{key.pk}/limit/", {"limit": "0.25"}, format="json").json()["limit"] == "0.250000000"
    assert error_of(owner.put(f"/api/portal/keys/{key.pk}/limit/", {"limit": 1}, format="json")) == (400, "invalid_input")


def test_usage_is_counted_in_utc_days(world: World, caller: Callable[[str], APIClient]) -> None:
    usage = caller("customer").get("/api/portal/usage/", {"days": 7}).json()
    assert len(usage["days"]) == 7
    assert usage["total"]["cost"] == "0.000000000"
    assert error_of(caller("customer").get("/api/portal/usage/", {"days": "0"})) == (422, "invalid_input")
    assert error_of(caller("customer").get("/api/portal/usage/", {"days": "x"})) == (422, "invalid_input")
