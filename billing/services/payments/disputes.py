"""Disputes: a payer has their bank take a payment back, and the provider decides who is right. Amounts are nano-USD.

When one opens, its amount goes from the purse to a suspense account of its own, into debt if it was spent: it cannot be spent
while it may be gone. Won, it comes back to the purse; lost, it leaves as cash, and the payment is that much refunded. Only the
provider says how it ended; events may come in any order and twice.
"""

from datetime import UTC, datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_row
from billing.models import Payment, PaymentDispute
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from billing.services.payments.chosen import required_provider
from billing.services.payments.orders import CENT
from billing.services.payments.provider import Dispute
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotFound

State = PaymentDispute.State
SUSPENSE = "disputes"


@transaction.atomic
def note(provider_name: str, told: Dispute) -> Payment | None:
    """What the provider says of a dispute; gives its payment, None while the payment itself was not told yet."""
    found = Payment.objects.filter(provider=provider_name, provider_payment_id=told.payment_id).exclude(provider_payment_id="")
    known = found.first()
    payment = lock_row(Payment, known.pk) if known else None
    if payment is None or payment.state not in (Payment.State.PAID, Payment.State.REFUNDED):
        return payment
    dispute = PaymentDispute.objects.filter(provider_dispute_id=told.dispute_id).first()
    if dispute is None:
        dispute = _open(payment, told)
    if dispute is None or dispute.state != State.OPEN:
        return payment
    dispute.provider_state = told.state
    dispute.due_at = datetime.fromtimestamp(told.due, UTC) if told.due else dispute.due_at
    if told.outcome == "open":
        dispute.save(update_fields=["provider_state", "due_at"])
    else:
        _close(payment, dispute, told.outcome)
    return payment


def ask_provider(*, actor: User, dispute: PaymentDispute) -> PaymentDispute:
    """Fetch how it stands, when an event may have been lost. Raises ProviderUnavailable, ProviderRefused, PaymentsOff."""
    require(actor, "ledger.adjust")
    told = required_provider(dispute.payment.provider).dispute(dispute_id=dispute.provider_dispute_id)
    note(dispute.payment.provider, told)
    dispute.refresh_from_db()
    return dispute


@transaction.atomic
def write_note(*, actor: User, dispute: PaymentDispute, text: str) -> None:
    """What finance did about it, for instance which evidence was sent. Raises InvalidInput, NotFound."""
    require(actor, "ledger.adjust")
    if not text.strip():
        raise InvalidInput(_("Write what was done."), fields={"note": [_("Write what was done.")]})
    locked = lock_row(PaymentDispute, dispute.pk)
    if locked is None:
        raise NotFound
    before, locked.note = locked.note, text.strip()[:255]
    locked.save(update_fields=["note"])
    audit.record(actor=actor, action="dispute.noted", target=locked, before={"note": before}, after={"note": locked.note})


def _open(payment: Payment, told: Dispute) -> PaymentDispute | None:
    """Take the money out of the purse. What was refunded before is not taken again."""
    in_disputes = sum(PaymentDispute.objects.filter(payment=payment, state=State.OPEN).values_list("amount_nano", flat=True))
    amount = min(told.amount_minor * CENT, payment.amount_nano - payment.refunded_nano - in_disputes)
    if amount <= 0 or told.currency != payment.currency:
        return None
    dispute = PaymentDispute(
        payment=payment, provider_dispute_id=told.dispute_id, amount_nano=amount, reason=told.reason, provider_state=told.state
    )
    purse = purse_for(user=payment.user).pk
    reason = f"{payment.provider} dispute {told.reason}"[:255]
    taken = Posting(dispute.pk, "dispute", purse, _suspense(), amount, reason=reason, allow_debt=True)
    (booked,) = post_entries([taken])
    dispute.entry_id = booked.entry_id
    dispute.save(force_insert=True)
    after = {"amount_nano": amount, "dispute": told.dispute_id, "reason": told.reason}
    audit.record(actor=None, action="dispute.opened", target=payment, after=after)
    return dispute


def _close(payment: Payment, dispute: PaymentDispute, outcome: str) -> None:
    is_won = outcome == State.WON
    target = purse_for(user=payment.user).pk if is_won else house_account("cash").pk
    reason = f"{payment.provider} dispute {outcome}"
    (booked,) = post_entries([Posting(dispute.pk, "dispute", _suspense(), target, dispute.amount_nano, n=1, reason=reason)])
    dispute.state, dispute.closed_at, dispute.closing_entry_id = outcome, now(), booked.entry_id
    dispute.save()
    if not is_won:
        payment.refunded_nano += dispute.amount_nano
        if payment.refunded_nano == payment.amount_nano:
            payment.state = Payment.State.REFUNDED
        payment.save(update_fields=["refunded_nano", "state"])
    after = {"amount_nano": dispute.amount_nano, "outcome": outcome, "entry": booked.entry_id}
    audit.record(actor=None, action=f"dispute.{outcome}", target=payment, after=after)


def _suspense() -> int:
    return house_account("suspense", SUSPENSE).pk
