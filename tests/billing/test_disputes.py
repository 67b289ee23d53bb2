"""Disputed payments: the money leaves the purse at once and goes where the provider says, once, in whatever order it tells."""

import itertools
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from billing.models import LedgerEntry, Payment, PaymentDispute
from billing.services.payments import refunds
from config.foundation.errors import InvalidInput
from tests.billing.helpers import broken, end, hold, person
from tests.billing.payment_world import USD, balance, ordered, paid, tell
from tests.billing.stripe_double import StripeDouble, dispute_of, event_of, paid_event
from tests.billing.test_code_batches import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_api")]


def told(payment: Payment, word: str, **more: Any) -> Any:
    return tell(event_of(f"charge.dispute.{word}", dispute_of(payment, **more)))


def test_an_open_dispute_takes_the_money_into_suspense_and_a_won_one_gives_it_back() -> None:
    ada = person("ada")
    payment = paid(ada, 20 * USD)
    assert told(payment, "created").status_code == 200
    assert told(payment, "funds_withdrawn").status_code == 200
    dispute = PaymentDispute.objects.get()
    assert (dispute.state, dispute.amount_nano, dispute.reason) == ("open", 20 * USD, "fraudulent")
    assert dispute.due_at is not None
    assert balance(ada) == 0
    assert broken() == {}
    # What is in dispute is not refunded as well.
    with pytest.raises(InvalidInput):
        refunds.refund_payment(actor=person("fin", Role.FINANCE), payment=payment, amount_nano=USD, reason="asked")
    told(payment, "closed", status="won")
    told(payment, "funds_reinstated", status="won")
    dispute.refresh_from_db()
    assert (dispute.state, balance(ada)) == ("won", 20 * USD)
    payment.refresh_from_db()
    assert (payment.state, payment.refunded_nano) == ("paid", 0)
    assert broken() == {}


def test_a_lost_dispute_of_money_that_was_spent_leaves_a_debt_and_a_refunded_payment() -> None:
    ada = person("ada")
    payment = paid(ada, 20 * USD)
    end(hold(ada, 15 * USD).request_id, 15 * USD, user_id=ada.pk)
    told(payment, "created")
    assert balance(ada) == -15 * USD
    told(payment, "closed", status="lost")
    payment.refresh_from_db()
    assert (balance(ada), payment.state, payment.refunded_nano) == (-15 * USD, "refunded", 20 * USD)
    assert PaymentDispute.objects.get().state == "lost"
    assert broken() == {}


@pytest.mark.parametrize("order", list(itertools.permutations(["paid", "created", "closed"])))
def test_events_in_any_order_and_twice_end_the_same(order: tuple[str, ...]) -> None:
    from billing.services.payments.events import work_off_stored

    ada = person("ada")
    payment = ordered(ada, 20 * USD)
    events = {
        "paid": paid_event(payment),
        "created": event_of("charge.dispute.created", dispute_of(payment)),
        "closed": event_of("charge.dispute.closed", dispute_of(payment, status="lost")),
    }
    for name in (*order, *order):
        assert tell(events[name]).status_code == 200
    work_off_stored()
    assert balance(ada) == 0
    assert PaymentDispute.objects.get().state == "lost"
    assert LedgerEntry.objects.filter(kind="dispute").count() == 2
    assert broken() == {}


def test_a_warning_and_another_currency_book_nothing_and_a_part_takes_a_part() -> None:
    ada = person("ada")
    payment = paid(ada, 20 * USD)
    told(payment, "created", status="warning_needs_response")
    told(payment, "created", currency="eur", id="dp_other")
    assert balance(ada) == 20 * USD
    told(payment, "created", amount=500)
    assert balance(ada) == 15 * USD
    assert broken() == {}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_same_events_at_once_book_once() -> None:
    ada = person("ada")
    payment = paid(ada, 20 * USD)
    words = ["created", "funds_withdrawn", "closed", "closed"] * 2
    jobs = [lambda word=word: told(payment, word, **({"status": "won"} if word == "closed" else {})) for word in words]
    assert {getattr(answer, "status_code", answer) for answer in together(jobs)} == {200}
    assert PaymentDispute.objects.get().state == "won"
    assert balance(ada) == 20 * USD
    assert broken() == {}


def test_the_desk_shows_it_keeps_a_note_and_asks_the_provider(stripe_api: StripeDouble) -> None:
    ada, fin = person("ada"), person("fin", Role.FINANCE)
    payment = paid(ada, 20 * USD)
    told(payment, "created")
    dispute = PaymentDispute.objects.get()
    client = Client()
    client.force_login(fin)
    page = client.get(reverse("dispute_list")).content.decode()
    assert dispute.provider_dispute_id in page
    assert "$20.00" in page
    address = reverse("dispute_detail", args=[dispute.pk])
    assert client.post(address, {"note": " "}).context["form"].errors
    assert client.post(address, {"note": "logs sent on 3 May"}).status_code == 302
    # The provider is away: said so, nothing moves.
    stripe_api.disputes = {}
    assert "refused" in client.post(address, {"verb": "ask"}, follow=True).content.decode()
    stripe_api.disputes[dispute.provider_dispute_id] = dispute_of(payment, status="won")
    assert "won" in client.post(address, {"verb": "ask"}, follow=True).content.decode()
    dispute.refresh_from_db()
    assert (dispute.state, dispute.note, balance(ada)) == ("won", "logs sent on 3 May", 20 * USD)
    own = Client()
    own.force_login(ada)
    assert "disputed at the bank" in own.get(reverse("payment_detail", args=[payment.pk])).content.decode()
    for name, arguments in (("dispute_list", []), ("dispute_detail", [dispute.pk])):
        assert own.get(reverse(name, args=arguments)).status_code in (403, 404)
    assert broken() == {}
