"""What a person may see of people, teams, invitations, mails and the audit trail; a stranger gets NotFound."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Group, GroupMembership, Invitation, OutboundMail, User
from accounts.rights import may, require
from accounts.services.teams import is_owner
from config.foundation.clock import now
from config.foundation.errors import NotFound

PAGE = 50
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows and where the next ones begin ("" at the end)."""

    rows: Sequence[Row]
    next: str


def people_for(
    actor: User, *, text: str = "", state: str = "", role: str = "", group: str = "", after: str = "", limit: int = PAGE
) -> Page[User]:
    """People by user name, for staff. ``text`` is part of a user name, a display name or an e-mail address."""
    require(actor, "people.view")
    people = User.objects.select_related("billing_group").order_by("username")
    if text:
        people = people.filter(Q(username__icontains=text) | Q(email__icontains=text) | Q(display_name__icontains=text))
    if state in User.State.values:
        people = people.filter(state=state)
    if role:
        people = people.filter(role=role)
    if group:
        people = people.filter(billing_group__code=group)
    if after:
        people = people.filter(username__gt=after)
    rows = list(people[: limit + 1])
    return Page(rows[:limit], rows[limit - 1].username if len(rows) > limit else "")


def person_for(actor: User, person_id: int) -> User:
    """One person, for staff or for themselves."""
    if actor.pk != person_id and not may(actor, "people.view"):
        raise NotFound(_("There is no such person, or you may not see them."))
    person = User.objects.select_related("billing_group").filter(pk=person_id).first()
    if person is None:
        raise NotFound(_("There is no such person, or you may not see them."))
    return person


def people_count(actor: User) -> dict[str, int]:
    """People per state, for the first line of the list."""
    require(actor, "people.view")
    return dict(User.objects.order_by().values_list("state").annotate(n=Count("pk")))


def teams_for(actor: User) -> QuerySet[Group]:
    """One's own teams; every team for those who manage them. ``member_count`` and ``is_mine`` come along."""
    mine = GroupMembership.objects.filter(group=OuterRef("pk"), user=actor)
    teams = Group.objects.filter(kind=Group.Kind.TEAM).annotate(member_count=Count("memberships"), is_mine=Exists(mine))
    if not may(actor, "teams.manage"):
        teams = teams.filter(is_mine=True)
    return teams.order_by("name")


def groups_for(actor: User) -> QuerySet[Group]:
    """Every group, price classes too, for staff who see people; one's own teams for everybody else. With ``member_count``."""
    if may(actor, "people.view"):
        return Group.objects.annotate(member_count=Count("memberships"))
    return teams_for(actor)


def team_for(actor: User, team_id: int) -> Group:
    team = teams_for(actor).filter(pk=team_id).first()
    if team is None:
        raise NotFound(_("There is no such team, or you are not in it."))
    return team


def runs_team(actor: User, team: Group) -> bool:
    """Whether the person may invite, remove and promote here."""
    return may(actor, "teams.manage") or is_owner(actor, team)


def members_of(actor: User, team: Group) -> QuerySet[GroupMembership]:
    team_for(actor, team.pk)
    return team.memberships.select_related("user").order_by("-team_role", "user__username")


def member_of(actor: User, team: Group, person_id: int) -> User:
    membership = members_of(actor, team).filter(user_id=person_id).first()
    if membership is None:
        raise NotFound(_("This person is not in the team."))
    return membership.user


def invitations_of(actor: User, team: Group | None = None) -> list[Invitation]:
    """Open invitations into a team for those who run it, or all of them for administrators."""
    invitations = Invitation.objects.select_related("invited_by", "group").filter(accepted_at=None, expires_at__gt=now())
    if team is not None:
        return list(invitations.filter(group=team)) if runs_team(actor, team) else []
    require(actor, "people.manage")
    return list(invitations[:PAGE])


def invitation_for(actor: User, invitation_id: int) -> Invitation:
    invitation = Invitation.objects.select_related("group").filter(pk=invitation_id).first()
    visible = invitation and (
        may(actor, "people.manage") or (invitation.group is not None and runs_team(actor, invitation.group))
    )
    if invitation is None or not visible:
        raise NotFound(_("There is no such invitation, or it is not yours."))
    return invitation


def has_account(invitation: Invitation) -> bool:
    """Whether the invited address belongs to somebody already."""
    return User.objects.filter(email__iexact=invitation.email).exists()


def teams_of(person: User) -> QuerySet[GroupMembership]:
    return person.memberships.select_related("group").order_by("group__name")


def mails_for(
    actor: User, *, state: str = "", kind: str = "", text: str = "", before: datetime | None = None, limit: int = PAGE
) -> list[OutboundMail]:
    """Mails, newest first; ``text`` is part of the address or subject. One more row than ``limit`` when there are more."""
    require(actor, "mail.view")
    mails = OutboundMail.objects.select_related("user").defer("text", "html").order_by("-created_at", "-id")
    if state in OutboundMail.State.values:
        mails = mails.filter(state=state)
    if kind:
        mails = mails.filter(kind=kind)
    if text:
        mails = mails.filter(Q(to_address__icontains=text) | Q(subject__icontains=text))
    if before:
        mails = mails.filter(created_at__lt=before)
    return list(mails[: limit + 1])


def mail_counts(actor: User) -> dict[str, int]:
    """Mails per state that somebody may have to look at; those that were sent are not counted (there may be millions)."""
    require(actor, "mail.view")
    open_states = [state for state in OutboundMail.State.values if state not in ("sent", "cancelled")]
    found = OutboundMail.objects.filter(state__in=open_states).order_by().values_list("state").annotate(n=Count("pk"))
    return dict(found)


def mail_for(actor: User, mail_id: Any) -> OutboundMail:
    require(actor, "mail.view")
    mail = OutboundMail.objects.select_related("user").filter(pk=mail_id).first()
    if mail is None:
        raise NotFound(_("There is no such mail."))
    return mail


def audit_for(
    actor: User, *, action: str = "", who: str = "", target: str = "", before_id: int | None = None, limit: int = PAGE
) -> list[AuditEvent]:
    """Audit events, newest first; ``target`` is an object's label or "type:id". One more row when there are more."""
    require(actor, "audit.view")
    events = AuditEvent.objects.order_by("-id")
    if action:
        events = events.filter(action__startswith=action)
    if who:
        events = events.filter(actor_name__iexact=who)
    if target:
        kind, _colon, number = target.rpartition(":")
        exact = Q(object_type=kind, object_id=number) if kind else Q()
        events = events.filter(exact | Q(object_label__icontains=target) if kind else Q(object_label__icontains=target))
    if before_id:
        events = events.filter(id__lt=before_id)
    return list(events[: limit + 1])


def audit_of(actor: User, person: User, limit: int = 20) -> list[AuditEvent]:
    """What was done to a person's account, for administrators."""
    if not may(actor, "audit.view"):
        return []
    return list(AuditEvent.objects.filter(object_type="accounts.user", object_id=str(person.pk)).order_by("-id")[:limit])
