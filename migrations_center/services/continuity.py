"""What becomes of each key at its wave: kept, reissued with an overlap, or retired; and the relays' word that they hold it.

A choice is made before people are told, carried out in the transaction that switches the owner, and taken back with it.
Dead keys have no choice: whatever was disabled, expired or deleted stays dead.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from gateway.services.confirmations import Unconfirmed, ask_confirmation, unconfirmed
from keys.models import ApiKey, KeySecret
from keys.services import MAX_OVERLAP_HOURS, disable_key, revoke_key
from migrations_center.models import KeyChoice, Wave, WaveMember
from migrations_center.plans.gates import Finding
from migrations_center.services.wave_errors import WrongState
from migrations_center.services.wave_facts import key_ids_of

Choice = KeyChoice.Choice
RIGHT = "migrations.manage"
RETIRED = "retired in its wave"
OPEN_STATES = (Wave.State.DRAFT, Wave.State.READY)


@transaction.atomic
def choose(
    *, actor: User | None, wave: Wave, key_ids: Collection[int], choice: str, overlap_hours: int = 72, reason: str = ""
) -> int:
    """Set the choice of living keys of a wave whose people were not told yet; gives how many were chosen otherwise before.

    Raises WrongState, or InvalidInput for a key that is dead or not of this wave.
    """
    if actor is not None:
        require(actor, RIGHT)
    wave.refresh_from_db()
    if wave.state not in OPEN_STATES:
        raise WrongState(_("People were told what becomes of their keys. Take the wave back to draft to change it."))
    if choice not in Choice.values:
        raise InvalidInput(_("There is no such choice."), field="choice")
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise InvalidInput(_("The overlap is between 0 hours and 30 days."), field="overlap_hours")
    wanted = set(key_ids)
    living = {key.pk: key for key in living_keys(wave).filter(pk__in=wanted)}
    if wanted - set(living):
        raise InvalidInput(_("Only keys of this wave that work can be chosen for."), field="key")
    known = KeyChoice.objects.in_bulk(list(wanted))
    changed = 0
    for key_id in sorted(wanted):
        row = known.get(key_id) or KeyChoice(key_id=key_id)
        before = {"choice": row.choice, "overlap_hours": row.overlap_hours}
        if (row.choice, row.overlap_hours) == (choice, overlap_hours):
            continue
        row.choice, row.overlap_hours, row.reason, row.decided_by = choice, overlap_hours, reason[:191], actor
        row.save()
        after = {"choice": choice, "overlap_hours": overlap_hours}
        audit.record(actor=actor, action="key.move_choice", target=living[key_id], before=before, after=after, reason=reason)
        changed += 1
    return changed


def living_keys(wave: Wave) -> Any:
    """Keys of the wave's people that a call could be made with, however they are routed."""
    people = list(wave.members.exclude(state=WaveMember.State.BACK).values_list("user_id", flat=True))
    keys = ApiKey.objects.filter(pk__in=key_ids_of(wave.plan.source, people))
    alive = Q(expires_at=None) | Q(expires_at__gt=now())
    return keys.filter(alive, state=ApiKey.State.ACTIVE).order_by("pk")


def needed_keys(wave: Wave) -> list[int]:
    """Keys that must be there at the first call: the living ones that are not retired."""
    retired = KeyChoice.objects.filter(choice=Choice.RETIRE).values("key_id")
    return list(living_keys(wave).exclude(pk__in=retired).values_list("pk", flat=True))


def ask_relays(*, actor: User | None, wave: Wave) -> int:
    """Ask every relay to confirm the keys of the wave; gives their number."""
    return ask_confirmation(actor=actor, key_ids=needed_keys(wave))


def unconfirmed_keys(wave: Wave) -> list[Unconfirmed]:
    """Keys of the wave that some live relay does not hold."""
    return unconfirmed(needed_keys(wave))


def findings_of(found: list[Unconfirmed]) -> list[Finding]:
    return [
        Finding("key_unconfirmed", True, detail={"key": one.key_name, "relay": one.relay, "why": one.reason}) for one in found
    ]


def carry_out(*, actor: User | None, member: WaveMember) -> None:
    """The choices for a person's keys, in the transaction that switches them."""
    at = now()
    for row in _choices(member).filter(applied_at=None):
        if row.choice == Choice.REISSUE:
            row.undo = {"secrets": _end_secrets(row.key, at + timedelta(hours=row.overlap_hours))}
            after = {"until": (at + timedelta(hours=row.overlap_hours)).isoformat()}
            audit.record(actor=actor, action="key.reissue_due", target=row.key, after=after)
        elif row.choice == Choice.RETIRE and disable_key(actor=None, key=row.key, reason=RETIRED):
            row.undo = {"state": ApiKey.State.ACTIVE}
        row.applied_at = at
        row.save(update_fields=["undo", "applied_at"])


def take_back(*, actor: User | None, member: WaveMember) -> None:
    """Keys of a person who goes back are what they were, but for what somebody changed meanwhile."""
    for row in _choices(member).exclude(applied_at=None):
        for secret_id, end in row.undo.get("secrets", {}).items():
            until = datetime.fromisoformat(end) if end else None
            KeySecret.objects.filter(pk=int(secret_id), key=row.key, revoked_at=None).update(valid_until=until)
        if row.undo.get("state"):
            disabled = ApiKey.objects.filter(pk=row.key_id, state=ApiKey.State.DISABLED, state_reason=RETIRED)
            if disabled.update(state=ApiKey.State.ACTIVE, state_reason=""):
                audit.record(actor=actor, action="key.enable", target=row.key, before={"state": "disabled", "reason": RETIRED})
        row.undo, row.applied_at = {}, None
        row.save(update_fields=["undo", "applied_at"])


def finish(*, actor: User | None, wave: Wave) -> int:
    """The way back is closed: what was retired is revoked for good. Gives the number of keys."""
    people = list(wave.members.filter(state=WaveMember.State.SWITCHED).values_list("user_id", flat=True))
    retired = KeyChoice.objects.filter(
        choice=Choice.RETIRE, applied_at__isnull=False, key_id__in=key_ids_of(wave.plan.source, people)
    )
    still = retired.filter(key__state=ApiKey.State.DISABLED, key__state_reason=RETIRED).select_related("key")
    return sum(revoke_key(actor=None, key=row.key, reason=RETIRED) for row in still)


def choices_of(member: WaveMember) -> dict[str, list[dict[str, Any]]]:
    """What a person is told of their keys: ``reissued`` with name, tail, hours and (once switched) the end of the old value;
    ``retired`` with name and tail. Keys that stay are not listed."""
    told: dict[str, list[dict[str, Any]]] = {"reissued": [], "retired": []}
    for row in _choices(member):
        secret = row.key.secrets.order_by("pk").first()
        end = row.applied_at + timedelta(hours=row.overlap_hours) if row.applied_at else None
        line = {"name": row.key.name, "tail": secret.tail if secret else "", "hours": row.overlap_hours, "until": end}
        told["reissued" if row.choice == Choice.REISSUE else "retired"].append(line)
    return told


def _choices(member: WaveMember) -> Any:
    keys = key_ids_of(member.wave.plan.source, [member.user_id])
    return KeyChoice.objects.filter(key_id__in=keys).exclude(choice=Choice.KEEP).select_related("key").order_by("pk")


def _end_secrets(key: ApiKey, until: datetime) -> dict[str, str | None]:
    """Let the living secrets end then, those that end sooner excepted; gives the ends they had."""
    later = Q(valid_until=None) | Q(valid_until__gt=until)
    secrets = list(key.secrets.filter(later, revoked_at=None))
    KeySecret.objects.filter(pk__in=[one.pk for one in secrets]).update(valid_until=until)
    return {str(one.pk): one.valid_until.isoformat() if one.valid_until else None for one in secrets}
