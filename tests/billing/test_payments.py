"""Payments against a real HTTP double of Stripe, with real signatures: replayed, out of order, wrong, and cut in the middle."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import AuditEvent, Role, User
from billing import tasks
from billing.models import AdjustmentRequest, IncomingPayment, LedgerAccount, LedgerEntry, Payment, PaymentEvent, PaymentRefund
from billing.services import approvals
from billing.services.errors import AlreadyDecided, InsufficientBalance, SecondPersonNeeded
from billing.services.payments import events, orders, refunds, unmatched
from billing.services.payments.provider import PaymentsOff, ProviderRefused, ProviderUnavailable
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from tests.billing.helpers import broken, end, figures, hold, person
from tests.billing.payment_world import HOOK, USD, ordered, paid, tell
from tests.billing.stripe_double import SECRET, StripeDouble, event_of, paid_event, refund_event, signed
from tests.billing.test_code_batches import together, total_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def stripe_api(settings: Any) -> Iterator[StripeDouble]:
    double = StripeDouble()
    settings.PAYMENT_PROVIDER = "stripe"
    settings.STRIPE_API_KEY = "sk_test_" + "x" * 24
    settings.STRIPE_WEBHOOK_SECRET = f"whsec_old,{SECRET}"
    settings.STRIPE_API_BASE = double.address
    yield double
    double.stop()


@pytest.fixture
def ada(db: Any) -> User:
    return person("ada", email="ada@example.org")


@pytest.fixture
def finance(db: Any) -> User:
    return person("fin", Role.FINANCE)


def balance(user: User) -> int:
    return sum(LedgerAccount.objects.filter(user=user).values_list("balance_nano", flat=True))


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


def test_x5_the_desk_assigns_or_returns_once(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    for number in range(2):
        tell(paid_event(ordered(ada), amount_total=1500 + number))
    first, second = IncomingPayment.objects.order_by("amount_minor")
    with pytest.raises(NotAllowed):
        unmatched.assign(actor=person("sue", Role.SUPPORT), incoming=first, user=ada, reason="x")
    with pytest.raises(InvalidInput):
        unmatched.assign(actor=finance, incoming=first, user=ada, reason=" ")
    unmatched.assign(actor=finance, incoming=first, user=ada, reason="she paid less")
    unmatched.give_back(actor=finance, incoming=second, reason="she wants it back")
    for verb in (unmatched.assign, unmatched.give_back):
        with pytest.raises(AlreadyDecided):
            verb(actor=finance, incoming=first, reason="again", **({"user": ada} if verb is unmatched.assign else {}))
    assert (balance(ada), total_of("suspense"), total_of("cash")) == (15 * USD, 0, -15 * USD)
    refund_calls = [(form["payment_intent"], form["amount"]) for path, form, _key in stripe_api.calls if path == "/v1/refunds"]
    assert refund_calls == [(second.reference, "1501")]
    assert PaymentRefund.objects.get().state == "done"
    trail = AuditEvent.objects.filter(object_type="billing.incomingpayment").order_by("pk")
    assert Counter(trail.values_list("action", flat=True)) == {
        "incoming.kept": 2,
        "incoming.assigned": 1,
        "incoming.returned": 1,
    }
    assert broken() == {}


def test_x5_eight_people_at_the_desk_at_once_book_once(ada: User, finance: User) -> None:
    tell(paid_event(ordered(ada), amount_total=1500))
    stray = IncomingPayment.objects.get()
    jobs = [lambda: unmatched.assign(actor=finance, incoming=stray, user=ada, reason="hers")] * 4
    jobs += [lambda: unmatched.give_back(actor=finance, incoming=stray, reason="back")] * 4
    answers = together(jobs)
    assert Counter(type(answer).__name__ for answer in answers) == {"IncomingPayment": 1, "AlreadyDecided": 7}
    assert total_of("suspense") == 0
    assert broken() == {}


def test_x5_a_large_or_foreign_amount(ada: User, finance: User) -> None:
    other = person("second", Role.FINANCE)
    large = unmatched.Transfer("RE-1", 500_000, "USD", "ACME", now())
    foreign = unmatched.Transfer("RE-2", 10_000, "EUR", "ACME", now())
    large_row = unmatched.enter_transfer(actor=finance, transfer=large)
    foreign_row = unmatched.enter_transfer(actor=finance, transfer=foreign)
    with pytest.raises(Conflict):
        unmatched.enter_transfer(actor=finance, transfer=large)
    with pytest.raises(SecondPersonNeeded):
        unmatched.assign(actor=finance, incoming=large_row, user=ada, reason="hers")
    asked = unmatched.assign_or_ask(actor=finance, incoming=large_row, user=ada, reason="hers")
    assert isinstance(asked, AdjustmentRequest)
    assert balance(ada) == 0
    approvals.approve(actor=other, request=asked)
    assert balance(ada) == 5000 * USD
    with pytest.raises(InvalidInput):
        unmatched.assign(actor=finance, incoming=foreign_row, user=ada, reason="hers")
    unmatched.assign(actor=finance, incoming=foreign_row, user=ada, reason="at 1.08", worth_nano=108 * USD)
    assert (balance(ada), total_of("suspense")) == (5108 * USD, 0)
    assert broken() == {}


def test_x5_transfers_from_a_file(finance: User) -> None:
    text = (
        "\ufeffdate,amount,currency,payer,reference\n2026-05-31,10.50,USD,ACME,RE-1\n2026-05-31,ten,USD,ACME,RE-2\n"
        "2026-05-31,7,USD,ACME,RE-1\nyesterday,7,USD,ACME,RE-3\n2026-06-01,0.005,USD,X,RE-4\n2026-06-01,5,EUR,,RE-5\n,,,,\n"
    )
    done = unmatched.import_transfers(actor=finance, text=text)
    assert (done.written, done.known, [line for line, _why in done.refused]) == (2, 1, [3, 5, 6, 8])
    assert total_of("suspense") == 10_500_000_000
    again = unmatched.import_transfers(actor=finance, text=text)
    assert (again.written, again.known) == (0, 3)
    with pytest.raises(InvalidInput, match="payer, reference"):
        unmatched.import_transfers(actor=finance, text="date,amount,currency\n")
    assert broken() == {}


def test_refunds_in_parts_never_more_than_was_paid(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    payment, act = paid(ada), uuid4()
    for _time in range(2):
        refunds.refund_payment(actor=finance, payment=payment, amount_nano=5 * USD, reason="part", refund_id=act)
    with pytest.raises(InvalidInput):
        refunds.refund_payment(actor=finance, payment=payment, amount_nano=15 * USD + 10**7, reason="too much")
    refunds.refund_payment(actor=finance, payment=payment, amount_nano=15 * USD, reason="rest")
    payment.refresh_from_db()
    assert (payment.state, payment.refunded_nano, balance(ada)) == ("refunded", 20 * USD, 0)
    keys = [key for path, _form, key in stripe_api.calls if path == "/v1/refunds"]
    assert len(keys) == len(set(keys)) == 2
    assert list(LedgerEntry.objects.order_by("pk").values_list("kind", flat=True)) == ["top_up", "paid_back", "paid_back"]
    assert broken() == {}


def test_sixteen_refunds_at_once_give_back_once(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    payment = paid(ada)
    job = lambda: refunds.refund_payment(actor=finance, payment=payment, amount_nano=20 * USD, reason="all")  # noqa: E731
    answers = together([job] * 16)
    assert Counter(type(answer).__name__ for answer in answers) == {"PaymentRefund": 1, "InvalidInput": 15}
    assert (balance(ada), sum(path == "/v1/refunds" for path, *_rest in stripe_api.calls)) == (0, 1)
    assert broken() == {}


def test_a_refund_of_spent_money_needs_a_second_person(ada: User, finance: User) -> None:
    payment = paid(ada)
    end(hold(ada, 15 * USD).request_id, 15 * USD)
    with pytest.raises(InsufficientBalance):
        refunds.refund_payment(actor=finance, payment=payment, amount_nano=20 * USD, reason="all")
    assert (PaymentRefund.objects.count(), Payment.objects.get().refunded_nano) == (0, 0)
    asked = refunds.ask_for_debt(actor=finance, payment=payment, amount_nano=20 * USD, reason="all")
    assert balance(ada) == 5 * USD
    approvals.approve(actor=person("second", Role.FINANCE), request=asked)
    assert figures(LedgerAccount.objects.get(user=ada)) == (-15 * USD, 0)
    assert PaymentRefund.objects.get().state == "done"
    assert broken() == {}


def test_a_refund_the_provider_refuses_is_booked_back(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    payment = paid(ada)
    stripe_api.fails = 400
    refunds.refund_payment(actor=finance, payment=payment, amount_nano=20 * USD, reason="all")
    payment.refresh_from_db()
    assert (PaymentRefund.objects.get().state, payment.state, payment.refunded_nano) == ("failed", "paid", 0)
    assert balance(ada) == 20 * USD
    assert broken() == {}


def test_a_refund_waits_for_a_provider_that_is_away_and_can_fail_late(
    ada: User, finance: User, stripe_api: StripeDouble
) -> None:
    payment = paid(ada)
    stripe_api.fails = 503
    refund = refunds.refund_payment(actor=finance, payment=payment, amount_nano=20 * USD, reason="all")
    assert (PaymentRefund.objects.get().state, balance(ada)) == ("asked", 0)
    stripe_api.fails, stripe_api.refund_status = 0, "pending"
    tasks.work_payments_task()
    known = PaymentRefund.objects.get()
    assert (known.state, known.provider_refund_id[:3]) == ("sent", "re_")
    late = refund_event(payment, id=known.provider_refund_id, status="failed", metadata={"refund_id": str(refund.pk)})
    for _time in range(3):
        tell({**late, "type": "refund.failed"})
    assert (PaymentRefund.objects.get().state, balance(ada)) == ("failed", 20 * USD)
    assert broken() == {}


def test_a_refund_made_at_the_provider_follows_here_once(ada: User) -> None:
    payment = paid(ada)
    end(hold(ada, 15 * USD).request_id, 15 * USD)
    event = refund_event(payment, amount=1000)
    for _time in range(2):
        tell(event)
    tell({**event, "id": "evt_other", "type": "refund.updated"})
    payment.refresh_from_db()
    assert (payment.state, payment.refunded_nano, balance(ada)) == ("paid", 10 * USD, -5 * USD)
    assert PaymentRefund.objects.get().reason == "made at stripe"
    assert broken() == {}


def test_r018_others_work_no_payment(ada: User) -> None:
    payment = paid(ada)
    for role in (Role.USER, Role.SUPPORT, Role.OPS):
        actor = person(f"x-{role}", role)
        with pytest.raises(NotAllowed):
            refunds.refund_payment(actor=actor, payment=payment, amount_nano=USD, reason="x")
        with pytest.raises(NotAllowed):
            unmatched.import_transfers(actor=actor, text="date,amount,currency,payer,reference\n")
    assert PaymentRefund.objects.count() == 0


def test_the_pages_of_a_payment(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    """Alice pays by the page, a stranger sees nothing of it, finance gives it back."""
    from django.test import Client

    def browser(user: User) -> Client:
        made = Client()
        made.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return made

    own, desk, stranger = browser(ada), browser(finance), browser(person("eve"))
    start = own.get("/billing/top-up/")
    assert "https://checkout.stripe.com" in start["Content-Security-Policy"]
    once = start.context["form"]["once"].value()
    answer = own.post("/billing/top-up/", {"amount": "20", "once": str(once)})
    payment = Payment.objects.get()
    assert answer["Location"] == payment.checkout_url
    assert own.post("/billing/top-up/", {"amount": "1", "once": str(uuid4())}).status_code == 200
    where = f"/billing/payments/{payment.pk}/"
    assert "Nothing is credited before" in own.get(where).content.decode()
    assert stranger.get(where).status_code == 404
    tell(paid_event(payment))
    assert "The amount is in the prepaid purse." in own.get(where).content.decode()
    assert own.post(where, {"amount": "5", "reason": "x", "once": str(uuid4())}).status_code == 403
    assert desk.get("/finance/payments/").status_code == 200
    assert stranger.get("/finance/payments/").status_code == 403
    typed = {"amount": "5", "reason": "as she asked", "once": str(uuid4())}
    for _time in range(2):
        assert desk.post(where, typed).status_code == 302
    assert balance(ada) == 15 * USD
    over = desk.post(where, {**typed, "amount": "16", "once": str(uuid4())})
    assert "not more than what is left" in over.content.decode()


def test_the_pages_of_the_unmatched_desk(ada: User, finance: User) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import Client

    desk = Client()
    desk.force_login(finance, backend="allauth.account.auth_backends.AuthenticationBackend")
    one = {"reference": "RE-9", "amount": "12.50", "currency": "usd", "payer": "ACME", "received_on": "2026-05-31"}
    assert desk.post("/finance/unmatched/new/", one).status_code == 302
    assert "known already" in desk.post("/finance/unmatched/new/", one).content.decode()
    file = SimpleUploadedFile("t.csv", b"date,amount,currency,payer,reference\n2026-05-31,7,USD,ACME,RE-10\nx,x,x,x,x\n")
    page = desk.post("/finance/unmatched/new/", {"import": "yes", "file": file}).content.decode()
    assert "1 written, 0 known already, 1 refused." in page
    bad = SimpleUploadedFile("t.csv", b"\xff\xfe\x00")
    assert desk.post("/finance/unmatched/new/", {"import": "yes", "file": bad}).status_code == 200
    first, second = IncomingPayment.objects.order_by("reference")[::-1]
    assert "<strong>2</strong> payments belong to nobody yet" in desk.get("/finance/unmatched/").content.decode()
    where = f"/finance/unmatched/{first.pk}/"
    assert "no such person" in desk.post(where, {"to": "nobody", "reason": "x"}).content.decode()
    assert desk.post(where, {"to": "ada", "reason": "her transfer"}).status_code == 302
    assert desk.post(f"/finance/unmatched/{second.pk}/", {"return": "yes", "back-reason": "unknown"}).status_code == 302
    assert total_of("suspense") == 0
    assert balance(ada) == first.amount_minor * 10**7
    stranger = Client()
    stranger.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    for place in ("/finance/unmatched/", "/finance/unmatched/new/", where):
        assert stranger.get(place).status_code == 403
    assert json.dumps(list(AuditEvent.objects.values_list("reason", flat=True))).count("her transfer") == 1
