"""Switching a wave and taking it back: person by person, each in a transaction of their own, so that both can be resumed.

A kill leaves every person either done or untouched; the second run does the rest. Opening = spent here + closed holds to
the nano-dollar because all three are read from the ledger in the transaction that closes the purse.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.locks import lock_purses_of
from billing.models import Hold, Lease, LedgerAccount, LedgerEntry
from billing.services.ledger import Posting, house_account, post_entries, set_spendable
from config.foundation.clock import now
from gateway.services import set_routes
from keys.models import ApiKey
from migrations_center.models import Source, Wave, WaveMember, WaveNotice
from migrations_center.plans import gates
from migrations_center.services import continuity, notices
from migrations_center.services.wave_errors import GatesRed, WindowOver, WrongState
from migrations_center.services.wave_facts import (
    Decider,
    act_id,
    closed_net,
    key_ids_of,
    origin_of,
    purses_of,
    spent_ever,
    wave_facts,
)
from migrations_center.services.waves import move, require_turn, window_until

SWITCHED_ACTION = "wave_member.switched"
State = Wave.State
Member = WaveMember.State


@dataclass
class BatchResult:
    """What one run did: people done now, done before, and those who wait for calls that still run."""

    done: int = 0
    done_before: int = 0
    waiting: list[str] = field(default_factory=list)
    is_complete: bool = False


def begin_switch(*, actor: User | None, wave: Wave, reason: str = "") -> Wave:
    """Check that the wave may go and say that it goes. A wave that is on its way or done is given back as it is.

    Raises EarlierWaveOpen, GatesRed, WrongState.
    """
    _manage(actor)
    wave.refresh_from_db()
    if wave.state in (State.SWITCHING, State.SWITCHED, State.OBSERVING):
        return wave
    if wave.state not in (State.READY, State.NOTIFIED):
        raise WrongState(_("Make the wave ready first: only a ready or notified wave can be switched."), state=wave.state)
    require_turn(wave)
    red = [one for one in gates.blocking(gates.findings(wave_facts(wave))) if one.code != "planned_time_past"]
    if red:
        raise GatesRed(_("The wave cannot be switched. In the way: %(count)s.") % {"count": len(red)}, red)
    _require_confirmed(actor, wave)
    return move(wave, State.SWITCHING, actor=actor, reason=reason)


def _require_confirmed(actor: User | None, wave: Wave) -> None:
    """Raises GatesRed naming every key that a live relay does not hold; the relays are asked, so that a second try may go."""
    if not settings.WAVE_KEY_CONFIRMATION:
        return
    missing = continuity.unconfirmed_keys(wave)
    if missing:
        continuity.ask_relays(actor=actor, wave=wave)
        names = ", ".join(dict.fromkeys(one.key_name for one in missing))
        message = _("Not confirmed by the relays: %(names)s. They were asked again; try in a few seconds.")
        raise GatesRed(message % {"names": names}, continuity.findings_of(missing))


def switch(*, actor: User | None, wave: Wave, reason: str = "") -> BatchResult:
    """Move everybody of a wave to the new entry; a second call goes on where the first one stopped."""
    begin_switch(actor=actor, wave=wave, reason=reason)
    return run_switch(actor=actor, wave=wave)


def run_switch(*, actor: User | None, wave: Wave, limit: int | None = None) -> BatchResult:
    """The work of a wave in the state switching, up to ``limit`` people; nothing for a wave in another state."""
    result = BatchResult(done_before=wave.members.filter(state=Member.SWITCHED).count())
    wave.refresh_from_db()
    if wave.state == State.SWITCHING:
        decide = Decider()
        for member in _members(wave, Member.WAITING, limit):
            result.done += _switch_member(actor, member, decide)
        if not wave.members.filter(state=Member.WAITING).exists():
            _finish(wave, State.SWITCHED, State.OBSERVING, actor=actor, switched_at=now())
    result.is_complete = wave.state == State.OBSERVING
    return result


@transaction.atomic
def _switch_member(actor: User | None, member: WaveMember, decide: Decider) -> bool:
    """One person to the new side; False when somebody else did it meanwhile. The member's row is the lock."""
    if not _take(member, Member.WAITING, State.SWITCHING):
        return False
    source = member.wave.plan.source
    lock_purses_of([member.user_id])
    earlier = _last_stay(source, member)
    if earlier:
        _account_late(actor, source, earlier)
    _bring_back(actor, source, member)
    set_spendable(actor=actor, user_ids=[member.user_id], origin=origin_of(source), is_spendable=True)
    set_routes(actor=actor, key_ids=key_ids_of(source, [member.user_id]), route=ApiKey.Route.NEW)
    continuity.carry_out(actor=actor, member=member)
    opening = sum(purses_of(source, [member.user_id]).values_list("balance_nano", flat=True))
    WaveMember.objects.filter(pk=member.pk).update(state=Member.SWITCHED, switched_at=now(), opening_nano=opening)
    member.refresh_from_db()
    audit.record(
        actor=actor,
        action=SWITCHED_ACTION,
        target=member,
        before={"state": Member.WAITING},
        after={"state": Member.SWITCHED, "opening_nano": opening},
    )
    notices.tell(member=member, occasion=WaveNotice.Occasion.DONE, decide=decide)
    return True


def _take(member: WaveMember, state: str, wave_state: str) -> bool:
    """Lock the member's row if it is in this state. No join in the filter: after a wait only the row is looked at anew."""
    if not WaveMember.objects.filter(pk=member.pk, state=state).update(state=state):
        return False
    return Wave.objects.filter(pk=member.wave_id, state=wave_state).exists()


def _last_stay(source: Source, member: WaveMember) -> WaveMember | None:
    """The person's newest earlier stay on the new side that was closed."""
    stays = WaveMember.objects.filter(user_id=member.user_id, wave__plan__source=source, closed_nano__isnull=False)
    return stays.exclude(pk=member.pk).select_related("user", "wave__plan__source").order_by("-pk").first()


def _bring_back(actor: User | None, source: Source, member: WaveMember) -> None:
    """What an earlier going back closed is opened again: the mirror of its entries."""
    house = house_account(LedgerAccount.Kind.MOVED_BACK, origin_of(source))
    postings = []
    for nth, purse in enumerate(purses_of(source, [member.user_id])):
        amount = closed_net(purse.pk)
        if amount:
            postings.append(_posting(actor, act_id(member, "open", 0), nth, house.pk, purse.pk, amount, "opened again"))
    post_entries(postings)


def _finish(wave: Wave, *states: str, actor: User | None, **values: datetime) -> None:
    """The closing moves of a wave; another worker may have made them a moment ago."""
    try:
        with transaction.atomic():
            for state in states:
                move(wave, state, actor=actor, values=values if state == states[0] else {})
    except WrongState:
        wave.refresh_from_db()


def begin_back(*, actor: User | None, wave: Wave, reason: str = "") -> Wave:
    """Check that the way back is open and say that the wave goes back. Raises WindowOver, WrongState."""
    _manage(actor)
    wave.refresh_from_db()
    if wave.state in (State.GOING_BACK, State.GONE_BACK):
        return wave
    if wave.state not in (State.SWITCHING, State.SWITCHED, State.OBSERVING):
        raise WrongState(_("Only a wave that was switched and is not settled can go back."), state=wave.state)
    until = window_until(wave)
    if until and until < now():
        raise WindowOver(_("The rollback window ended at %(until)s.") % {"until": until.isoformat(timespec="minutes")})
    return move(wave, State.GOING_BACK, actor=actor, reason=reason)


def go_back(*, actor: User | None, wave: Wave, reason: str = "") -> BatchResult:
    """Take everybody of a wave back to the old entry. People with calls that still run are waited for: call again."""
    begin_back(actor=actor, wave=wave, reason=reason)
    return run_back(actor=actor, wave=wave)


def run_back(*, actor: User | None, wave: Wave, limit: int | None = None) -> BatchResult:
    """The work of a wave in the state going back: first every route, then purse by purse; resumable."""
    result = BatchResult(done_before=wave.members.filter(state=Member.BACK).count())
    wave.refresh_from_db()
    if wave.state == State.GOING_BACK:
        _route_all_old(actor, wave)
        for member in _members(wave, Member.SWITCHED, limit):
            if _close_member(actor, member):
                result.done += 1
            else:
                result.waiting.append(member.user.username)
        result.done += _release_untouched(wave)
        if not wave.members.exclude(state=Member.BACK).exists():
            _finish(wave, State.GONE_BACK, actor=actor, gone_back_at=now())
    result.is_complete = wave.state == State.GONE_BACK
    return result


def _route_all_old(actor: User | None, wave: Wave) -> None:
    """No new call is admitted here from now on; relays learn it before the first purse is closed."""
    source = wave.plan.source
    people = wave.members.filter(state=Member.SWITCHED).values_list("user_id", flat=True)
    set_routes(actor=actor, key_ids=key_ids_of(source, list(people)), route=ApiKey.Route.OLD, old_entry=source.old_entry)


def _release_untouched(wave: Wave) -> int:
    """People whom an interrupted switch never reached are on the old entry as they were."""
    untouched = wave.members.filter(state=Member.WAITING, opening_nano=None)
    return untouched.update(state=Member.BACK, back_at=now())


@transaction.atomic
def _close_member(actor: User | None, member: WaveMember) -> bool:
    """Close what is left of a person's brought balance; False while calls of theirs still hold money from it."""
    source = member.wave.plan.source
    if not _take(member, Member.SWITCHED, State.GOING_BACK):
        return True
    lock_purses_of([member.user_id])
    set_spendable(actor=actor, user_ids=[member.user_id], origin=origin_of(source), is_spendable=False)
    purses = list(purses_of(source, [member.user_id]))
    if open_holds(source, member.user_id, purses):
        # The purses stay shut for new calls; those that run end by themselves or expire.
        return False
    continuity.take_back(actor=actor, member=member)
    closed = _close_purses(actor, source, member, purses, "close")
    figures = _account_for(source, member, purses, closed)
    added = figures["opening_nano"] - (member.opening_nano or 0)
    WaveMember.objects.filter(pk=member.pk).update(state=Member.BACK, back_at=now(), **figures)
    before = {"state": Member.SWITCHED, "opening_nano": member.opening_nano}
    member.refresh_from_db()
    after = {"state": Member.BACK, "added_nano": added, **figures}
    audit.record(actor=actor, action="wave_member.back", target=member, before=before, after=after)
    notices.tell(member=member, occasion=WaveNotice.Occasion.GOING_BACK, added_nano=added)
    return True


def open_holds(source: Source, user_id: int, purses: list[LedgerAccount]) -> bool:
    """Whether calls that run still hold money from these purses, or run with a key of the source, or a relay lends of it."""
    ids = [purse.pk for purse in purses]
    if Lease.objects.filter(account_id__in=ids, state=Lease.State.OPEN).exists():
        return True
    drawn = Q(account_ids__overlap=ids) | Q(key_id__in=key_ids_of(source, [user_id]))
    return Hold.objects.filter(drawn, state=Hold.State.OPEN, user_id=user_id).exists()


def _close_purses(
    actor: User | None, source: Source, member: WaveMember, purses: list[LedgerAccount], act: str, number: int = 0
) -> int:
    """Empty the purses into the house's account for money that went back; gives the sum closed, nano-USD."""
    house = house_account(LedgerAccount.Kind.MOVED_BACK, origin_of(source))
    transaction_id = act_id(member, act, number)
    left = [(nth, purse) for nth, purse in enumerate(purses) if purse.balance_nano]
    post_entries(
        [
            _posting(actor, transaction_id, nth, purse.pk, house.pk, purse.balance_nano, "moved back to the old entry")
            for nth, purse in left
        ]
    )
    return sum(purse.balance_nano for _nth, purse in left)


def _account_for(source: Source, member: WaveMember, purses: list[LedgerAccount], closed: int) -> dict[str, int]:
    """Opening, spent and closed of this stay. What was added meanwhile (top-ups, corrections) counts as brought in."""
    earlier = WaveMember.objects.filter(user_id=member.user_id, wave__plan__source=source, state=Member.BACK)
    spent_before = sum(filter(None, earlier.exclude(pk=member.pk).values_list("spent_nano", flat=True)))
    spent = spent_ever([purse.pk for purse in purses]) - spent_before
    return {"opening_nano": spent + closed, "spent_nano": spent, "closed_nano": closed}


def close_late(*, actor: User | None, wave: Wave) -> int:
    """Calls whose end came after their purse was closed are charged all the same: account for them. Gives the people."""
    count = 0
    source = wave.plan.source
    for member in wave.members.filter(closed_nano__isnull=False).select_related("user", "wave__plan__source"):
        if purses_of(source, [member.user_id]).exclude(balance_nano=0).exists():
            count += _close_late_member(actor, source, member)
    return count


@transaction.atomic
def _close_late_member(actor: User | None, source: Source, member: WaveMember) -> bool:
    lock_purses_of([member.user_id])
    stays = WaveMember.objects.filter(user_id=member.user_id, wave__plan__source=source)
    if stays.filter(Q(state=Member.SWITCHED) | Q(closed_nano__isnull=False, pk__gt=member.pk)).exists():
        return False
    return _account_late(actor, source, member)


def _account_late(actor: User | None, source: Source, member: WaveMember) -> bool:
    """Put what was charged after the closing on the account of that stay; the purses are locked."""
    member.refresh_from_db()
    purses = list(purses_of(source, [member.user_id]))
    house = house_account(LedgerAccount.Kind.MOVED_BACK, origin_of(source))
    moved = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.MOVED_BACK)
    number = moved.filter(Q(from_account=house, to_account__in=purses) | Q(to_account=house, from_account__in=purses)).count()
    closed = (member.closed_nano or 0) + _close_purses(actor, source, member, purses, "late", number)
    figures = _account_for(source, member, purses, closed)
    before = {name: getattr(member, name) for name in figures}
    if figures == before:
        return False
    WaveMember.objects.filter(pk=member.pk).update(**figures)
    audit.record(actor=actor, action="wave_member.late_calls", target=member, before=before, after=figures)
    return True


def _posting(
    actor: User | None, transaction_id: object, nth: int, source_id: int, target_id: int, amount: int, reason: str
) -> Posting:
    """A move of ``amount`` from the first account to the second; a negative one goes the other way."""
    first, second = (source_id, target_id) if amount > 0 else (target_id, source_id)
    return Posting(
        transaction_id=transaction_id,  # type: ignore[arg-type]
        kind=LedgerEntry.Kind.MOVED_BACK,
        from_account_id=first,
        to_account_id=second,
        amount_nano=abs(amount),
        n=nth,
        reason=reason,
        actor_id=actor.pk if actor else None,
        allow_debt=True,
    )


def _members(wave: Wave, state: str, limit: int | None) -> list[WaveMember]:
    members = wave.members.filter(state=state).select_related("user", "wave__plan__source").order_by("user_id")
    return list(members[:limit] if limit else members)


def _manage(actor: User | None) -> None:
    if actor:
        require(actor, "migrations.manage")
