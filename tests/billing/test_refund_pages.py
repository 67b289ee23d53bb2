"""Finance gives money of calls back and converts money: previewed, asked for, approved by another one."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Role, User
from billing.models import AdjustmentRequest, CallRefund, CurrencyConversion, LedgerEntry
from billing.services import approvals, ledger, refunds
from billing.services.errors import RefundTooHigh, SecondPersonNeeded
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, end, figures, give, hold, person

pytestmark = pytest.mark.django_db
USD = 10**9


@pytest.fixture
def maker() -> User:
    return person("maker", Role.FINANCE)


@pytest.fixture
def checker() -> User:
    return person("checker", Role.FINANCE)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def a_call(user: User, cost: int = 2 * USD) -> Any:
    give(ledger.purse_for(user=user, kind="bonus"), USD)
    give(ledger.purse_for(user=user), 5 * USD)
    call = hold(user, cost).request_id
    end(call, cost, user_id=user.pk, asked_model="gpt-4o")
    return call


def post(client: Client, name: str, data: dict[str, Any]) -> Any:
    return client.post(reverse(name), data)


def confirmed(client: Client, name: str, data: dict[str, Any]) -> Any:
    """The preview, and then the same with the figures that were shown."""
    shown = post(client, name, data)
    assert shown.status_code == 200
    seen = shown.context.get("seen") or (shown.context.get("plan") or {}).get("seen", "")
    assert seen, shown.context["form"].errors
    return post(client, name, {**data, "seen": seen, "confirm": "yes"})


def test_M21_a_refund_is_previewed_asked_for_and_given_by_a_second_person(maker: User, checker: User) -> None:
    """M21: the preview books nothing, the request neither, whoever asked cannot approve, the approval gives it back once."""
    ada = person("ada")
    call = a_call(ada)
    client, once = signed_in(maker), uuid7()
    data = {"call": call.hex, "amount": "1.50", "reason": "wrong answer", "once": str(once)}
    shown = post(client, "refund_create", data)
    body = shown.content.decode()
    assert "$1.00" in body
    assert "$0.50" in body
    assert not AdjustmentRequest.objects.exists()
    answer = confirmed(client, "refund_create", data)
    request = AdjustmentRequest.objects.get()
    assert answer.url == reverse("approval_detail", args=[request.pk])
    assert (request.kind, request.state, request.amount_nano) == ("call_refund", "open", 1_500_000_000)
    assert not CallRefund.objects.exists()
    # Sent again by an impatient finger: the same request.
    confirmed(client, "refund_create", data)
    assert AdjustmentRequest.objects.count() == 1
    own = client.post(reverse("approval_detail", args=[request.pk]), {"verb": "approve", "note": ""})
    assert own.status_code == 200
    assert not CallRefund.objects.exists()
    signed_in(checker).post(reverse("approval_detail", args=[request.pk]), {"verb": "approve", "note": "seen"})
    assert [(x.amount_nano, x.reason, x.actor_id) for x in CallRefund.objects.all()] == [
        (1_500_000_000, "wrong answer", maker.pk)
    ]
    assert figures(ledger.purse_for(user=ada)) == (5 * USD, 0)
    assert figures(ledger.purse_for(user=ada, kind="bonus")) == (500_000_000, 0)
    assert AuditEvent.objects.filter(action__in=["call.refunded", "approval.approved"]).count() == 2
    assert call.hex in signed_in(checker).get(reverse("refund_list")).content.decode()
    assert broken() == {}


def test_what_is_small_is_given_back_at_once(maker: User, settings: Any) -> None:
    settings.ADJUST_ALONE_USD = 2
    ada = person("ada")
    call = a_call(ada)
    data = {"call": str(call), "amount": "", "reason": "slow", "once": str(uuid7())}
    confirmed(signed_in(maker), "refund_create", data)
    assert CallRefund.objects.get().amount_nano == 2 * USD
    assert AdjustmentRequest.objects.get().is_alone is True
    assert broken() == {}


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"call": "nonsense"}, "call", "This is not a request id."),
        ({"call": "01990000-0000-7000-8000-000000000000"}, "call", "There is no call of this id."),
        ({"amount": "3"}, "amount", "This is more than is left of the call&#x27;s charge."),
        ({"amount": "0"}, "amount", "The amount must be greater than zero."),
        ({"amount": "one"}, "amount", "Write an amount such as 10 or 2.50."),
        ({"reason": " "}, "reason", "This field is required."),
        ({"evidence": "javascript:alert(1)"}, "evidence", "Enter a valid URL."),
    ],
)
def test_wrong_input_of_a_refund_is_told_beside_its_field(maker: User, change: dict[str, str], field: str, text: str) -> None:
    call = a_call(person("ada"))
    data = {"call": call.hex, "amount": "1", "reason": "slow", "once": str(uuid7()), "confirm": "yes", **change}
    answer = post(signed_in(maker), "refund_create", data)
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert text in answer.content.decode()
    assert not AdjustmentRequest.objects.exists()
    assert not LedgerEntry.objects.filter(kind="refund").exists()


def test_figures_that_changed_since_the_preview_are_shown_again(maker: User, checker: User) -> None:
    call = a_call(person("ada"))
    client = signed_in(maker)
    data = {"call": call.hex, "amount": "", "reason": "slow", "once": str(uuid7())}
    seen = post(client, "refund_create", data).context["seen"]
    approvals.approve(actor=checker, request=refunds.ask_for_refund(actor=maker, request_id=call, reason="r", amount_nano=USD))
    answer = post(client, "refund_create", {**data, "seen": seen, "confirm": "yes"})
    assert "The figures have changed" in answer.content.decode()
    assert AdjustmentRequest.objects.count() == 1


def test_a_refund_that_became_too_high_is_refused_at_the_approval(maker: User, checker: User) -> None:
    ada = person("ada")
    call = a_call(ada)
    first, second = (refunds.ask_for_refund(actor=maker, request_id=call, reason=str(n)) for n in range(2))
    approvals.approve(actor=checker, request=first)
    with pytest.raises(RefundTooHigh):
        approvals.approve(actor=checker, request=second)
    second.refresh_from_db()
    assert second.state == "open"
    assert CallRefund.objects.count() == 1
    with pytest.raises(SecondPersonNeeded):
        refunds.refund_call(actor=maker, request_id=a_call(person("bob")), reason="alone")
    assert broken() == {}


def test_who_may_not_see_the_ledger_gets_neither_page_nor_refund() -> None:
    for role in (Role.USER, Role.SUPPORT, Role.OPS):
        client = signed_in(person(f"a {role}", role))
        for name in ("refund_list", "refund_create", "conversion_list", "conversion_create"):
            assert client.get(reverse(name)).status_code in (403, 404), (role, name)
            assert client.post(reverse(name), {}).status_code in (403, 404, 405), (role, name)


def conversion(**change: str) -> dict[str, str]:
    wanted = {
        "to": "ada", "from_currency": "eur", "amount": "33.333333333", "to_currency": "USD", "rate": "1.08517",
        "reason": "asked by mail", "once": str(uuid7()),
    }  # fmt: skip
    return {**wanted, **change}


def euros_for(user: User, maker: User, checker: User) -> None:
    """A transfer in euros, which one person cannot book alone however small it is."""
    client = signed_in(maker)
    data = {"to": user.username, "amount": "100", "currency": "EUR", "reason": "transfer", "once": str(uuid7())}
    client.post(reverse("top_up"), data)
    request = AdjustmentRequest.objects.get(kind="top_up")
    assert (request.state, request.currency) == ("open", "EUR")
    approvals.approve(actor=checker, request=request)
    assert figures(ledger.purse_for(user=user, currency="EUR")) == (100 * USD, 0)


def test_M21_euros_are_booked_and_converted_by_two_people(maker: User, checker: User) -> None:
    """M21: 33.333333333 EUR at 1.08517 are 36.17 USD and a residue of 0.002333332 that is booked to rounding."""
    ada = person("ada")
    euros_for(ada, maker, checker)
    client = signed_in(maker)
    shown = post(client, "conversion_create", conversion()).content.decode()
    for figure in ("33.333333333 EUR", "66.666666667 EUR", "$36.17", "$0.002333332"):
        assert figure in shown, figure
    confirmed(client, "conversion_create", conversion())
    request = AdjustmentRequest.objects.get(kind="conversion")
    page = signed_in(checker).get(reverse("approval_detail", args=[request.pk])).content.decode()
    assert "33.333333333 EUR" in page
    assert "$36.17" in page
    assert not CurrencyConversion.objects.exists()
    signed_in(checker).post(reverse("approval_detail", args=[request.pk]), {"verb": "approve", "note": ""})
    assert figures(ledger.purse_for(user=ada)) == (36_170_000_000, 0)
    assert "36.17" in client.get(reverse("conversion_list")).content.decode()
    assert "100.00 EUR" in client.get(reverse("ledger")).content.decode()
    assert broken() == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "nobody"}, "to"),
        ({"from_currency": "EURO"}, "from_currency"),
        ({"to_currency": "EUR"}, "to_currency"),
        ({"amount": "100.01"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"rate": "0"}, "rate"),
        ({"rate": "1/3"}, "rate"),
        ({"rate": "0.0000000000000000001"}, "rate"),
        ({"reason": ""}, "reason"),
    ],
)
def test_wrong_input_of_a_conversion_is_told_beside_its_field(
    maker: User, checker: User, change: dict[str, str], field: str
) -> None:
    euros_for(person("ada"), maker, checker)
    answer = post(signed_in(maker), "conversion_create", conversion(confirm="yes", **change))
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not AdjustmentRequest.objects.filter(kind="conversion").exists()
