"""People: made, given a role, disabled, enabled, and what they choose for themselves."""

import zoneinfo
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from accounts.models import Group, Role, User
from accounts.models.people import STAFF_ROLES
from accounts.rights import require
from accounts.services import audit
from config.foundation.errors import Conflict, InvalidInput


class NameTaken(Conflict):
    """There is a person with this user name already."""

    code = "name_taken"


class EmailTaken(Conflict):
    """There is a person with this e-mail address already."""

    code = "email_taken"


class LastAdministrator(Conflict):
    """Somebody must stay administrator: give another person the role first."""

    code = "last_administrator"


# Serialises every change that could leave the portal without an administrator.
_ADMIN_LOCK = 7_402_118_552


@transaction.atomic
def create_person(
    *,
    actor: User | None,
    username: str,
    email: str = "",
    role: str = Role.USER,
    password: str | None = None,
    display_name: str = "",
    language: str = "en",
    time_zone: str = "UTC",
    billing_group: Group | None = None,
    email_is_proven: bool = False,
    reason: str = "",
) -> User:
    """A new person; without a password they can only use the reset link or a single sign-on. ``actor`` None is the system.

    Raises NameTaken, EmailTaken, or InvalidInput with ``fields``.
    """
    if actor:
        require(actor, "people.manage")
    person = User(
        username=username.strip(),
        email=_checked_email(email),
        role=_checked_role(role),
        is_staff=role in STAFF_ROLES,
        display_name=display_name.strip(),
        language=_checked_language(language),
        time_zone=_checked_zone(time_zone),
        billing_group=billing_group,
    )
    if not person.username:
        raise InvalidInput(_("A user name is needed."), fields={"username": [_("A user name is needed.")]})
    _set_password(person, password)
    _save_new(person)
    if person.email and email_is_proven:
        EmailAddress.objects.create(user=person, email=person.email.lower(), primary=True, verified=True)
    audit.record(actor=actor, action="person.create", target=person, after=_facts(person), reason=reason)
    return person


@transaction.atomic
def set_role(*, actor: User | None, person: User, role: str, reason: str = "") -> User:
    """Give a person a role; ``is_staff`` follows it. Raises LastAdministrator."""
    if actor:
        require(actor, "people.manage")
    _checked_role(role)
    before = _facts(person)
    if person.role == role:
        return person
    _lock_administrators()
    person.role, person.is_staff = role, role in STAFF_ROLES
    person.is_superuser = person.is_superuser and role == Role.ADMIN
    person.save(update_fields=["role", "is_staff", "is_superuser"])
    _somebody_is_administrator(before)
    audit.record(actor=actor, action="person.set_role", target=person, before=before, after=_facts(person), reason=reason)
    return person


@transaction.atomic
def disable_person(*, actor: User | None, person: User, reason: str = "") -> User:
    """The person can no longer log in, open pages end at the next click. Raises LastAdministrator; deleted people stay so."""
    if actor:
        require(actor, "people.manage")
    return _set_state(actor, person, User.State.DISABLED, "person.disable", reason)


@transaction.atomic
def enable_person(*, actor: User | None, person: User, reason: str = "") -> User:
    """The person may log in again; Conflict for a deleted one."""
    if actor:
        require(actor, "people.manage")
    return _set_state(actor, person, User.State.ENABLED, "person.enable", reason)


@transaction.atomic
def set_language(*, actor: User | None, person: User, language: str, time_zone: str | None = None) -> User:
    """A person's language, and time zone (an IANA name) when given; one's own or, for administrators, anybody's."""
    return change_profile(actor=actor, person=person, language=language, time_zone=time_zone)


@transaction.atomic
def change_profile(
    *,
    actor: User | None,
    person: User,
    language: str | None = None,
    time_zone: str | None = None,
    display_name: str | None = None,
) -> User:
    """Change what a person may choose; what is None stays. Raises InvalidInput with ``fields``."""
    if actor and actor.pk != person.pk:
        require(actor, "people.manage")
    before = _choices(person)
    if language is not None:
        person.language = _checked_language(language)
    if time_zone is not None:
        person.time_zone = _checked_zone(time_zone)
    if display_name is not None:
        person.display_name = display_name.strip()[:191]
    after = _choices(person)
    if after == before:
        return person
    person.save(update_fields=list(after))
    audit.record(actor=actor, action="person.change_profile", target=person, before=before, after=after)
    return person


def _set_state(actor: User | None, person: User, state: str, action: str, reason: str) -> User:
    if person.state == User.State.DELETED:
        raise Conflict(_("A deleted person stays deleted."))
    if person.state == state:
        return person
    _lock_administrators()
    before = _facts(person)
    person.state, person.is_active = state, state == User.State.ENABLED
    person.save(update_fields=["state", "is_active"])
    _somebody_is_administrator(before)
    audit.record(actor=actor, action=action, target=person, before=before, after=_facts(person), reason=reason)
    return person


def _lock_administrators() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADMIN_LOCK])


def _somebody_is_administrator(before: dict[str, Any]) -> None:
    """Checked after the change and under the lock."""
    was_one = before["role"] == Role.ADMIN and before["state"] == User.State.ENABLED
    if was_one and not User.objects.filter(is_active=True, role=Role.ADMIN).exists():
        raise LastAdministrator(_("Somebody must stay administrator: give another person the role first."))


def _set_password(person: User, password: str | None) -> None:
    if password is None:
        person.set_unusable_password()
        return
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages), fields={"password": error.messages}) from None
    person.set_password(password)


def _save_new(person: User) -> None:
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError as error:
        text = str(error)
        if "user_email_once" in text:
            raise EmailTaken(_("There is a person with this e-mail address already.")) from None
        if "username" in text:
            raise NameTaken(_("There is a person with this user name already.")) from None
        raise


def _checked_email(email: str) -> str:
    email = User.objects.normalize_email(email.strip())
    if email:
        try:
            validate_email(email)
        except ValidationError as error:
            raise InvalidInput(" ".join(error.messages), fields={"email": error.messages}) from None
    return email


def _checked_role(role: str) -> str:
    if role not in Role.values:
        raise InvalidInput(_("There is no such role."), fields={"role": [_("There is no such role.")]})
    return role


def _checked_language(language: str) -> str:
    if language not in dict(settings.LANGUAGES):
        raise InvalidInput(_("There is no such language."), fields={"language": [_("There is no such language.")]})
    return language


def _checked_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(_("There is no such time zone."), fields={"time_zone": [_("There is no such time zone.")]}) from None
    return name


def _facts(person: User) -> dict[str, Any]:
    return {
        "username": person.username,
        "email": person.email,
        "role": person.role,
        "state": person.state,
        "is_staff": person.is_staff,
    }


def _choices(person: User) -> dict[str, Any]:
    return {"language": person.language, "time_zone": person.time_zone, "display_name": person.display_name}
