"""Giving back what a call was charged. Amounts are nano-USD."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.models import CallRefund
from billing.services.ledger import translated_errors
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7

REFUND_SQL = "SELECT status, amount, refund_id FROM billing_refund_call(%s, %s, %s, %s, %s)"
FAILED_TASK = "task"


@dataclass(frozen=True, slots=True)
class RefundResult:
    """``status`` is "refunded" or "repeated"."""

    status: str
    amount_nano: int


def refund_call(
    *, actor: User, request_id: UUID, reason: str, amount_nano: int | None = None, key: str | None = None
) -> RefundResult:
    """Give back a call's charge, or a part: each purse gets what it gave, the last one drawn first.

    The same ``key`` refunds once. Raises NotAllowed, InvalidInput, RefundTooHigh (nothing left, or more than is left) and
    EntryMismatch (the key was used for another amount).
    """
    require(actor, "ledger.adjust")
    if amount_nano is not None and amount_nano <= 0:
        raise InvalidInput(_("The amount must be greater than zero."))
    return _refund(actor, request_id, reason, amount_nano, key or uuid7().hex)


def refund_failed_task(*, actor: User | None, request_id: UUID, reason: str) -> RefundResult:
    """A task that gave no result costs nothing: all that is left of its charge, once, however often it is reported."""
    if actor is not None:
        require(actor, "ledger.adjust")
    return _refund(actor, request_id, reason, None, FAILED_TASK)


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
