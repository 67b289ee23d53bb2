"""Asking for an act with money, and the second person's yes or no. The yes performs it, in one transaction.

The ledger keeps the one who asked as its actor; the audit trail names both. Amounts are nano-USD.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_row
from billing.models import AdjustmentRequest, CodeBatch, LedgerAccount, LedgerEntry
from billing.services import code_batches, money
from billing.services.errors import AlreadyDecided, EntryMismatch, SamePerson, SecondPersonNeeded
from billing.services.four_eyes import active_override, needs_two
from billing.services.ledger import PostingResult, purse_for
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotFound
from config.foundation.ids import uuid7

Kind, State = AdjustmentRequest.Kind, AdjustmentRequest.State
Performer = Callable[[AdjustmentRequest], Any]


@transaction.atomic
def ask(
    *,
    actor: User,
    kind: str,
    amount_nano: int,
    reason: str,
    purse: LedgerAccount | None = None,
    entry: LedgerEntry | None = None,
    batch: CodeBatch | None = None,
    details: dict[str, Any] | None = None,
    evidence_url: str = "",
    transaction_id: UUID | None = None,
) -> AdjustmentRequest:
    """Ask for an act. What one person may do alone is performed at once and comes back done.

    The same ``transaction_id`` asks once. Raises NotAllowed, InvalidInput, EntryMismatch, and what the act itself raises.
    """
    require(actor, "ledger.adjust")
    _check(kind, amount_nano, reason)
    act = transaction_id or uuid7()
    wanted = {"kind": kind, "amount_nano": amount_nano, "purse": purse, "entry": entry, "batch": batch}
    wanted["details"] = details or {}
    known = AdjustmentRequest.objects.filter(transaction_id=act).first()
    if known is not None:
        if any(getattr(known, name) != value for name, value in wanted.items()):
            raise EntryMismatch
        return known
    is_alone = not needs_two(actor, kind, amount_nano, _currency(purse, entry))
    request = AdjustmentRequest.objects.create(
        transaction_id=act,
        **wanted,
        reason=reason.strip()[:255],
        evidence_url=evidence_url,
        requested_by=actor,
        is_alone=is_alone,
        state=State.DONE if is_alone else State.OPEN,
        decided_at=now() if is_alone else None,
    )
    if is_alone:
        _perform(request)
    else:
        after = {"kind": kind, "amount_nano": amount_nano}
        audit.record(actor=actor, action="approval.asked", target=request, after=after, reason=request.reason)
    return request


@transaction.atomic
def approve(*, actor: User, request: AdjustmentRequest, note: str = "") -> AdjustmentRequest:
    """Say yes to what somebody else asked for, and do it. Raises SamePerson, AlreadyDecided, and what the act itself raises.

    An administrator with a running override may say yes to their own request; the override is then named on it.
    """
    require(actor, "ledger.approve")
    locked = _open_one(request)
    override = None
    if locked.requested_by_id == actor.pk:
        override = active_override(actor)
        if override is None:
            raise SamePerson
    locked.state, locked.decided_by, locked.decided_at = State.DONE, actor, now()
    locked.decision_note, locked.override = note.strip()[:255], override
    locked.save(update_fields=["state", "decided_by", "decided_at", "decision_note", "override"])
    _perform(locked)
    after = {"kind": locked.kind, "amount_nano": locked.amount_nano, "asked_by": locked.requested_by.username}
    audit.record(actor=actor, action="approval.approved", target=locked, after=after, reason=note)
    if override is not None:
        audit.record(actor=actor, action="override.used", target=override, after={"request": locked.pk}, reason=locked.reason)
    return locked


@transaction.atomic
def refuse(*, actor: User, request: AdjustmentRequest, note: str) -> AdjustmentRequest:
    """Say no, with the reason. Whoever asked withdraws instead."""
    require(actor, "ledger.approve")
    if not note.strip():
        raise InvalidInput(_("Say why not."))
    locked = _open_one(request)
    if locked.requested_by_id == actor.pk:
        raise SamePerson(_("Whoever asked withdraws the request instead of refusing it."))
    return _close(actor, locked, State.REFUSED, note, "approval.refused")


@transaction.atomic
def withdraw(*, actor: User, request: AdjustmentRequest) -> AdjustmentRequest:
    """Take one's own request back before it was decided."""
    locked = _open_one(request)
    if locked.requested_by_id != actor.pk:
        raise InvalidInput(_("Only the person who asked can withdraw a request."))
    return _close(actor, locked, State.WITHDRAWN, "", "approval.withdrawn")


def top_up_or_ask(
    *,
    actor: User,
    amount_nano: int,
    reason: str,
    user: User | None = None,
    group: Group | None = None,
    currency: str = "USD",
    transaction_id: UUID | None = None,
    evidence_url: str = "",
) -> PostingResult | AdjustmentRequest:
    """Book money that came in; what is too large for one person comes back as a request that waits for a second."""
    act = transaction_id or uuid7()
    owner: dict[str, Any] = {"user": user, "group": group, "currency": currency}
    try:
        return money.top_up(actor=actor, amount_nano=amount_nano, reason=reason, transaction_id=act, **owner)
    except SecondPersonNeeded:
        return ask(
            actor=actor,
            kind=Kind.TOP_UP,
            purse=purse_for(**owner),
            amount_nano=amount_nano,
            reason=reason,
            evidence_url=evidence_url,
            transaction_id=act,
        )


def batch_details(new: code_batches.NewBatch) -> dict[str, Any]:
    """A batch to make, as a request keeps it."""
    return {
        "name": new.name,
        "count": new.count,
        "each_nano": new.amount_nano,
        "purse_kind": new.purse_kind,
        "prefix": new.prefix,
        "expires_at": new.expires_at.isoformat() if new.expires_at else None,
        "max_per_person": new.max_per_person,
        "note": new.note,
    }


def ask_for_batch(*, actor: User, new: code_batches.NewBatch, transaction_id: UUID | None = None) -> AdjustmentRequest:
    """A batch of codes, made at once when it is small and after a second person's yes when it is not."""
    new.checked()
    return ask(
        actor=actor,
        kind=Kind.CODE_BATCH,
        amount_nano=new.count * new.amount_nano,
        reason=new.note or new.name,
        details=batch_details(new),
        transaction_id=transaction_id,
    )


def ask_for_revaluation(
    *, actor: User, batch: CodeBatch, amount_nano: int, expected: code_batches.Revaluation, reason: str
) -> AdjustmentRequest:
    """Another value for a batch, on the numbers of the dry run that was seen."""
    numbers = [expected.count, expected.paused_count, expected.old_nano, expected.new_nano, expected.difference_nano]
    return ask(
        actor=actor,
        kind=Kind.REVALUE,
        amount_nano=max(expected.difference_nano, 0),
        reason=reason,
        batch=batch,
        details={"each_nano": amount_nano, "expected": numbers},
    )


def register(kind: str, performer: Performer) -> None:
    """Services above this one bring the act of their kind."""
    PERFORMERS[kind] = performer


def _open_one(request: AdjustmentRequest) -> AdjustmentRequest:
    locked = lock_row(AdjustmentRequest, request.pk)
    if locked is None:
        raise NotFound
    if locked.state != State.OPEN:
        raise AlreadyDecided
    return locked


def _close(actor: User, locked: AdjustmentRequest, state: str, note: str, action: str) -> AdjustmentRequest:
    locked.state, locked.decided_by, locked.decided_at, locked.decision_note = state, actor, now(), note.strip()[:255]
    locked.save(update_fields=["state", "decided_by", "decided_at", "decision_note"])
    after = {"kind": locked.kind, "amount_nano": locked.amount_nano}
    audit.record(actor=actor, action=action, target=locked, after=after, reason=note)
    return locked


def _currency(purse: LedgerAccount | None, entry: LedgerEntry | None) -> str:
    if purse is not None:
        return purse.currency
    return entry.from_account.currency if entry is not None else "USD"


def _perform(request: AdjustmentRequest) -> None:
    PERFORMERS[request.kind](request)


def _adjust(request: AdjustmentRequest) -> None:
    assert request.purse is not None
    money.adjust(
        actor=request.requested_by,
        purse=request.purse,
        amount_nano=request.amount_nano,
        reason=request.reason,
        transaction_id=request.transaction_id,
        approval=request,
    )


def _top_up(request: AdjustmentRequest) -> None:
    assert request.purse is not None
    money.top_up(
        actor=request.requested_by,
        user=request.purse.user,
        group=request.purse.group,
        currency=request.purse.currency,
        amount_nano=request.amount_nano,
        reason=request.reason,
        transaction_id=request.transaction_id,
        approval=request,
    )


def _reverse(request: AdjustmentRequest) -> None:
    assert request.entry is not None
    money.reverse_entry(
        actor=request.requested_by,
        entry=request.entry,
        reason=request.reason,
        allow_debt=bool(request.details.get("allow_debt")),
        transaction_id=request.transaction_id,
        approval=request,
    )


def _set_credit(request: AdjustmentRequest) -> None:
    assert request.purse is not None
    money.set_credit_limit(
        actor=request.requested_by,
        purse=request.purse,
        limit_nano=request.amount_nano,
        reason=request.reason,
        approval=request,
    )


def _make_batch(request: AdjustmentRequest) -> None:
    kept = request.details
    new = code_batches.NewBatch(
        name=kept["name"],
        count=kept["count"],
        amount_nano=kept["each_nano"],
        purse_kind=kept["purse_kind"],
        prefix=kept["prefix"],
        expires_at=datetime.fromisoformat(kept["expires_at"]) if kept["expires_at"] else None,
        max_per_person=kept["max_per_person"],
        note=kept["note"],
    )
    batch = code_batches.create_batch(actor=request.requested_by, new=new, batch_id=request.transaction_id, approval=request)
    request.batch = batch
    request.save(update_fields=["batch"])


def _revalue(request: AdjustmentRequest) -> None:
    assert request.batch is not None
    code_batches.revalue_batch(
        actor=request.requested_by,
        batch=request.batch,
        amount_nano=request.details["each_nano"],
        expected=code_batches.Revaluation(*request.details["expected"]),
        reason=request.reason,
        approval=request,
    )


PERFORMERS: dict[str, Performer] = {
    Kind.ADJUSTMENT: _adjust,
    Kind.TOP_UP: _top_up,
    Kind.REVERSAL: _reverse,
    Kind.CREDIT_LIMIT: _set_credit,
    Kind.CODE_BATCH: _make_batch,
    Kind.REVALUE: _revalue,
}


def _check(kind: str, amount_nano: int, reason: str) -> None:
    if kind not in PERFORMERS:
        raise InvalidInput(_("There is no such kind of request."))
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    may_be_zero = kind in (Kind.CREDIT_LIMIT, Kind.REVALUE)
    if (amount_nano == 0 and not may_be_zero) or (amount_nano < 0 and kind != Kind.ADJUSTMENT):
        raise InvalidInput(_("The amount must be greater than zero."))
    if abs(amount_nano) > 2**62:
        raise InvalidInput(_("The amount is too large."))
