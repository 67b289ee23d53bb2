"""The provider's events: stored as they came, then worked off once each, in any order, as often as they are sent.

Money that is exactly what was ordered goes to the person's prepaid purse (cash to purse). Anything else lies in suspense
until somebody looks at it; nothing is credited by guess and nothing is dropped.
"""

import logging
from datetime import timedelta
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Q

from accounts.services import audit
from billing.locks import lock_row
from billing.models import IncomingPayment, Payment, PaymentEvent, PaymentRefund
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from billing.services.payments import disputes, refunds
from billing.services.payments.chosen import required_provider
from billing.services.payments.orders import CENT
from billing.services.payments.provider import EventFacts
from billing.services.payments.unmatched import keep_stray
from config.foundation.clock import now

log = logging.getLogger(__name__)
State = PaymentEvent.State
Why = IncomingPayment.Why
OUTSIDE = UUID("0d4ce1a2-3a4b-5f1f-8a3f-4a4f8f2f9b10")
# A refund may be told before its payment; after this long it is left for a person to see.
PATIENCE = timedelta(days=3)


def receive(*, provider_name: str, body: bytes, signature: str) -> PaymentEvent:
    """Check, store and work off one event. Once it is stored an error in the work is the work's: it is tried again later.

    Raises PaymentsOff and BadSignature; then nothing is stored.
    """
    facts = required_provider(provider_name).verified(body=body, signature=signature)
    event = store(provider_name, facts, body.decode())
    try:
        work_off(event.pk)
    except Exception:
        log.exception("event %s of %s is stored and could not be worked off yet", facts.event_id, provider_name)
    event.refresh_from_db()
    return event


def store(provider_name: str, facts: EventFacts, payload: str) -> PaymentEvent:
    """The row of this event, made when it is new; the event id is unique in the database."""
    values = {"event_type": facts.event_type, "payload": payload}
    event, _is_new = PaymentEvent.objects.get_or_create(provider=provider_name, event_id=facts.event_id, defaults=values)
    return event


@transaction.atomic
def work_off(event_pk: int) -> str:
    """Do what the event says, once; gives its state afterwards."""
    event = lock_row(PaymentEvent, event_pk)
    if event is None or event.state not in (State.STORED, State.WAITING):
        return event.state if event else ""
    facts = required_provider(event.provider).facts_of(event.payload)
    event.attempts += 1
    event.state, event.payment = _apply(event.provider, facts)
    if event.state == State.WAITING and event.received_at < now() - PATIENCE:
        event.state = State.UNMATCHED
    event.processed_at = now()
    event.save(update_fields=["attempts", "state", "payment", "processed_at"])
    return event.state


def work_off_stored(limit: int = 200) -> int:
    """Events that wait, oldest first; gives how many were finished. One that fails does not hold up the others."""
    finished = 0
    open_ones = PaymentEvent.objects.filter(Q(state=State.STORED) | Q(state=State.WAITING)).order_by("pk")
    for pk in list(open_ones.values_list("pk", flat=True)[:limit]):
        try:
            finished += work_off(pk) not in (State.STORED, State.WAITING)
        except Exception:
            log.exception("event %s could not be worked off", pk)
    return finished


def _apply(provider_name: str, facts: EventFacts) -> tuple[str, Payment | None]:
    if facts.kind == "paid":
        return _paid(provider_name, facts)
    if facts.kind == "refund":
        return _refund(provider_name, facts)
    if facts.kind == "dispute" and facts.dispute is not None:
        payment = disputes.note(provider_name, facts.dispute)
        return (State.DONE, payment) if payment else (State.WAITING, None)
    if facts.kind in ("failed", "expired"):
        payment = _order_of(provider_name, facts)
        if payment is None or payment.state != Payment.State.CREATED:
            # Too late, or told after the money came: what was paid stays paid.
            return State.IGNORED, payment
        payment.state, payment.closed_at = facts.kind, now()
        payment.save(update_fields=["state", "closed_at"])
        audit.record(actor=None, action=f"payment.{facts.kind}", target=payment)
        return State.DONE, payment
    return State.IGNORED, _order_of(provider_name, facts)


def _paid(provider_name: str, facts: EventFacts) -> tuple[str, Payment | None]:
    payment = _order_of(provider_name, facts)
    if payment is None:
        keep_stray(provider_name, facts, Why.UNKNOWN_ORDER, None)
        return State.UNMATCHED, None
    if payment.state in (Payment.State.PAID, Payment.State.REFUNDED, Payment.State.UNMATCHED):
        if facts.payment_id == payment.provider_payment_id:
            return State.IGNORED, payment
        keep_stray(provider_name, facts, Why.PAID_TWICE, payment)
        return State.UNMATCHED, payment
    payment.session_id = payment.session_id or facts.session_id
    payment.provider_payment_id, payment.paid_at = facts.payment_id, now()
    wrong = facts.currency != payment.currency or facts.amount_minor * CENT != payment.amount_nano
    if wrong:
        why = Why.WRONG_CURRENCY if facts.currency != payment.currency else Why.WRONG_AMOUNT
        payment.state = Payment.State.UNMATCHED
        payment.save()
        keep_stray(provider_name, facts, why, payment)
        return State.UNMATCHED, payment
    _credit(payment)
    return State.DONE, payment


def _credit(payment: Payment) -> None:
    """Cash to the person's prepaid purse; the order's id is the act, so it happens once."""
    purse = purse_for(user=payment.user)
    cash = house_account("cash").pk
    posting = Posting(payment.pk, "top_up", cash, purse.pk, payment.amount_nano, reason=f"{payment.provider} {payment.pk}")
    (booked,) = post_entries([posting])
    payment.state, payment.entry_id = Payment.State.PAID, booked.entry_id
    payment.save()
    after = {"amount_nano": payment.amount_nano, "entry": booked.entry_id}
    audit.record(actor=None, action="payment.credited", target=payment, after=after)


def _refund(provider_name: str, facts: EventFacts) -> tuple[str, Payment | None]:
    known = PaymentRefund.objects.filter(provider_refund_id=facts.refund_id).first() or _by_reference(facts)
    if known is not None:
        refunds.note_outcome(known.pk, refund_id=facts.refund_id, state=facts.refund_state)
        return State.DONE, known.payment
    payment = Payment.objects.filter(provider=provider_name, provider_payment_id=facts.payment_id).first()
    if payment is None or not facts.payment_id:
        return State.WAITING, None
    if facts.refund_state == "failed":
        return State.IGNORED, payment
    refunds.book_outside(payment.pk, uuid5(OUTSIDE, facts.refund_id), facts)
    return State.DONE, payment


def _by_reference(facts: EventFacts) -> PaymentRefund | None:
    try:
        return PaymentRefund.objects.filter(pk=UUID(facts.refund_reference)).first()
    except ValueError:
        return None


def _order_of(provider_name: str, facts: EventFacts) -> Payment | None:
    """The order an event is about, locked; by the session, or by the id that we gave the provider."""
    found = Payment.objects.filter(provider=provider_name, session_id=facts.session_id).exclude(session_id="").first()
    if found is None and facts.order_id:
        try:
            found = Payment.objects.filter(provider=provider_name, pk=UUID(facts.order_id)).first()
        except ValueError:
            found = None
    return lock_row(Payment, found.pk) if found else None
