"""What people decide about a difference. Each is one conditional update: of two people one decides."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.models import Difference, LedgerEntry
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput


def explain(*, actor: User, difference: Difference, reason: str) -> Difference:
    """It is as it should be; the reason says why. Met again with the same figures it stays explained."""
    return _decide(actor, difference, Difference.State.EXPLAINED, reason)


def write_off(*, actor: User, difference: Difference, reason: str) -> Difference:
    """It will not be followed any further."""
    return _decide(actor, difference, Difference.State.WRITTEN_OFF, reason)


def fix_by_entry(*, actor: User, difference: Difference, entry_id: int, reason: str = "") -> Difference:
    """A ledger entry put it right. Raises InvalidInput when there is no such entry."""
    entry = LedgerEntry.objects.filter(pk=entry_id).first()
    if entry is None:
        raise InvalidInput(_("There is no ledger entry with this number."))
    return _decide(actor, difference, Difference.State.FIXED, reason or _("by an entry"), entry=entry)


@transaction.atomic
def _decide(actor: User, difference: Difference, state: str, reason: str, entry: LedgerEntry | None = None) -> Difference:
    require(actor, "reconcile.decide")
    if not reason.strip():
        raise InvalidInput(_("Give a reason."))
    changes = {"state": state, "reason": reason.strip()[:255], "decided_at": now(), "decided_by": actor, "entry": entry}
    if not Difference.objects.filter(pk=difference.pk, state=Difference.State.OPEN).update(**changes):
        raise Conflict(_("This difference is decided already."))
    difference.refresh_from_db()
    audit.record(
        actor=actor,
        action=f"difference.{state}",
        target=difference,
        before={"state": "open"},
        after={"state": state, "entry": entry.pk if entry else None},
        reason=reason,
    )
    return difference
