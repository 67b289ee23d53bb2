"""The desk of payments: what belongs to nobody is assigned or returned, what was paid is given back; once, by whom may."""

import json
from collections import Counter
from uuid import uuid4

import pytest

from accounts.models import AuditEvent, Role, User
from billing import tasks
from billing.models import AdjustmentRequest, IncomingPayment, LedgerAccount, LedgerEntry, Payment, PaymentRefund
from billing.services import approvals
from billing.services.errors import AlreadyDecided, EntryMismatch, InsufficientBalance, SecondPersonNeeded
from billing.services.payments import refunds, unmatched
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from tests.billing.helpers import broken, end, figures, hold, person
from tests.billing.payment_world import USD, balance, ordered, paid, tell
from tests.billing.stripe_double import StripeDouble, paid_event, refund_event
from tests.billing.test_code_batches import together, total_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_api")]


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


def test_the_same_refund_sent_by_sixteen_programs_at_once_is_one(ada: User, finance: User, stripe_api: StripeDouble) -> None:
    payment, act = paid(ada), uuid4()
    act_of = {"actor": finance, "payment": payment, "reason": "all", "refund_id": act}
    answers = together([lambda: refunds.refund_payment(amount_nano=5 * USD, **act_of)] * 16)
    assert {answer.pk for answer in answers} == {act}
    assert (balance(ada), sum(path == "/v1/refunds" for path, *_rest in stripe_api.calls)) == (15 * USD, 1)
    for other in ({"amount_nano": 6 * USD}, {"amount_nano": 5 * USD, "payment": paid(ada)}):
        with pytest.raises(EntryMismatch):
            refunds.refund_payment(**{**act_of, **other})
    assert PaymentRefund.objects.count() == 1
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
