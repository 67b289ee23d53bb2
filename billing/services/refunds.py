"""Giving back what a call was charged. Amounts are nano-USD."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.models import AdjustmentRequest, CallRefund, LedgerEntry
from billing.services import approvals
from billing.services.errors import RefundTooHigh
from billing.services.four_eyes import check_two_people
from billing.services.ledger import translated_errors
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7
from config.foundation.money import format_usd

REFUND_SQL = "SELECT status, amount, refund_id FROM billing_refund_call(%s, %s, %s, %s, %s)"
FAILED_TASK = "task"


@dataclass(frozen=True, slots=True)
class RefundResult:
    """``status`` is "refunded" or "repeated"."""

    status: str
    amount_nano: int


@transaction.atomic
def refund_call(
    *,
    actor: User,
    request_id: UUID,
    reason: str,
    amount_nano: int | None = None,
    key: str | None = None,
    approval: AdjustmentRequest | None = None,
) -> RefundResult:
    """Give back a call's charge, or a part: each purse gets what it gave, the last one drawn first.

    Spend limits get that room back, and usage shows what the call cost in the end. The same ``key`` refunds once. Raises
    NotAllowed, InvalidInput, SecondPersonNeeded, RefundTooHigh (nothing left, or more than is left) and EntryMismatch (the
    key was used for another amount).
    """
    require(actor, "ledger.adjust")
    if amount_nano is not None and amount_nano <= 0:
        raise InvalidInput(_("The amount must be greater than zero."))
    if key is None or not CallRefund.objects.filter(request_id=request_id, key=key[:64]).exists():
        size = left_to_refund(request_id) if amount_nano is None else amount_nano
        check_two_people(actor, AdjustmentRequest.Kind.CALL_REFUND, size, approval)
    return _refund(actor, request_id, reason, amount_nano, key or uuid7().hex)


@transaction.atomic
def ask_for_refund(
    *,
    actor: User,
    request_id: UUID,
    reason: str,
    amount_nano: int | None = None,
    evidence_url: str = "",
    transaction_id: UUID | None = None,
) -> AdjustmentRequest:
    """Ask for a refund; without an amount for all that is left. What one person may give back alone is done at once.

    Raises as ``refund_call``; RefundTooHigh names the field.
    """
    require(actor, "ledger.adjust")
    known = AdjustmentRequest.objects.filter(transaction_id=transaction_id).first() if transaction_id else None
    left = left_to_refund(request_id)
    amount = (known.amount_nano if known else left) if amount_nano is None else amount_nano
    if known is None and not 0 < amount <= left:
        raise _too_high(left)
    payer = LedgerEntry.objects.filter(transaction_id=request_id, kind="charge").order_by("n").first()
    return approvals.ask(
        actor=actor,
        kind=AdjustmentRequest.Kind.CALL_REFUND,
        amount_nano=amount,
        reason=reason,
        purse=payer.from_account if payer else None,
        details={"call": request_id.hex},
        evidence_url=evidence_url,
        transaction_id=transaction_id,
    )


def left_to_refund(request_id: UUID) -> int:
    """What the call was charged and nobody gave back yet."""
    kept = LedgerEntry.objects.filter(transaction_id=request_id, kind__in=["charge", "refund"], reversed_by=None)
    return sum(amount if kind == "charge" else -amount for kind, amount in kept.values_list("kind", "amount_nano"))


def refund_failed_task(*, actor: User | None, request_id: UUID, reason: str) -> RefundResult:
    """A task that gave no result costs nothing: all that is left of its charge, once, however often it is reported."""
    if actor is not None:
        require(actor, "ledger.adjust")
    return _refund(actor, request_id, reason, None, FAILED_TASK)


def _too_high(left: int) -> RefundTooHigh:
    text = (
        _("Of this call %(left)s can be given back.") % {"left": format_usd(left)}
        if left
        else _("This call has no charge left to give back.")
    )
    return RefundTooHigh(text, fields={"amount": [text]})


@transaction.atomic
def _refund(actor: User | None, request_id: UUID, reason: str, amount_nano: int | None, key: str) -> RefundResult:
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    with translated_errors(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(REFUND_SQL, [request_id, key[:64], amount_nano, actor.pk if actor else None, reason.strip()[:255]])
        status, amount, refund_id = cursor.fetchone()
    if status == "refunded":
        refund = CallRefund.objects.get(pk=refund_id)
        audit.record(actor=actor, action="call.refunded", target=refund, after={"amount_nano": amount}, reason=reason)
    return RefundResult(status, int(amount))


def _approved(request: AdjustmentRequest) -> None:
    refund_call(
        actor=request.requested_by,
        request_id=UUID(request.details["call"]),
        reason=request.reason,
        amount_nano=request.amount_nano,
        key=request.transaction_id.hex,
        approval=request,
    )


approvals.register(AdjustmentRequest.Kind.CALL_REFUND, _approved)
