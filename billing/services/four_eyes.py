"""When an act with money needs a second person, and the override that replaces one for half an hour. Nano-USD."""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import may, require
from accounts.services import audit
from billing.locks import lock_row, lock_top_ups_of
from billing.models import AdjustmentRequest, BreakGlass, LedgerEntry
from billing.services.errors import AlreadyDecided, OverrideRefused, SamePerson, SecondPersonNeeded
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotFound
from config.foundation.money import NANO_PER_USD

OVERRIDE_TIME = timedelta(minutes=30)
Kind = AdjustmentRequest.Kind
# Money that came in, or that is only promised, may be booked alone up to another amount than corrections.
TOP_UP_KINDS = frozenset({Kind.TOP_UP, Kind.CODE_BATCH, Kind.REVALUE, Kind.ASSIGN})


def alone_limit(kind: str) -> int:
    """Up to how much one person may do this alone; 0: never."""
    dollars = settings.TOP_UP_ALONE_USD if kind in TOP_UP_KINDS else settings.ADJUST_ALONE_USD
    return dollars * NANO_PER_USD


def needs_two(actor: User, kind: str, amount_nano: int, currency: str = "USD") -> bool:
    """Whether a second person is needed. Top-ups of a day are added up, so that cutting a large one in pieces is none.

    What one may do alone is said in dollars, so another currency and a conversion always need two. Only inside a transaction:
    for a top-up it waits for those that the same person is just booking.
    """
    if currency != "USD" or kind == Kind.CONVERSION:
        return True
    size = abs(amount_nano)
    if kind == Kind.TOP_UP:
        lock_top_ups_of(actor.pk)
        size += _topped_up_alone(actor)
    return size > alone_limit(kind)


def check_two_people(
    actor: User, kind: str, amount_nano: int, approval: AdjustmentRequest | None, currency: str = "USD"
) -> None:
    """Raise SecondPersonNeeded unless the act is small, or ``approval`` is a decided request for exactly this."""
    if approval is None:
        if needs_two(actor, kind, amount_nano, currency):
            raise SecondPersonNeeded
        return
    fits = approval.kind == kind and approval.state == AdjustmentRequest.State.DONE and approval.requested_by_id == actor.pk
    if not fits or abs(amount_nano) > abs(approval.amount_nano):
        raise SecondPersonNeeded


@transaction.atomic
def open_override(*, actor: User, reason: str) -> BreakGlass:
    """Let an administrator approve their own requests for half an hour. It is reviewed by somebody else, whatever was done."""
    require(actor, "ledger.override")
    if len(reason.strip()) < 10:
        raise InvalidInput(_("Say in a sentence why nobody else can be asked."))
    moment = now()
    try:
        with transaction.atomic():
            override = BreakGlass.objects.create(
                user=actor, reason=reason.strip()[:255], opened_at=moment, expires_at=moment + OVERRIDE_TIME
            )
    except IntegrityError:
        raise OverrideRefused from None
    after = {"expires_at": override.expires_at.isoformat()}
    audit.record(actor=actor, action="override.opened", target=override, after=after, reason=override.reason)
    return override


def active_override(actor: User) -> BreakGlass | None:
    """The override this person may use now, by the clock alone."""
    if not may(actor, "ledger.override"):
        return None
    return BreakGlass.objects.filter(user=actor, expires_at__gt=now(), closed_at=None).first()


@transaction.atomic
def close_override(*, actor: User, override: BreakGlass) -> None:
    """End one's own override before its time; the review stays due."""
    locked = lock_row(BreakGlass, override.pk)
    if locked is None or locked.user_id != actor.pk:
        raise NotFound
    if locked.closed_at is not None:
        return
    locked.closed_at = now()
    locked.save(update_fields=["closed_at"])
    audit.record(actor=actor, action="override.closed", target=locked)


def note_ended_overrides() -> int:
    """Write the end of overrides whose time is over into the trail; gives their number. The clock ended them already."""
    noted = 0
    for override in BreakGlass.objects.filter(closed_at=None, expires_at__lte=now()):
        with transaction.atomic():
            if BreakGlass.objects.filter(pk=override.pk, closed_at=None).update(closed_at=override.expires_at):
                used = override.requests.count()
                after = {"ended_at": override.expires_at.isoformat(), "used": used, "review": "open"}
                audit.record(actor=None, action="override.expired", target=override, after=after)
                noted += 1
    return noted


@transaction.atomic
def review_override(*, actor: User, override: BreakGlass, note: str) -> None:
    """Say what was found about an override that has ended; its holder cannot. Raises SamePerson, AlreadyDecided."""
    require(actor, "ledger.approve")
    locked = lock_row(BreakGlass, override.pk)
    if locked is None:
        raise NotFound
    if locked.user_id == actor.pk:
        raise SamePerson(_("Whoever used the override cannot review it."))
    if locked.reviewed_at is not None:
        raise AlreadyDecided(_("This override was reviewed already."))
    if locked.closed_at is None and locked.expires_at > now():
        raise InvalidInput(_("It still runs. Review it when it has ended."))
    if not note.strip():
        raise InvalidInput(_("Say what you found."))
    locked.closed_at = locked.closed_at or locked.expires_at
    locked.reviewed_at, locked.reviewed_by, locked.review_note = now(), actor, note.strip()[:255]
    locked.save(update_fields=["closed_at", "reviewed_at", "reviewed_by", "review_note"])
    after = {"used": locked.requests.count()}
    audit.record(actor=actor, action="override.reviewed", target=locked, after=after, reason=locked.review_note)


def _topped_up_alone(actor: User) -> int:
    since = now() - timedelta(hours=24)
    entries = LedgerEntry.objects.filter(actor=actor, kind="top_up", booked_at__gt=since)
    entries = entries.filter(from_account__kind="cash", from_account__currency="USD")
    approved = AdjustmentRequest.objects.filter(kind=Kind.TOP_UP, requested_by=actor, is_alone=False, decided_at__gt=since)
    alone = entries.exclude(transaction_id__in=approved.values("transaction_id"))
    return int(alone.aggregate(n=Sum("amount_nano"))["n"] or 0)
