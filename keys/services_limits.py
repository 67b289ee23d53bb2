"""Limits of calls: who may set them on what, and the one way to write them."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may
from accounts.services import audit
from config.foundation.errors import InvalidInput, NotAllowed
from keys.models import ApiKey, CallLimit, UseProfile
from keys.services import may_manage

MOST = {"requests_per_minute": 1_000_000, "tokens_per_minute": 2_000_000_000, "parallel_calls": 100_000}


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What a limit says; None: no limit of this kind."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_calls: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == CallFigures()


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose limit: a key, a use profile, a person, a group, or (person and group) a member of it."""

    key: ApiKey | None = None
    user: User | None = None
    group: Group | None = None
    profile: UseProfile | None = None

    def __post_init__(self) -> None:
        if [bool(self.key), bool(self.profile), bool(self.user or self.group)].count(True) != 1:
            raise ValueError("a limit belongs to a key, a use profile, or to a person, a group or a member")

    @property
    def kind(self) -> str:
        """key, profile, person, group or member: the same words as in refusals."""
        if self.key:
            return "key"
        if self.profile:
            return "profile"
        return "group" if self.user is None else "person" if self.group is None else "member"

    @property
    def target(self) -> ApiKey | User | Group | UseProfile:
        """What the audit event is about."""
        found = self.key or self.profile or self.group or self.user
        assert found is not None
        return found


def may_limit(actor: User | None, subject: Subject) -> bool:
    """Own keys: their owner; keys, members and use profiles of a team: its owners; groups, people and the house's profiles:
    operators; the system: all."""
    if subject.key:
        return may_manage(actor, subject.key)
    if actor is None or may(actor, "keys.manage"):
        return True
    team = subject.profile.team if subject.profile else subject.group
    return subject.kind in {"member", "profile"} and actor.is_active and team is not None and _owns(actor, team)


@transaction.atomic
def set_call_limit(*, actor: User | None, subject: Subject, figures: CallFigures, reason: str = "") -> CallLimit | None:
    """Replace what the subject may do; empty figures take the limit away (None). Relays obey within a second.

    Raises NotAllowed, or InvalidInput with the name of the field in ``details["field"]``.
    """
    if not may_limit(actor, subject):
        raise NotAllowed(_("Only who runs this key or team, and the operators, may set its limits."))
    for name, value in asdict(figures).items():
        if value is not None and not 1 <= value <= MOST[name]:
            raise InvalidInput(_("Write a whole number from 1 to %(most)s.") % {"most": f"{MOST[name]:,}"}, field=name)
    if subject.kind == "member" and not GroupMembership.objects.filter(group=subject.group, user=subject.user).exists():
        raise InvalidInput(_("This person is not in the team."))
    whose: dict[str, Any] = {"key": subject.key, "user": subject.user, "group": subject.group, "profile": subject.profile}
    known = CallLimit.objects.filter(**whose).first()
    before = figures_of(known)
    if before == figures:
        return known
    found: CallLimit | None = None
    if figures.is_empty:
        CallLimit.objects.filter(**whose).delete()
    else:
        found, _is_new = CallLimit.objects.update_or_create(**whose, defaults=asdict(figures))
    about = {"of": subject.kind} | ({"person": subject.user.username} if subject.user else {})
    audit.record(
        actor=actor,
        action="call_limit.set",
        target=subject.target,
        before=about | asdict(before),
        after=about | asdict(figures),
        reason=reason,
    )
    return found


def figures_of(limit: CallLimit | None) -> CallFigures:
    if limit is None:
        return CallFigures()
    return CallFigures(limit.requests_per_minute, limit.tokens_per_minute, limit.parallel_calls)


def _owns(actor: User, group: Group | None) -> bool:
    role = GroupMembership.TeamRole.OWNER
    return GroupMembership.objects.filter(group=group, user=actor, team_role=role, group__is_active=True).exists()
