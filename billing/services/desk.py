"""The desk for money that nothing could book by itself. Amounts are nano-USD.

The way of the money: a late call is booked from suspense to revenue when it comes in, so suspense is below zero by what the
desk has open. Settling pays it from the payer's purse (purse to suspense); writing it off makes it the operator's loss
(operator's loss to suspense). Items that nothing was booked for settle from purse to revenue, or from operator's loss to
revenue. So whatever becomes of an item, revenue has its whole amount once, and somebody named paid it.
"""

import uuid
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import DeskItem, LedgerEntry
from billing.services.errors import DeskItemClosed
from billing.services.ledger import Posting, house_account, post_entries, purse_for
from config.foundation.clock import now
from config.foundation.errors import InvalidInput

_ACTS = uuid.UUID("0d7f4a3a-5c0e-5c0b-9d4e-7f0a6a1d8e52")


@transaction.atomic
def open_desk_item(
    *,
    actor: User | None,
    kind: str,
    reference: str,
    reason: str,
    amount_nano: int = 0,
    user: User | None = None,
    group: Group | None = None,
    request_id: uuid.UUID | None = None,
    details: dict[str, Any] | None = None,
    entry: LedgerEntry | None = None,
) -> DeskItem:
    """Put something on the desk; the same kind and reference give the item that is there already, whatever its state."""
    if actor is not None:
        require(actor, "ledger.adjust")
    if kind not in DeskItem.Kind.values or not reference.strip() or not reason.strip():
        raise InvalidInput(_("An item of the desk has a kind, a reference and a reason."))
    if amount_nano < 0 or (user is not None and group is not None):
        raise InvalidInput(_("An item of the desk has an amount that is not negative and at most one payer."))
    item, is_new = DeskItem.objects.get_or_create(
        kind=kind,
        reference=reference.strip()[:191],
        defaults={
            "request_id": request_id,
            "user": user,
            "group": group,
            "amount_nano": amount_nano,
            "reason": reason[:64],
            "details": details or {},
            "entry": entry,
        },
    )
    if is_new:
        audit.record(
            actor=actor, action="desk.opened", target=item, after={"kind": kind, "amount_nano": amount_nano}, reason=reason
        )
    return item


@transaction.atomic
def settle_desk_item(
    *,
    actor: User,
    item: DeskItem,
    reason: str,
    amount_nano: int | None = None,
    user: User | None = None,
    group: Group | None = None,
) -> DeskItem:
    """Charge the payer (the item's own when none is given) what is owed, all of the amount or a part; the rest is the
    operator's loss. The purse may go into debt: the work was done. Raises DeskItemClosed, InvalidInput, NotAllowed.
    """
    require(actor, "ledger.adjust")
    charged = item.amount_nano if amount_nano is None else amount_nano
    if charged <= 0 or (item.amount_nano and charged > item.amount_nano):
        raise InvalidInput(_("Settle more than nothing and at most what is open."))
    if user is None and group is None:
        user, group = item.user, item.group
    if (user is None) == (group is None):
        raise InvalidInput(_("Say who pays: one person or one team."))
    purse = purse_for(user=user, group=group)
    _close(actor, item, DeskItem.State.SETTLED, reason, settled_nano=charged)
    lost = max(item.amount_nano - charged, 0)
    _book(actor, item, reason, [(purse.pk, charged), (house_account("operator_loss").pk, lost)])
    after = {"settled_nano": charged, "written_off_nano": lost, "purse": purse.pk}
    audit.record(actor=actor, action="desk.settled", target=item, before={"state": "open"}, after=after, reason=reason)
    return item


@transaction.atomic
def write_off_desk_item(*, actor: User, item: DeskItem, reason: str) -> DeskItem:
    """The operator bears it. Raises DeskItemClosed, InvalidInput, NotAllowed."""
    require(actor, "ledger.adjust")
    _close(actor, item, DeskItem.State.WRITTEN_OFF, reason)
    _book(actor, item, reason, [(house_account("operator_loss").pk, item.amount_nano)])
    after = {"written_off_nano": item.amount_nano}
    audit.record(actor=actor, action="desk.written_off", target=item, before={"state": "open"}, after=after, reason=reason)
    return item


@transaction.atomic
def ignore_desk_item(*, actor: User, item: DeskItem, reason: str) -> DeskItem:
    """Set aside what owes nothing: no money moves. Raises InvalidInput for money that waits in suspense, DeskItemClosed."""
    require(actor, "ledger.adjust")
    if item.entry_id is not None:
        raise InvalidInput(_("This money waits in suspense: settle it or write it off."))
    _close(actor, item, DeskItem.State.IGNORED, reason)
    audit.record(actor=actor, action="desk.ignored", target=item, before={"state": "open"}, reason=reason)
    return item


def _close(actor: User, item: DeskItem, state: str, reason: str, settled_nano: int | None = None) -> None:
    """One conditional update decides who closes the item; the loser books nothing."""
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    changes = {
        "state": state,
        "settled_nano": settled_nano,
        "closed_at": now(),
        "closed_by": actor,
        "note": reason.strip()[:255],
        "closing_id": uuid.uuid5(_ACTS, str(item.pk)),
    }
    if not DeskItem.objects.filter(pk=item.pk, state=DeskItem.State.OPEN).update(**changes):
        raise DeskItemClosed
    item.refresh_from_db()


def _book(actor: User, item: DeskItem, reason: str, parts: list[tuple[int, int]]) -> None:
    """Each part from its account to suspense, or to revenue when nothing waits in suspense for this item."""
    assert item.closing_id is not None
    target = house_account("suspense" if item.entry_id else "revenue").pk
    post_entries(
        [
            Posting(
                item.closing_id,
                LedgerEntry.Kind.DESK,
                source,
                target,
                amount,
                n=number,
                reason=f"{item}: {reason.strip()}"[:255],
                actor_id=actor.pk,
                allow_debt=True,
            )
            for number, (source, amount) in enumerate(parts)
            if amount
        ]
    )
