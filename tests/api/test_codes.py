"""Codes and approvals over the API: taken once, decided by another one, numbers as strings."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Role
from billing.models import AdjustmentRequest, CodeBatch, LedgerEntry, RedemptionCode
from billing.selectors import balance_of
from tests.admin.world import World
from tests.api.test_money import error_of

BATCH = {"name": "spring", "count": 4, "amount": "2.5", "purse_kind": "bonus", "prefix": "sp", "note": "campaign"}


@pytest.fixture
def finance(caller: Callable[[str], APIClient]) -> APIClient:
    return caller(Role.FINANCE)


def made(finance: APIClient, **more: Any) -> Any:
    answer = finance.post("/api/portal/code-batches/", {**BATCH, **more}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_batch_is_made_taken_once_and_redeemed(world: World, finance: APIClient, caller: Any) -> None:
    batch = made(finance, max_per_person=1)
    assert (batch["amount"], batch["ends"], batch["code_count"]) == ("2.500000000", "code", 4)
    assert {row["state"]: row["amount"] for row in batch["states"]}["unused"] == "10.000000000"
    where = f"/api/portal/code-batches/{batch['id']}/"
    taken = finance.post(f"{where}take/")
    assert taken["Cache-Control"] == "no-store"
    clear = taken.json()["codes"]
    assert error_of(finance.post(f"{where}take/")) == (409, "codes_taken")
    user = caller(Role.USER)
    assert user.post("/api/portal/codes/redeem/", {"code": clear[0]}, format="json").json() == {
        "amount": "2.500000000",
        "purse_kind": "bonus",
    }
    assert error_of(user.post("/api/portal/codes/redeem/", {"code": clear[1]}, format="json")) == (422, "code_limit_reached")
    listed = finance.get(f"{where}codes/").content.decode()
    assert not any(code in listed for code in clear)
    assert len(finance.get(f"{where}codes/", {"state": "used"}).json()["results"]) == 1
    changed = finance.post(f"{where}void/", {"reason": "leaked"}, format="json")
    assert changed.json() == {"count": 3}
    assert {row["state"]: row["count"] for row in finance.get(where).json()["states"]} == {
        "unused": 0,
        "disabled": 0,
        "used": 1,
        "void": 3,
        "expired": 0,
    }


def test_guessing_is_answered_with_429_and_how_long_to_wait(world: World, caller: Any, settings: Any) -> None:
    user = caller(Role.USER)
    for _n in range(settings.CODE_GUESSES):
        wrong = user.post("/api/portal/codes/redeem/", {"code": "NOTHING"}, format="json")
        assert error_of(wrong) == (422, "code_not_usable")
    answer = user.post("/api/portal/codes/redeem/", {"code": "NOTHING"}, format="json")
    assert error_of(answer) == (429, "too_many_guesses")
    assert 500 < answer.json()["error"]["retry_after"] <= 600


def test_a_new_worth_is_a_dry_run_first(world: World, finance: APIClient) -> None:
    where = f"/api/portal/code-batches/{made(finance)['id']}/revalue/"
    entries = LedgerEntry.objects.count()
    plan = finance.post(where, {"amount": "5", "reason": "raised"}, format="json").json()
    assert (plan["count"], plan["difference"], plan["is_done"]) == (4, "10.000000000", False)
    assert LedgerEntry.objects.count() == entries
    missing = finance.post(where, {"amount": "5", "reason": "raised", "dry_run": False}, format="json")
    assert error_of(missing) == (400, "invalid_input")
    body = {"amount": "5", "reason": "raised", "dry_run": False, "expected_count": 3, "expected_difference": "10"}
    assert error_of(finance.post(where, body, format="json")) == (409, "numbers_changed")
    done = finance.post(where, {**body, "expected_count": 4}, format="json").json()
    assert done["is_done"] is True
    assert set(RedemptionCode.objects.filter(batch__name="spring").values_list("amount_nano", flat=True)) == {5 * 10**9}


def test_much_money_waits_for_a_second_person(world: World, finance: APIClient, caller: Any) -> None:
    """M21: a large top-up, a large batch and a credit limit, asked over the API and approved by another role."""
    person = world.people[Role.DEVELOPER]
    purse, before = world.things["account"], CodeBatch.objects.count()
    asked = [
        finance.post("/api/portal/top-ups/", {"user_id": person.pk, "amount": "1000.01", "reason": "invoice"}, format="json"),
        finance.post("/api/portal/code-batches/", {**BATCH, "count": 1000}, format="json"),
        finance.post(
            "/api/portal/adjustments/credit-limit/", {"purse_id": purse.pk, "limit": "5", "reason": "contract"}, format="json"
        ),
    ]
    assert [answer.status_code for answer in asked] == [202, 202, 202]
    assert balance_of(person).total_nano == 0
    admin = caller(Role.ADMIN)
    for answer in asked:
        where = f"/api/portal/approvals/{answer.json()['id']}/"
        assert error_of(finance.post(f"{where}approve/", {}, format="json")) == (403, "same_person")
        assert admin.post(f"{where}approve/", {"note": "seen"}, format="json").json()["state"] == "done"
    assert balance_of(person).total_nano == 1000_010_000_000
    assert CodeBatch.objects.count() == before + 1
    purse.refresh_from_db()
    assert purse.credit_limit_nano == 5 * 10**9
    assert AdjustmentRequest.objects.filter(state="done").count() == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"count": 0}, "count"),
        ({"amount": 2.5}, "amount"),
        ({"purse_kind": "revenue"}, "purse_kind"),
        ({"prefix": "a b"}, "prefix"),
        ({"expires_at": "yesterday"}, "expires_at"),
        ({"worth": "1"}, "worth"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(world: World, finance: APIClient, change: dict[str, Any], field: str) -> None:
    before = CodeBatch.objects.count()
    answer = finance.post("/api/portal/code-batches/", {**BATCH, **change}, format="json")
    assert error_of(answer) == (400, "invalid_input")
    assert field in answer.json()["error"]["fields"]
    assert CodeBatch.objects.count() == before
    assert error_of(finance.get("/api/portal/code-batches/00000000000000000000000000000000/")) == (404, "not_found")
