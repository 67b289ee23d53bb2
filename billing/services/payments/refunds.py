"""Paying back: booked first, so that the money cannot be spent meanwhile; then sent with an id that sends it once.

A refund that the provider refuses is booked back by a reversal. Amounts are nano-USD.
"""

from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_row
from billing.models import AdjustmentRequest, IncomingPayment, Payment, PaymentRefund
from billing.services import approvals
from billing.services.errors import EntryMismatch
from billing.services.four_eyes import check_two_people
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from billing.services.payments.chosen import required_provider
from billing.services.payments.orders import CENT
from billing.services.payments.provider import EventFacts, ProviderRefused, ProviderUnavailable
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotFound
from config.foundation.ids import uuid7

State = PaymentRefund.State


@transaction.atomic
def refund_payment(
    *,
    actor: User,
    payment: Payment,
    amount_nano: int,
    reason: str,
    refund_id: UUID | None = None,
    approval: AdjustmentRequest | None = None,
) -> PaymentRefund:
    """Give back a payment or a part (purse to cash), and send it when this is committed. The same ``refund_id`` pays once.

    Raises InvalidInput for more than is left of the payment, InsufficientBalance when the person has spent it, EntryMismatch
    for a ``refund_id`` of another refund; an approved request of the kind ``refund_debt`` lets the purse go into debt.
    """
    require(actor, "ledger.adjust")
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    locked = lock_row(Payment, payment.pk)
    if locked is None:
        raise NotFound
    # Behind the lock: of two that bring the same id at once, the second finds what the first has written.
    known = PaymentRefund.objects.filter(pk=refund_id).first() if refund_id else None
    if known is not None:
        if (known.payment_id, known.amount_nano) != (payment.pk, amount_nano):
            raise EntryMismatch
        return known
    _check_amount(locked, amount_nano)
    if approval is not None:
        check_two_people(actor, AdjustmentRequest.Kind.REFUND_DEBT, amount_nano, approval)
    refund = PaymentRefund(
        pk=refund_id or uuid7(), payment=locked, amount_nano=amount_nano, reason=reason.strip()[:255], asked_by=actor
    )
    _book(refund, locked, allow_debt=approval is not None)
    after = {"amount_nano": amount_nano, "refund": str(refund.pk)}
    audit.record(actor=actor, action="payment.refund_asked", target=locked, after=after, reason=reason)
    transaction.on_commit(lambda: send_quietly(refund.pk))
    return refund


def ask_for_debt(
    *, actor: User, payment: Payment, amount_nano: int, reason: str, transaction_id: UUID | None = None
) -> AdjustmentRequest:
    """Ask a second person for a refund of money that is spent already. The same ``transaction_id`` asks once."""
    if transaction_id is None or not AdjustmentRequest.objects.filter(transaction_id=transaction_id).exists():
        _check_amount(payment, amount_nano)
    return approvals.ask(
        actor=actor,
        kind=AdjustmentRequest.Kind.REFUND_DEBT,
        purse=purse_for(user=payment.user),
        amount_nano=amount_nano,
        reason=reason,
        details={"payment": str(payment.pk)},
        transaction_id=transaction_id,
    )


def send(refund_id: UUID) -> str:
    """Tell the provider; gives the state. Two workers at once send once: the provider knows the id."""
    refund = PaymentRefund.objects.select_related("payment", "incoming").get(pk=refund_id)
    if refund.state != State.ASKED:
        return refund.state
    target = refund.payment or refund.incoming
    assert target is not None
    paid_id = target.provider_payment_id if isinstance(target, Payment) else target.reference
    minor = target.amount_minor if isinstance(target, IncomingPayment) else refund.amount_nano // CENT
    PaymentRefund.objects.filter(pk=refund_id).update(attempts=F("attempts") + 1)
    try:
        answer = required_provider(target.provider).refund(payment_id=paid_id, amount_minor=minor, reference=str(refund_id))
    except ProviderRefused as refused:
        note_outcome(refund_id, refund_id="", state="failed", error=refused.message)
    else:
        note_outcome(refund_id, refund_id=answer.refund_id, state=answer.state)
    return PaymentRefund.objects.values_list("state", flat=True).get(pk=refund_id)


def send_quietly(refund_id: UUID) -> None:
    """Send now; when the provider is away the task does it later."""
    try:
        send(refund_id)
    except (ProviderUnavailable, Conflict):
        return


def send_waiting(limit: int = 50) -> int:
    """Refunds that were booked and not sent, oldest first; gives how many went out."""
    waiting = PaymentRefund.objects.filter(state=State.ASKED).order_by("created_at").values_list("pk", flat=True)
    before = list(waiting[:limit])
    for pk in before:
        send_quietly(pk)
    return len(before) - PaymentRefund.objects.filter(pk__in=before, state=State.ASKED).count()


@transaction.atomic
def note_outcome(pk: UUID, *, refund_id: str, state: str, error: str = "") -> None:
    """What the provider says of a refund, in any order; a failed one is booked back, once."""
    known = PaymentRefund.objects.filter(pk=pk).first()
    if known is None:
        raise NotFound
    # The payment first, as everywhere.
    payment = lock_row(Payment, known.payment_id) if known.payment_id else None
    refund = lock_row(PaymentRefund, pk)
    if refund is None or refund.state == State.FAILED:
        return
    refund.provider_refund_id = refund.provider_refund_id or refund_id
    if state == "failed":
        _book_back(refund, payment, error)
    elif state == "succeeded" and refund.state != State.DONE:
        refund.state, refund.closed_at = State.DONE, now()
        audit.record(actor=None, action="refund.done", target=refund, after={"amount_nano": refund.amount_nano})
    elif refund.state == State.ASKED:
        refund.state = State.SENT
    refund.save()
    if payment is not None:
        _settle_state(payment)


@transaction.atomic
def book_outside(payment_pk: UUID, act: UUID, facts: EventFacts) -> None:
    """A refund that was made at the provider and not here: the money has left, so the purse follows, into debt if it must."""
    payment = lock_row(Payment, payment_pk)
    if payment is None or PaymentRefund.objects.filter(pk=act).exists():
        return
    disputed = payment.disputes.filter(state="open").aggregate(n=Sum("amount_nano"))["n"] or 0
    left = payment.amount_nano - payment.refunded_nano - disputed
    amount = min(facts.amount_minor * CENT, left)
    if amount <= 0:
        return
    refund = PaymentRefund(
        pk=act, payment=payment, amount_nano=amount, reason=f"made at {payment.provider}", provider_refund_id=facts.refund_id
    )
    refund.state = State.DONE if facts.refund_state == "succeeded" else State.SENT
    _book(refund, payment, allow_debt=True)
    audit.record(actor=None, action="payment.refunded_outside", target=payment, after={"amount_nano": amount})
    _settle_state(payment)


def _check_amount(payment: Payment, amount_nano: int) -> None:
    disputed = payment.disputes.filter(state="open").aggregate(n=Sum("amount_nano"))["n"] or 0
    left = payment.amount_nano - payment.refunded_nano - disputed
    if payment.state not in (Payment.State.PAID, Payment.State.REFUNDED) or not 0 < amount_nano <= left or amount_nano % CENT:
        text = _("A refund is in whole cents and not more than what is left of the payment.")
        raise InvalidInput(text, fields={"amount": [text]})


def _book(refund: PaymentRefund, payment: Payment, *, allow_debt: bool) -> None:
    purse = purse_for(user=payment.user).pk
    posting = Posting(
        refund.pk,
        "paid_back",
        purse,
        house_account("cash").pk,
        refund.amount_nano,
        reason=refund.reason,
        actor_id=refund.asked_by_id,
        allow_debt=allow_debt,
    )
    (booked,) = post_entries([posting])
    if booked.status == "repeated":
        # Its own refund was looked for with the payment locked: this act is another payment's.
        raise EntryMismatch
    refund.entry_id = booked.entry_id
    refund.save(force_insert=True)
    payment.refunded_nano += refund.amount_nano
    payment.save(update_fields=["refunded_nano"])


def _book_back(refund: PaymentRefund, payment: Payment | None, error: str) -> None:
    entry = refund.entry
    if entry is not None:
        act = uuid5(refund.pk, "failed")
        back = Posting(act, "reversal", entry.to_account_id, entry.from_account_id, entry.amount_nano, reverses_id=entry.pk)
        post_entries([back])
    refund.state, refund.closed_at, refund.error = State.FAILED, now(), error[:255]
    if payment is not None:
        payment.refunded_nano -= refund.amount_nano
        payment.save(update_fields=["refunded_nano"])
    if refund.incoming_id:
        IncomingPayment.objects.filter(pk=refund.incoming_id).update(
            state=IncomingPayment.State.OPEN, closed_at=None, closed_by=None
        )
    audit.record(actor=None, action="refund.failed", target=refund, after={"amount_nano": refund.amount_nano}, reason=error)


def _settle_state(payment: Payment) -> None:
    """Refunded when all of it went back and none of that is still on its way."""
    open_ones = PaymentRefund.objects.filter(payment=payment, state__in=[State.ASKED, State.SENT]).exists()
    is_whole = payment.refunded_nano == payment.amount_nano and not open_ones
    wanted = Payment.State.REFUNDED if is_whole else Payment.State.PAID
    if payment.state in (Payment.State.PAID, Payment.State.REFUNDED) and payment.state != wanted:
        payment.state = wanted
        payment.save(update_fields=["state"])


def _with_debt(request: AdjustmentRequest) -> None:
    payment = Payment.objects.get(pk=UUID(request.details["payment"]))
    refund_payment(
        actor=request.requested_by,
        payment=payment,
        amount_nano=request.amount_nano,
        reason=request.reason,
        refund_id=request.transaction_id,
        approval=request,
    )


approvals.register(AdjustmentRequest.Kind.REFUND_DEBT, _with_debt)
