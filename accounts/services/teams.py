"""Teams: made by staff who manage them, run by their owners."""

from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may, require
from accounts.services import audit
from config.foundation.errors import Conflict, InvalidInput, NotAllowed


class TeamTaken(Conflict):
    """There is a group with this code already."""

    code = "team_taken"


class LastOwner(Conflict):
    """A team keeps one owner at least: make another member owner first."""

    code = "last_owner"


def is_owner(person: User, group: Group) -> bool:
    return GroupMembership.objects.filter(
        group=group, user=person, team_role=GroupMembership.TeamRole.OWNER, user__is_active=True
    ).exists()


@transaction.atomic
def create_team(*, actor: User | None, name: str, code: str = "", owner: User | None = None, description: str = "") -> Group:
    """A new team, with its first owner if given. Raises TeamTaken or InvalidInput."""
    if actor:
        require(actor, "teams.manage")
    name = name.strip()
    code = code.strip() or slugify(name, allow_unicode=True)
    if not name or not code or "/" in code:
        raise InvalidInput(_("A team needs a name, and a code without a slash."))
    try:
        with transaction.atomic():
            team = Group.objects.create(code=code, name=name, kind=Group.Kind.TEAM, description=description.strip())
    except IntegrityError:
        raise TeamTaken(_("There is a group with this code already.")) from None
    audit.record(actor=actor, action="team.create", target=team, after={"code": code, "name": name})
    if owner:
        join(group=team, person=owner, team_role=GroupMembership.TeamRole.OWNER, actor=actor)
    return team


@transaction.atomic
def rename_team(*, actor: User, group: Group, name: str) -> Group:
    """Change what a team is called; its code stays."""
    _may_run(actor, group)
    name = name.strip()
    if not name:
        raise InvalidInput(_("A team needs a name."))
    before = {"name": group.name}
    if name == group.name:
        return group
    group.name = name
    group.save(update_fields=["name"])
    audit.record(actor=actor, action="team.rename", target=group, before=before, after={"name": name})
    return group


@transaction.atomic
def add_member(*, actor: User, group: Group, person: User, team_role: str = GroupMembership.TeamRole.MEMBER) -> GroupMembership:
    """Put a person into a team. Only staff who manage teams may: owners invite, so that nobody is added unasked."""
    require(actor, "teams.manage")
    _is_team(group)
    return join(group=group, person=person, team_role=team_role, actor=actor)


@transaction.atomic
def remove_member(*, actor: User, group: Group, person: User, reason: str = "") -> bool:
    """Take a person out of a team, or leave it oneself; False when they were not in it. Raises LastOwner."""
    if actor.pk != person.pk:
        _may_run(actor, group)
    _lock(group)
    membership = GroupMembership.objects.filter(group=group, user=person).first()
    if membership is None:
        return False
    before = _facts(membership)
    membership.delete()
    _keeps_an_owner(group, before)
    audit.record(actor=actor, action="team.remove_member", target=group, before=before, after={}, reason=reason)
    return True


@transaction.atomic
def set_team_role(*, actor: User, group: Group, person: User, team_role: str) -> GroupMembership:
    """Make a member owner, or an owner member. Raises LastOwner."""
    _may_run(actor, group)
    if team_role not in GroupMembership.TeamRole.values:
        raise InvalidInput(_("There is no such role in a team."))
    _lock(group)
    membership = GroupMembership.objects.filter(group=group, user=person).first()
    if membership is None:
        raise Conflict(_("This person is not in the team."))
    before = _facts(membership)
    if membership.team_role == team_role:
        return membership
    membership.team_role = team_role
    membership.save(update_fields=["team_role"])
    _keeps_an_owner(group, before)
    audit.record(actor=actor, action="team.set_role", target=group, before=before, after=_facts(membership))
    return membership


@transaction.atomic
def join(*, group: Group, person: User, team_role: str, actor: User | None = None) -> GroupMembership:
    """The membership itself, for callers that have checked the right; somebody who is in stays as they are."""
    membership, is_new = GroupMembership.objects.get_or_create(group=group, user=person, defaults={"team_role": team_role})
    if is_new:
        audit.record(actor=actor or person, action="team.add_member", target=group, before={}, after=_facts(membership))
    return membership


def _may_run(actor: User, group: Group) -> None:
    _is_team(group)
    if not (may(actor, "teams.manage") or is_owner(actor, group)):
        raise NotAllowed


def _is_team(group: Group) -> None:
    if group.kind != Group.Kind.TEAM:
        raise Conflict(_("A price class has no members."))


def _lock(group: Group) -> None:
    """Two owners who leave at the same moment wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7402, %s)", [group.pk])


def _keeps_an_owner(group: Group, before: dict[str, Any]) -> None:
    owner = GroupMembership.TeamRole.OWNER
    if before["team_role"] == owner and not group.memberships.filter(team_role=owner).exists():
        raise LastOwner(_("A team keeps one owner at least: make another member owner first."))


def _facts(membership: GroupMembership) -> dict[str, Any]:
    return {"person": membership.user.username, "team_role": membership.team_role}
