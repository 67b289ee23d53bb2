"""Payments against a real HTTP double of Stripe, with real signatures: replayed, out of order, wrong, and cut in the middle."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from billing import tasks
from billing.models import IncomingPayment, LedgerEntry, Payment, PaymentEvent
from billing.services.payments import events, orders
from billing.services.payments.provider import PaymentsOff, ProviderRefused, ProviderUnavailable
from config.foundation.errors import Conflict, InvalidInput
from tests.billing.helpers import broken
from tests.billing.payment_world import HOOK, USD, balance, ordered, paid, tell
from tests.billing.stripe_double import StripeDouble, event_of, paid_event, refund_event, signed
from tests.billing.test_code_batches import together, total_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


def test_an_order_is_made_once_and_paid_once(ada: User, stripe_api: StripeDouble) -> None:
    order = uuid4()
    payment = orders.start_payment(actor=ada, amount_nano=20 * USD, order_id=order)
    assert orders.start_payment(actor=ada, amount_nano=20 * USD, order_id=order) == payment
    ((path, form, key),) = stripe_api.calls
    assert (path, key, form["line_items[0][price_data][unit_amount]"]) == ("/v1/checkout/sessions", str(order), "2000")
    assert payment.checkout_url.startswith(stripe_api.address)
    with pytest.raises(Conflict):
        orders.start_payment(actor=ada, amount_nano=30 * USD, order_id=order)
    assert balance(ada) == 0
    tell(paid_event(payment))
    payment.refresh_from_db()
    assert (payment.state, balance(ada)) == ("paid", 20 * USD)
    entry = LedgerEntry.objects.get()
    assert (entry.transaction_id, entry.kind, entry.from_account.kind) == (payment.pk, "top_up", "cash")
    assert AuditEvent.objects.get(action="payment.credited").actor_name == "system"
    assert broken() == {}


@pytest.mark.parametrize("amount", [0, 4 * USD, 1001 * USD, 5 * USD + 1, -5 * USD])
def test_amounts_that_cannot_be_ordered(ada: User, stripe_api: StripeDouble, amount: int) -> None:
    with pytest.raises(InvalidInput):
        orders.start_payment(actor=ada, amount_nano=amount)
    assert (Payment.objects.count(), stripe_api.calls) == (0, [])


def test_without_a_provider_nothing_can_be_ordered_or_told(ada: User, settings: Any, client: Any) -> None:
    payment = ordered(ada)
    settings.PAYMENT_PROVIDER = ""
    with pytest.raises(PaymentsOff):
        orders.start_payment(actor=ada, amount_nano=20 * USD)
    assert tell(paid_event(payment)).status_code == 409
    assert PaymentEvent.objects.count() == 0
    client.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "not set up here" in client.get("/billing/top-up/").content.decode()


def test_a_provider_that_is_away_leaves_an_order_that_can_be_tried_again(ada: User, stripe_api: StripeDouble) -> None:
    order = uuid4()
    stripe_api.fails = 503
    with pytest.raises(ProviderUnavailable):
        orders.start_payment(actor=ada, amount_nano=20 * USD, order_id=order)
    stripe_api.fails = 0
    assert orders.start_payment(actor=ada, amount_nano=20 * USD, order_id=order).session_id
    stripe_api.fails = 402
    with pytest.raises(ProviderRefused):
        orders.start_payment(actor=ada, amount_nano=30 * USD)
    assert sorted(Payment.objects.values_list("state", flat=True)) == ["created", "failed"]


def test_a_replay_10_times_in_parallel_is_one_credit(ada: User) -> None:
    event = paid_event(ordered(ada))
    answers = together([lambda: tell(event).status_code] * 10)
    assert answers == [200] * 10
    assert (balance(ada), LedgerEntry.objects.count(), PaymentEvent.objects.count()) == (20 * USD, 1, 1)
    assert broken() == {}


def test_two_events_of_one_payment_at_once_are_one_credit(ada: User) -> None:
    payment = ordered(ada)
    again = {**paid_event(payment), "type": "checkout.session.async_payment_succeeded"}
    together([lambda: tell(paid_event(payment)), lambda: tell(again)] * 3)
    assert (balance(ada), LedgerEntry.objects.count()) == (20 * USD, 1)
    assert IncomingPayment.objects.count() == 0


@pytest.mark.parametrize("how", ["wrong secret", "old", "changed", "missing", "not json"])
def test_an_event_whose_signature_does_not_fit_is_not_even_stored(ada: User, client: Any, how: str) -> None:
    event = paid_event(ordered(ada))
    body, signature = signed(event)
    if how == "wrong secret":
        body, signature = signed(event, secret="whsec_other")
    elif how == "old":
        body, signature = signed(event, at=int(time.time()) - 301)
    elif how == "changed":
        body = body.replace(b"2000", b"9000")
    elif how == "missing":
        signature = ""
    else:
        body, signature = b"\xff{", "t=1,v1=00"
    answer = client.post(HOOK, body, content_type="application/json", headers={"stripe-signature": signature})
    assert answer.status_code == 400
    assert (PaymentEvent.objects.count(), balance(ada)) == (0, 0)


def test_a_crash_between_the_event_and_the_credit_is_completed(ada: User, tmp_path: Path) -> None:
    """kill -9 of the process that stored the event; the task credits it, and the provider's next try changes nothing."""
    event = paid_event(ordered(ada))
    body, _signature = signed(event)
    file = tmp_path / "event.json"
    file.write_bytes(body)
    script = Path(__file__).with_name("payment_killed.py")
    name = str(connection.settings_dict["NAME"])
    env = {**os.environ, "KILLED_DATABASE": name, "PYTHONPATH": os.getcwd()}
    child = subprocess.run([sys.executable, str(script), str(file)], env=env, check=False, timeout=60)
    assert child.returncode == -9
    assert (PaymentEvent.objects.get().state, balance(ada)) == ("stored", 0)
    tasks.work_payments_task()
    assert balance(ada) == 20 * USD
    assert tell(event).status_code == 200
    tasks.work_payments_task()
    assert (balance(ada), LedgerEntry.objects.count()) == (20 * USD, 1)
    assert broken() == {}


def test_a_credit_that_breaks_in_the_middle_is_stored_and_tried_again(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    event = paid_event(ordered(ada))

    def breaks(*_args: Any, **_more: Any) -> None:
        raise ConnectionError("the connection went away")

    with monkeypatch.context() as patch:
        patch.setattr(events.audit, "record", breaks)
        assert tell(event).status_code == 200
    assert (PaymentEvent.objects.get().state, Payment.objects.get().state, balance(ada)) == ("stored", "created", 0)
    tasks.work_payments_task()
    assert (Payment.objects.get().state, balance(ada)) == ("paid", 20 * USD)
    assert broken() == {}


def test_events_in_any_order(ada: User) -> None:
    first, second = ordered(ada), ordered(ada, 30 * USD)
    tell(refund_event(first))
    assert PaymentEvent.objects.get().state == "waiting"
    tell(event_of("checkout.session.expired", {"id": second.session_id, "client_reference_id": str(second.pk)}))
    tell(paid_event(second))
    tell(event_of("checkout.session.expired", {"id": second.session_id, "client_reference_id": str(second.pk)}))
    tell(paid_event(first))
    tasks.work_payments_task()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.refunded_nano, second.state) == ("refunded", 20 * USD, "paid")
    assert balance(ada) == 30 * USD
    assert broken() == {}


def test_a_slow_way_to_pay_is_credited_when_the_money_is_there(ada: User) -> None:
    payment = ordered(ada)
    tell(paid_event(payment, payment_status="unpaid"))
    assert (Payment.objects.get().state, balance(ada)) == ("created", 0)
    failed = event_of("checkout.session.async_payment_failed", {"id": payment.session_id})
    tell(failed)
    assert Payment.objects.get().state == "failed"
    tell({**paid_event(payment), "type": "checkout.session.async_payment_succeeded"})
    assert (Payment.objects.get().state, balance(ada)) == ("paid", 20 * USD)


@pytest.mark.parametrize(
    ("change", "why", "booked"),
    [
        ({"amount_total": 1999}, "wrong_amount", 1999 * 10**7),
        ({"amount_total": 9_000_000}, "wrong_amount", 9_000_000 * 10**7),
        ({"currency": "eur"}, "wrong_currency", None),
        ({"id": "cs_other", "client_reference_id": None, "metadata": {}}, "unknown_order", 20 * USD),
        ({"id": "cs_other", "client_reference_id": "not-an-id", "metadata": {}}, "unknown_order", 20 * USD),
    ],
)
def test_x5_what_differs_from_the_order_is_neither_credited_nor_dropped(
    ada: User, change: dict[str, Any], why: str, booked: int | None
) -> None:
    """X5, and new-api 6246: it lies in suspense, once, and the person's balance is untouched."""
    payment = ordered(ada)
    event = paid_event(payment, **change)
    for _time in range(3):
        tell(event)
    stray = IncomingPayment.objects.get()
    assert (stray.why, stray.booked_nano, stray.state) == (why, booked, "open")
    assert (balance(ada), total_of("suspense")) == (0, booked or 0)
    assert Payment.objects.get().state == ("created" if why == "unknown_order" else "unmatched")
    assert broken() == {}


def test_x5_a_second_payment_of_one_order_is_kept_apart(ada: User) -> None:
    payment = paid(ada)
    tell(paid_event(payment, payment_intent="pi_second"))
    assert IncomingPayment.objects.get().why == "paid_twice"
    assert (balance(ada), total_of("suspense")) == (20 * USD, 20 * USD)
