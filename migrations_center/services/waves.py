"""Waves before their switch: made, filled, timed, made ready, taken back to draft, settled."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts.models import OutboundMail, User
from accounts.rights import require
from accounts.services import audit
from accounts.services.mail import cancel_mail
from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from gateway.services.confirmations import end_confirmation
from migrations_center.models import Plan, Wave, WaveEvent, WaveMember, WaveNotice
from migrations_center.plans import gates
from migrations_center.services import continuity
from migrations_center.services.locking import lock_plan
from migrations_center.services.wave_errors import (
    AlreadyHere,
    EarlierWaveOpen,
    GatesRed,
    NotOfThisSource,
    PersonInAnotherWave,
    WrongState,
)
from migrations_center.services.wave_facts import charged_here, key_ids_of, moved_before, people_of, wave_facts

State = Wave.State
# States after which the next wave of a plan may start; observing counts once its time is over.
DONE = (State.SETTLED, State.GONE_BACK)
BEFORE_SWITCH = (State.DRAFT, State.READY, State.NOTIFIED)


@dataclass(frozen=True)
class AddResult:
    """How many people joined, and how many were in this wave already."""

    added: int
    already_in: int


@transaction.atomic
def create_wave(
    *,
    actor: User | None,
    plan: Plan,
    name: str,
    planned_at: datetime | None = None,
    window_hours: int = 168,
    observation_hours: int = 24,
) -> Wave:
    """A new, empty wave at the end of the plan's order."""
    _manage(actor)
    lock_plan(plan.source_id)
    last = Wave.objects.filter(plan=plan).aggregate(n=Max("number"))["n"] or 0
    values = _checked(name, window_hours, observation_hours)
    wave = Wave.objects.create(plan=plan, number=last + 1, planned_at=planned_at, created_by=actor, **values)
    WaveEvent.objects.create(wave=wave, from_state="", to_state=State.DRAFT, actor=actor, actor_name=_who(actor))
    audit.record(actor=actor, action="wave.create", target=wave, after=_facts(wave))
    return wave


@transaction.atomic
def change_wave(
    *,
    actor: User | None,
    wave: Wave,
    name: str,
    planned_at: datetime | None,
    window_hours: int,
    observation_hours: int,
    reason: str = "",
) -> Wave:
    """Change name, time and windows. The time is fixed once notices were written: take the wave back to draft first.

    While a wave is observed only its name, its window and its observation time can change. Raises WrongState.
    """
    _manage(actor)
    before = _facts(wave)
    if planned_at != wave.planned_at and wave.state not in (State.DRAFT, State.READY):
        raise WrongState(_("People were told this time. Take the wave back to draft to plan another one."))
    if wave.state in (*DONE, State.GOING_BACK):
        raise WrongState(_("This wave is done."))
    for field, value in _checked(name, window_hours, observation_hours).items():
        setattr(wave, field, value)
    wave.planned_at = planned_at
    if _facts(wave) == before:
        return wave
    fields = {"name": wave.name, "planned_at": planned_at, "window_hours": window_hours, "observation_hours": observation_hours}
    if not Wave.objects.filter(pk=wave.pk, state=wave.state).update(**fields):
        raise WrongState(_("The wave has changed its state meanwhile. Look again."))
    audit.record(actor=actor, action="wave.change", target=wave, before=before, after=_facts(wave), reason=reason)
    return wave


@transaction.atomic
def add_members(*, actor: User | None, wave: Wave, user_ids: Collection[int]) -> AddResult:
    """Put people into a draft, all or none. Their keys of the source follow them.

    Raises PersonInAnotherWave, NotOfThisSource or AlreadyHere, each naming the people.
    """
    _manage(actor)
    _only_in(wave, State.DRAFT)
    wanted = set(user_ids)
    theirs = set(people_of(wave.plan.source).filter(pk__in=wanted).values_list("pk", flat=True))
    if wanted - theirs:
        raise NotOfThisSource(_("Not of this source: %(names)s.") % {"names": _names(wanted - theirs)})
    here = charged_here(wave.plan.source, wanted) - moved_before(wanted)
    if here:
        raise AlreadyHere(_("Charged here already, so they stay on the new entry: %(names)s.") % {"names": _names(here)})
    inside = set(wave.members.filter(user_id__in=wanted).values_list("user_id", flat=True))
    try:
        with transaction.atomic():
            WaveMember.objects.bulk_create([WaveMember(wave=wave, user_id=user_id) for user_id in sorted(wanted - inside)])
    except IntegrityError as error:
        if "wave_member_in_one_live_wave" not in str(error):
            raise
        raise _elsewhere(wave, wanted) from None
    added = len(wanted - inside)
    if added:
        audit.record(
            actor=actor,
            action="wave.add_members",
            target=wave,
            before={},
            after={"added": added, "people": _names(wanted - inside)},
        )
    return AddResult(added, len(inside))


@transaction.atomic
def remove_members(*, actor: User | None, wave: Wave, user_ids: Collection[int], reason: str = "") -> int:
    """Take people out of a draft; gives how many were in it."""
    _manage(actor)
    _only_in(wave, State.DRAFT)
    members = wave.members.filter(user_id__in=list(user_ids), state=WaveMember.State.WAITING)
    names = _names(members.values_list("user_id", flat=True))
    count, _by_type = members.delete()
    removed = _by_type.get(WaveMember._meta.label, 0)
    if removed:
        audit.record(
            actor=actor,
            action="wave.remove_members",
            target=wave,
            before={"people": names},
            after={"removed": removed},
            reason=reason,
        )
    return removed


@transaction.atomic
def delete_wave(*, actor: User | None, wave: Wave, reason: str = "") -> None:
    """Remove a draft that never left that state; its people are free for another wave. Raises WrongState."""
    _manage(actor)
    if wave.state != State.DRAFT or wave.events.count() > 1:
        raise WrongState(_("Only a draft that was never ready can be removed."))
    audit.record(actor=actor, action="wave.delete", target=wave, before=_facts(wave), after={}, reason=reason)
    wave.delete()


def check_gates(wave: Wave) -> list[gates.Finding]:
    """What stands in the way of the wave and what should be known, blocking findings first."""
    return gates.findings(wave_facts(wave))


def mark_ready(*, actor: User | None, wave: Wave, reason: str = "") -> Wave:
    """Say that the wave may go. Raises GatesRed with every finding that stands in the way."""
    _manage(actor)
    _only_in(wave, State.DRAFT)
    _refuse_if_red(wave)
    continuity.ask_relays(actor=actor, wave=wave)
    return move(wave, State.READY, actor=actor, reason=reason)


@transaction.atomic
def reopen(*, actor: User | None, wave: Wave, reason: str = "") -> Wave:
    """Back to draft from ready or notified. Notices that still wait are cancelled; the next round tells everybody anew."""
    _manage(actor)
    _only_in(wave, State.READY, State.NOTIFIED)
    notices = WaveNotice.objects.filter(member__wave=wave).select_related("mail")
    for notice in notices:
        if notice.mail and notice.mail.state == OutboundMail.State.QUEUED:
            cancel_mail(actor=actor, mail=notice.mail, reason=reason)
    notices.delete()
    return move(wave, State.DRAFT, actor=actor, reason=reason)


@transaction.atomic
def plan_again(*, actor: User | None, wave: Wave) -> Wave:
    """A new draft with the people of a wave that went back; the old wave keeps its record."""
    _manage(actor)
    _only_in(wave, State.GONE_BACK)
    again = create_wave(
        actor=actor,
        plan=wave.plan,
        name=_("%(name)s, again") % {"name": wave.name},
        window_hours=wave.window_hours,
        observation_hours=wave.observation_hours,
    )
    add_members(actor=actor, wave=again, user_ids=list(wave.members.values_list("user_id", flat=True)))
    return again


@transaction.atomic
def settle(*, actor: User | None, wave: Wave, reason: str = "") -> Wave:
    """End the observation: the way back is closed for good. Raises WrongState while the observation lasts."""
    _manage(actor)
    _only_in(wave, State.OBSERVING)
    until = observed_until(wave)
    if until and until > now():
        raise WrongState(
            _("The observation of this wave lasts until %(until)s.") % {"until": until.isoformat(timespec="minutes")}
        )
    continuity.finish(actor=actor, wave=wave)
    end_confirmation(key_ids=keys_of_members(wave))
    return move(wave, State.SETTLED, actor=actor, reason=reason)


def require_turn(wave: Wave) -> None:
    """Raises EarlierWaveOpen, naming the wave, while one with a smaller number and members has not passed (R069)."""
    for earlier in Wave.objects.filter(plan_id=wave.plan_id, number__lt=wave.number).order_by("number"):
        if earlier.state in DONE or not earlier.members.exists():
            continue
        until = observed_until(earlier)
        if earlier.state == State.OBSERVING and until and until <= now():
            continue
        message = _("%(name)s comes first and has not passed: it is in the state “%(state)s”.")
        raise EarlierWaveOpen(
            message % {"name": earlier.name, "state": earlier.get_state_display()}, wave=earlier.number, state=earlier.state
        )


def observed_until(wave: Wave) -> datetime | None:
    return wave.switched_at + timedelta(hours=wave.observation_hours) if wave.switched_at else None


def window_until(wave: Wave) -> datetime | None:
    """Until when going back is open, None before the switch."""
    return wave.switched_at + timedelta(hours=wave.window_hours) if wave.switched_at else None


@transaction.atomic
def move(wave: Wave, to_state: str, *, actor: User | None, reason: str = "", values: dict[str, Any] | None = None) -> Wave:
    """Change the state by one conditional update and write who, when and why. Raises WrongState when somebody was faster."""
    from_state = wave.state
    if not Wave.objects.filter(pk=wave.pk, state=from_state).update(state=to_state, **(values or {})):
        raise WrongState(_("The wave has changed its state meanwhile. Look again."))
    WaveEvent.objects.create(
        wave=wave, from_state=from_state, to_state=to_state, actor=actor, actor_name=_who(actor), reason=reason
    )
    audit.record(
        actor=actor,
        action=f"wave.{to_state}",
        target=wave,
        before={"state": from_state},
        after={"state": str(to_state)},
        reason=reason,
    )
    wave.refresh_from_db()
    return wave


def round_of(wave: Wave) -> int:
    """How often the wave was drafted: 1 at first, one more after each going back to draft."""
    return wave.events.filter(to_state=State.DRAFT).count()


def _refuse_if_red(wave: Wave) -> None:
    red = gates.blocking(check_gates(wave))
    if red:
        raise GatesRed(_("The wave cannot be made ready. In the way: %(count)s.") % {"count": len(red)}, red)


def _elsewhere(wave: Wave, user_ids: Iterable[int]) -> PersonInAnotherWave:
    live = WaveMember.objects.filter(user_id__in=list(user_ids)).exclude(wave=wave).exclude(state=WaveMember.State.BACK)
    listed = [f"{member.user.username} ({member.wave.name})" for member in live.select_related("user", "wave")[:20]]
    return PersonInAnotherWave(_("In another wave already: %(names)s.") % {"names": ", ".join(listed)}, people=listed)


def _checked(name: str, window_hours: int, observation_hours: int) -> dict[str, Any]:
    name = name.strip()
    if not name:
        raise InvalidInput(_("A wave needs a name."), fields={"name": [_("A wave needs a name.")]})
    if window_hours < 1 or observation_hours < 0 or observation_hours > window_hours:
        message = _("The observation cannot be longer than the rollback window.")
        raise InvalidInput(message, fields={"observation_hours": [message]})
    return {"name": name[:128], "window_hours": window_hours, "observation_hours": observation_hours}


def _only_in(wave: Wave, *states: str) -> None:
    wave.refresh_from_db()
    if wave.state not in states:
        words = ", ".join(f"“{State(state).label}”" for state in states)
        message = _("The wave is in the state “%(state)s”; this needs %(states)s.")
        raise WrongState(message % {"state": wave.get_state_display(), "states": words}, state=wave.state)


def _manage(actor: User | None) -> None:
    if actor:
        require(actor, "migrations.manage")


def _who(actor: User | None) -> str:
    return actor.username if actor else "system"


def _names(user_ids: Iterable[int]) -> str:
    """User names for a sentence or an audit row, the first twenty."""
    ids = list(user_ids)
    names = list(User.objects.filter(pk__in=ids).order_by("username").values_list("username", flat=True)[:20])
    unknown = [str(user_id) for user_id in ids if len(names) < 20 and not User.objects.filter(pk=user_id).exists()]
    more = len(ids) - len(names) - len(unknown)
    return ", ".join([*names, *unknown]) + (f" +{more}" if more > 0 else "")


def _facts(wave: Wave) -> dict[str, Any]:
    return {
        "name": wave.name,
        "number": wave.number,
        "state": wave.state,
        "planned_at": wave.planned_at.isoformat() if wave.planned_at else "",
        "window_hours": wave.window_hours,
        "observation_hours": wave.observation_hours,
    }


def keys_of_members(wave: Wave) -> list[int]:
    """Keys of the source that belong to members of the wave."""
    return key_ids_of(wave.plan.source, list(wave.members.values_list("user_id", flat=True)))
