"""Invitations: a mailed link sets up an account. The token is kept as a digest, in the outbox sealed, nowhere in clear."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, Invitation, Role, User
from accounts.rights import may, require
from accounts.services import audit
from accounts.services.mail import queue_mail
from accounts.services.people import EmailTaken, create_person
from accounts.services.teams import is_owner, join
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed

VALID_DAYS = 7


class InvitationOver(Conflict):
    """This invitation was used, withdrawn or has run out. Ask for a new one."""

    code = "invitation_over"
    http_status = 410


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@transaction.atomic
def invite(
    *,
    actor: User,
    email: str,
    role: str = Role.USER,
    group: Group | None = None,
    team_role: str = GroupMembership.TeamRole.MEMBER,
    language: str = "en",
    valid_days: int = VALID_DAYS,
) -> Invitation:
    """Mail a link that sets up an account (or, for somebody who has one, joins the team). An earlier open one is withdrawn.

    Administrators invite anybody; those who manage teams and the owners of a team invite plain users into it.
    """
    _may_invite(actor, role, group)
    email = User.objects.normalize_email(email.strip())
    known = User.objects.filter(email__iexact=email).first() if email else None
    if not email:
        raise InvalidInput(_("An e-mail address is needed."), fields={"email": [_("An e-mail address is needed.")]})
    if known and not group:
        raise EmailTaken(_("There is a person with this e-mail address already."))
    if known and role != Role.USER:
        raise Conflict(_("This person has an account already: change the role there."))
    moment = now()
    _open(email).update(expires_at=moment)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        email=email,
        role=role,
        group=group,
        team_role=team_role,
        language=known.language if known else language,
        token_digest=digest_of(token),
        invited_by=actor,
        expires_at=moment + timedelta(days=valid_days),
    )
    audit.record(actor=actor, action="invitation.create", target=invitation, after=_facts(invitation))
    queue_mail(
        user=known,
        to_address=email,
        kind="invitation",
        dedupe_key=f"invitation:{invitation.pk}",
        template="invitation",
        language=invitation.language,
        context={"invitation": invitation, "inviter": actor.get_full_name(), "team": group},
        secrets={"link": settings.PUBLIC_URL.rstrip("/") + reverse("invitation_open", args=[token])},
    )
    return invitation


@transaction.atomic
def withdraw(*, actor: User, invitation: Invitation, reason: str = "") -> None:
    """The link stops working at once; Conflict when it was used already."""
    _may_invite(actor, invitation.role, invitation.group)
    before = _facts(invitation)
    moment = now()
    if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(expires_at=moment):
        raise InvitationOver
    invitation.refresh_from_db()
    audit.record(
        actor=actor, action="invitation.withdraw", target=invitation, before=before, after=_facts(invitation), reason=reason
    )


def open_invitation(*, digest: bytes) -> Invitation:
    """The invitation behind a digest; InvitationOver when it cannot be used any more."""
    found = Invitation.objects.select_related("group", "invited_by").filter(
        token_digest=digest, accepted_at=None, expires_at__gt=now()
    )
    invitation = found.first()
    if invitation is None:
        raise InvitationOver(_("This invitation was used, withdrawn or has run out. Ask for a new one."))
    return invitation


@transaction.atomic
def accept(
    *, digest: bytes, username: str, password: str, display_name: str = "", language: str = "en", time_zone: str = "UTC"
) -> User:
    """Make the account an invitation promises. Raises InvitationOver, NameTaken, EmailTaken or InvalidInput."""
    invitation = open_invitation(digest=digest)
    person = create_person(
        actor=None,
        username=username,
        email=invitation.email,
        role=invitation.role,
        password=password,
        display_name=display_name,
        language=language,
        time_zone=time_zone,
        email_is_proven=True,
        reason=f"invitation {invitation.pk}",
    )
    _use(invitation, person)
    return person


@transaction.atomic
def accept_as(*, actor: User, digest: bytes) -> Invitation:
    """A person who has an account joins the team; the invitation must have gone to their own address."""
    invitation = open_invitation(digest=digest)
    if invitation.email.lower() != actor.email.lower():
        raise NotAllowed(_("This invitation was sent to another address than yours."))
    _use(invitation, actor)
    return invitation


def _use(invitation: Invitation, person: User) -> None:
    """The row count decides who was first."""
    moment = now()
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, expires_at__gt=moment).update(
        accepted_at=moment, accepted_by=person
    )
    if not taken:
        raise InvitationOver
    if invitation.group:
        join(group=invitation.group, person=person, team_role=invitation.team_role)
    audit.record(
        actor=person,
        action="invitation.accept",
        target=invitation,
        before={"accepted": False},
        after={"accepted": True, **_facts(invitation)},
    )


def _open(email: str) -> Any:
    return Invitation.objects.filter(email__iexact=email, accepted_at=None, expires_at__gt=now())


def _may_invite(actor: User, role: str, group: Group | None) -> None:
    if may(actor, "people.manage"):
        return
    if role != Role.USER or group is None:
        raise NotAllowed
    if group.kind != Group.Kind.TEAM or not (may(actor, "teams.manage") or is_owner(actor, group)):
        require(None, "people.manage")


def _facts(invitation: Invitation) -> dict[str, Any]:
    return {
        "email": invitation.email,
        "role": invitation.role,
        "team": invitation.group.code if invitation.group else "",
        "team_role": invitation.team_role,
        "expires_at": invitation.expires_at.isoformat(),
    }
