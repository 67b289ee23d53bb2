"""Statements, refunds, conversions, the desk, web hooks, fences and policy over the API, with the rights of the pages."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from accounts.models import Role, User
from billing.models import AdjustmentRequest, CallRefund, DeskItem, GroupFence, HookEndpoint
from billing.services import ledger
from config.foundation.ids import uuid7
from tests.admin.world import World
from tests.billing.helpers import end, figures, give, hold

Caller = Callable[[str], APIClient]
BASE = "/api/portal/"
USD = 10**9


def second(caller: Caller) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.create_user(username="checker", role=Role.FINANCE, is_staff=True))
    return client


def test_one_s_own_statement_with_its_file_and_digest_and_nobody_else_s(caller: Caller, world: World) -> None:
    own, statement = caller("customer"), world.things["statement"]
    (row,) = own.get(BASE + "statements/").json()["results"]
    assert (row["id"], row["month"], row["closing"]) == (statement.pk, "2026-08", "0.000000000")
    assert "lines" not in row
    one = own.get(f"{BASE}statements/{statement.pk}/").json()
    assert one["lines"] == {"credits": [], "usage": []}
    assert [file["sha256"] for file in one["files"]] == ["0" * 64]
    file = own.get(f"{BASE}statements/{statement.pk}/files/en/csv/")
    assert (file.content, file["Content-Digest"]) == (b"a,b", "sha-256=" + "0" * 64)
    assert own.get(f"{BASE}statements/{statement.pk}/files/en/exe/").status_code == 404
    assert caller(Role.USER).get(BASE + "statements/").json()["results"] == []
    assert caller(Role.USER).get(BASE + "statements/", {"all": "1"}).status_code == 403
    found = caller(Role.FINANCE).get(BASE + "statements/", {"all": "1", "month": "2026-08"}).json()["results"]
    assert [row["id"] for row in found] == [statement.pk]
    assert caller(Role.FINANCE).get(BASE + "statements/", {"all": "1", "month": "x"}).status_code == 422


def test_a_month_is_issued_once_over_the_api(caller: Caller, world: World) -> None:
    body = {"month": "2026-08", "who": world.things["customer"].username}
    again = caller(Role.FINANCE).post(BASE + "statements/", body, format="json")
    assert (again.status_code, again.json()) == (200, {"status": "present", "id": world.things["statement"].pk})
    assert caller(Role.FINANCE).post(BASE + "statements/", {**body, "who": "nobody"}, format="json").status_code == 404


def test_M21_a_refund_over_the_api_waits_for_a_second_person(caller: Caller) -> None:
    """M21: 202, the same transaction asks once, the second person's approval gives the money back."""
    ada = User.objects.create_user(username="ada")
    give(ledger.purse_for(user=ada), 10 * USD)
    call = hold(ada, 4 * USD).request_id
    end(call, 4 * USD, user_id=ada.pk)
    body = {"call_id": str(call), "amount": "1.5", "reason": "cut short", "transaction_id": str(uuid7())}
    client = caller(Role.FINANCE)
    answers = [client.post(BASE + "call-refunds/", body, format="json") for _ in range(2)]
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "open")] * 2
    assert AdjustmentRequest.objects.filter(kind="call_refund").count() == 1
    too_much = client.post(BASE + "call-refunds/", {"call_id": str(call), "amount": "9", "reason": "x"}, format="json")
    assert (too_much.status_code, too_much.json()["error"]["code"]) == (409, "refund_too_high")
    done = second(caller).post(f"{BASE}approvals/{answers[0].json()['id']}/approve/", {}, format="json")
    assert done.json()["state"] == "done"
    assert CallRefund.objects.get().amount_nano == 3 * USD // 2
    (row,) = client.get(BASE + "call-refunds/", {"call_id": str(call)}).json()["results"]
    assert (row["amount"], row["reason"]) == ("1.500000000", "cut short")


def test_a_conversion_over_the_api(caller: Caller) -> None:
    ada = User.objects.create_user(username="ada")
    euros, cash = ledger.purse_for(user=ada, currency="EUR"), ledger.house_account("cash", currency="EUR")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, euros.pk, 100 * USD)])
    rate = {"from_currency": "EUR", "to_currency": "USD", "rate_numerator": 108_517, "rate_denominator": 100_000}
    body = {"user_id": ada.pk, "amount": "33.333333333", "reason": "asked", **rate}
    client = caller(Role.FINANCE)
    for wrong, status in (
        ({"user_id": 10**6}, 404), ({"amount": "101"}, 402), ({"to_currency": "EUR"}, 422), ({"from_currency": "CHF"}, 402),
        ({"rate_numerator": 0}, 400),
    ):  # fmt: skip
        assert client.post(BASE + "conversions/", {**body, **wrong}, format="json").status_code == status, wrong
    asked = client.post(BASE + "conversions/", body, format="json")
    assert (asked.status_code, asked.json()["currency"]) == (202, "EUR")
    second(caller).post(f"{BASE}approvals/{asked.json()['id']}/approve/", {}, format="json")
    (row,) = client.get(BASE + "conversions/").json()["results"]
    assert (row["given"], row["received"], row["rounding"]) == ("33.333333333", "36.170000000", "0.002333332")
    assert figures(ledger.purse_for(user=ada)) == (36_170_000_000, 0)


def test_the_desk_is_worked_over_the_api_once(caller: Caller, world: World) -> None:
    item, client = world.things["desk_item"], caller(Role.FINANCE)
    address = f"{BASE}desk-items/{item.pk}/"
    assert client.get(BASE + "desk-items/", {"state": "open"}).json()["results"][0]["id"] == item.pk
    assert caller(Role.OPS).post(address + "close/", {"act": "ignore", "reason": "x"}, format="json").status_code == 403
    assert client.post(address + "close/", {"act": "steal", "reason": "x"}, format="json").status_code == 400
    done = client.post(address + "close/", {"act": "ignore", "reason": "a test"}, format="json")
    assert (done.status_code, done.json()["state"]) == (200, "ignored")
    again = client.post(address + "close/", {"act": "write_off", "reason": "x"}, format="json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "desk_item_closed")
    assert DeskItem.objects.get(pk=item.pk).state == "ignored"


def test_payments_are_one_s_own(caller: Caller, world: World) -> None:
    payment = world.things["payment"]
    assert [row["id"] for row in caller("customer").get(BASE + "payments/").json()["results"]] == [str(payment.pk)]
    assert caller(Role.USER).get(BASE + "payments/").json()["results"] == []
    assert caller(Role.USER).get(BASE + "payments/", {"all": "1"}).status_code == 403
    assert len(caller(Role.FINANCE).get(BASE + "payments/", {"all": "1"}).json()["results"]) == 1
    assert caller(Role.FINANCE).get(BASE + "payments/not-an-id/").status_code == 404


def test_a_web_hook_shows_its_secret_once_and_is_its_owner_s(caller: Caller, world: World) -> None:
    own = caller("customer")
    made = own.post(BASE + "web-hooks/", {"url": "https://hooks.example.com/x"}, format="json")
    assert made.status_code == 201
    assert made.json()["clear"].startswith("whsec_")
    assert made["Cache-Control"] == "no-store"
    assert "clear" not in own.get(BASE + "web-hooks/").json()["results"][-1]
    address = f"{BASE}web-hooks/{made.json()['id']}/"
    assert own.patch(address, {"is_active": False}, format="json").json()["is_active"] is False
    assert caller(Role.USER).patch(address, {"is_active": True}, format="json").status_code == 404
    bad = own.post(BASE + "web-hooks/", {"url": "http://127.0.0.1/"}, format="json")
    assert bad.status_code == 422
    team = own.post(BASE + "web-hooks/", {"url": "https://a.example.com/", "team_id": world.things["group"].pk}, format="json")
    assert team.json()["team"] == world.things["group"].code
    stranger = caller(Role.USER).post(
        BASE + "web-hooks/", {"url": "https://a.example.com/", "team_id": world.things["group"].pk}, format="json"
    )
    assert stranger.status_code == 404
    assert HookEndpoint.objects.filter(group=world.things["group"]).count() == 1


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPS])
def test_R031_fences_over_the_api(caller: Caller, world: World, role: str) -> None:
    """R031: the highest tier of a group, and models beyond it by name."""
    address = f"{BASE}fences/{world.things['group'].pk}/"
    model = world.things["model"].name
    done = caller(role).put(address, {"highest_tier": 2, "also_allowed": [model]}, format="json")
    assert (done.status_code, done.json()["highest_tier"], done.json()["also_allowed"]) == (200, 2, [model])
    wrong = caller(role).put(address, {"highest_tier": 2, "also_allowed": ["no-such"]}, format="json")
    assert wrong.status_code == 422
    assert caller(role).put(address, {"highest_tier": None}, format="json").json()["highest_tier"] is None
    assert not GroupFence.objects.exists()


def test_the_policy_is_read_by_everybody_and_set_by_the_administrator(caller: Caller) -> None:
    assert caller(Role.USER).get(BASE + "policy/").json()["issuers"] == "everybody"
    body = {"issuers": "team_owners", "team_money": "any", "named_issuers": ["ops-person"]}
    assert caller(Role.ADMIN).put(BASE + "policy/", body, format="json").json()["issuers"] == "team_owners"
    wrong = caller(Role.ADMIN).put(BASE + "policy/", {**body, "named_issuers": ["nobody"]}, format="json")
    assert wrong.json()["error"]["fields"] == {"named_issuers": ["There is no such person."]}
    assert caller(Role.OPS).put(BASE + "policy/", body, format="json").status_code == 403
