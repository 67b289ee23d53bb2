"""Payments, the unmatched ones and their events. One's own, or all with ``ledger.view``."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum

from accounts.models import User
from accounts.rights import may, require
from billing.models import IncomingPayment, Payment, PaymentDispute, PaymentEvent, PaymentRefund
from config.foundation.clock import now
from config.foundation.errors import NotFound


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a payment's timeline."""

    at: datetime
    look: str
    text: str
    nano: int | None = None
    note: str = ""


def payments_for(actor: User, state: str = "", *, everybody: bool = False) -> QuerySet[Payment]:
    """Newest first; of everybody only with the right."""
    rows = Payment.objects.select_related("user", "entry").order_by("-created_at", "-pk")
    if everybody:
        require(actor, "ledger.view")
    else:
        rows = rows.filter(user=actor)
    return rows.filter(state=state) if state in Payment.State.values else rows


def payment_for(actor: User, payment_id: UUID) -> Payment:
    """One's own payment, or any with the right; NotFound otherwise."""
    payment = Payment.objects.select_related("user", "entry").filter(pk=payment_id).first()
    if payment is None or (payment.user_id != actor.pk and not may(actor, "ledger.view")):
        raise NotFound
    return payment


def refunds_of(payment: Payment) -> list[PaymentRefund]:
    return list(payment.refunds.select_related("asked_by").order_by("created_at"))


def refunds_for(actor: User, state: str = "", payment_id: UUID | None = None) -> QuerySet[PaymentRefund]:
    """Refunds to payers, of payments and of what fitted none, newest first."""
    require(actor, "ledger.view")
    rows = PaymentRefund.objects.select_related("asked_by").order_by("-created_at", "-pk")
    if payment_id is not None:
        rows = rows.filter(payment=payment_id)
    return rows.filter(state=state) if state in PaymentRefund.State.values else rows


def refund_known(actor: User, refund_id: UUID) -> PaymentRefund | None:
    return refunds_for(actor).filter(pk=refund_id).first()


def refund_for(actor: User, refund_id: UUID) -> PaymentRefund:
    found = refund_known(actor, refund_id)
    if found is None:
        raise NotFound
    return found


def disputes_for(actor: User, state: str = "") -> QuerySet[PaymentDispute]:
    """Disputes of everybody's payments: the open ones first, those with the nearest due day on top."""
    require(actor, "ledger.view")
    rows = PaymentDispute.objects.select_related("payment__user", "entry", "closing_entry")
    rows = rows.order_by(F("closed_at").desc(nulls_first=True), F("due_at").asc(nulls_last=True), "-opened_at", "-pk")
    return rows.filter(state=state) if state in PaymentDispute.State.values else rows


def dispute_one(actor: User, dispute_id: UUID) -> PaymentDispute:
    found = disputes_for(actor).filter(pk=dispute_id).first()
    if found is None:
        raise NotFound
    return found


def disputes_open(actor: User) -> tuple[int, int]:
    """How many are open, and what of them lies in suspense, nano-USD."""
    require(actor, "ledger.view")
    sums = PaymentDispute.objects.filter(state="open").aggregate(n=Count("pk"), nano=Sum("amount_nano"))
    return sums["n"], int(sums["nano"] or 0)


def incoming_for(actor: User, state: str = "open") -> QuerySet[IncomingPayment]:
    require(actor, "ledger.view")
    related = ("payment", "user", "group", "closed_by", "created_by")
    rows = IncomingPayment.objects.select_related(*related).order_by("-received_at", "-pk")
    return rows.filter(state=state) if state in IncomingPayment.State.values else rows


def incoming_one(actor: User, incoming_id: UUID) -> IncomingPayment:
    found = incoming_for(actor, "").filter(pk=incoming_id).first()
    if found is None:
        raise NotFound
    return found


def incoming_open(actor: User) -> tuple[int, int]:
    """How many wait, and what of them lies in suspense, nano-USD."""
    require(actor, "ledger.view")
    sums = IncomingPayment.objects.filter(state="open").aggregate(n=Count("pk"), nano=Sum("booked_nano"))
    return sums["n"], int(sums["nano"] or 0)


def events_that_wait(actor: User) -> list[PaymentEvent]:
    """Events that could not be worked off for an hour: something of theirs is missing."""
    require(actor, "ledger.view")
    late = now() - timedelta(hours=1)
    rows = PaymentEvent.objects.filter(state__in=["stored", "waiting"], received_at__lt=late)
    return list(rows.defer("payload").order_by("pk")[:50])
