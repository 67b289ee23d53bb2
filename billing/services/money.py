"""Money that people move: top-ups, corrections, reversals and credit limits. Amounts are nano-USD.

What is more than one person may do alone (``billing.services.four_eyes``) is asked for and approved through
``billing.services.approvals``, which calls these functions with the decided request.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import AdjustmentRequest, LedgerAccount, LedgerEntry
from billing.services.errors import PostingRefused
from billing.services.four_eyes import check_two_people
from billing.services.ledger import Posting, PostingResult, house_account, post_entries, purse_for
from config.foundation.errors import InvalidInput
from config.foundation.ids import uuid7

# Rows of codes and payments stand behind these entries and would say something else afterwards.
NOT_REVERSED = ("charge", "refund", "conversion", "code", "code_issued", "code_ended", "unmatched", "paid_back", "dispute")


@transaction.atomic
def top_up(
    *,
    actor: User,
    amount_nano: int,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    currency: str = "USD",
    transaction_id: UUID | None = None,
    approval: AdjustmentRequest | None = None,
) -> PostingResult:
    """Book money that came in (cash to the prepaid purse). The same ``transaction_id`` books once.

    Nano-units of ``currency``; money that is not in USD can be converted, and calls are not paid with it before.

    Raises NotAllowed, InvalidInput, SecondPersonNeeded, or EntryMismatch when the id was used for another amount or person.
    """
    require(actor, "ledger.adjust")
    _needs(amount_nano, reason)
    if not _is_booked(transaction_id):
        check_two_people(actor, AdjustmentRequest.Kind.TOP_UP, amount_nano, approval, currency)
    purse = purse_for(user=user, group=group, currency=currency)
    posting = Posting(
        transaction_id or uuid7(),
        "top_up",
        house_account("cash", currency=currency).pk,
        purse.pk,
        amount_nano,
        reason=reason[:255],
        actor_id=actor.pk,
    )
    return _post(actor, posting, purse, "ledger.top_up")


@transaction.atomic
def give_test_money(
    *,
    actor: User,
    amount_nano: int,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    transaction_id: UUID | None = None,
) -> PostingResult:
    """Book test money (promotion cost to the test purse), which keys of purpose test spend and nothing else does.

    Nobody paid it in and nothing real can be bought with it, so it needs no second person. Raises as ``top_up``.
    """
    require(actor, "ledger.adjust")
    _needs(amount_nano, reason)
    purse = purse_for(user=user, group=group, kind="test")
    house = house_account("promotion_cost").pk
    posting = Posting(
        transaction_id or uuid7(), "adjustment", house, purse.pk, amount_nano, reason=reason[:255], actor_id=actor.pk
    )
    return _post(actor, posting, purse, "ledger.test_money")


@transaction.atomic
def adjust(
    *,
    actor: User,
    purse: LedgerAccount,
    amount_nano: int,
    reason: str,
    transaction_id: UUID | None = None,
    approval: AdjustmentRequest | None = None,
) -> PostingResult:
    """Give (positive) or take (negative) against the house's adjustment account. Raises InsufficientBalance as well."""
    require(actor, "ledger.adjust")
    _needs(abs(amount_nano), reason)
    if not _is_booked(transaction_id):
        check_two_people(actor, AdjustmentRequest.Kind.ADJUSTMENT, amount_nano, approval, purse.currency)
    house = house_account("adjustment", currency=purse.currency).pk
    source, target = (house, purse.pk) if amount_nano > 0 else (purse.pk, house)
    posting = Posting(
        transaction_id or uuid7(), "adjustment", source, target, abs(amount_nano), reason=reason[:255], actor_id=actor.pk
    )
    return _post(actor, posting, purse, "ledger.adjusted")


@transaction.atomic
def reverse_entry(
    *,
    actor: User,
    entry: LedgerEntry,
    reason: str,
    allow_debt: bool = False,
    transaction_id: UUID | None = None,
    approval: AdjustmentRequest | None = None,
) -> PostingResult:
    """Book the opposite of an entry, once. Raises AlreadyReversed, InsufficientBalance when the money is spent already."""
    require(actor, "ledger.adjust")
    _needs(entry.amount_nano, reason)
    if entry.kind in NOT_REVERSED:
        raise PostingRefused(
            _(
                "Calls are refunded, codes are voided, payments are given back and money is converted back; their entries are "
                "not reversed one by one."
            )
        )
    currency = entry.from_account.currency
    check_two_people(actor, AdjustmentRequest.Kind.REVERSAL, entry.amount_nano, approval, currency)
    posting = Posting(
        transaction_id or uuid7(),
        "reversal",
        entry.to_account_id,
        entry.from_account_id,
        entry.amount_nano,
        reason=reason[:255],
        actor_id=actor.pk,
        reverses_id=entry.pk,
        allow_debt=allow_debt,
    )
    (result,) = post_entries([posting])
    audit.record(
        actor=actor,
        action="ledger.reversed",
        target=entry,
        after={"entry": result.entry_id, "amount_nano": entry.amount_nano},
        reason=reason,
    )
    return result


@transaction.atomic
def set_credit_limit(
    *, actor: User, purse: LedgerAccount, limit_nano: int, reason: str, approval: AdjustmentRequest | None = None
) -> None:
    """How far calls may draw a purse below zero."""
    require(actor, "ledger.adjust")
    if limit_nano < 0 or not reason.strip():
        raise InvalidInput(_("A credit limit is not negative and has a reason."))
    check_two_people(actor, AdjustmentRequest.Kind.CREDIT_LIMIT, limit_nano, approval)
    before = purse.credit_limit_nano
    # The floor never rises above what open holds and debt have taken already.
    LedgerAccount.objects.filter(pk=purse.pk, is_purse=True).update(
        credit_limit_nano=limit_nano, floor_nano=Least(-limit_nano, F("balance_nano") - F("held_nano"))
    )
    purse.refresh_from_db()
    audit.record(
        actor=actor,
        action="purse.credit_changed",
        target=purse,
        before={"credit_limit_nano": before},
        after={"credit_limit_nano": limit_nano},
        reason=reason,
    )


def _needs(amount_nano: int, reason: str) -> None:
    if amount_nano <= 0:
        raise InvalidInput(_("The amount must be greater than zero."))
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))


def _is_booked(transaction_id: UUID | None) -> bool:
    """Whether the act is in the ledger already: a repetition books nothing and needs nobody."""
    return transaction_id is not None and LedgerEntry.objects.filter(transaction_id=transaction_id).exists()


def _post(actor: User, posting: Posting, purse: LedgerAccount, action: str) -> PostingResult:
    (result,) = post_entries([posting])
    if result.status == "posted":
        signed = posting.amount_nano if posting.to_account_id == purse.pk else -posting.amount_nano
        audit.record(actor=actor, action=action, target=purse, after={"amount_nano": signed}, reason=posting.reason)
    return result
