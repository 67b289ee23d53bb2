"""Use profiles: one place that says which models a kind of work calls, and the keys that follow it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may
from accounts.services import audit
from config.foundation.errors import InvalidInput, NotAllowed
from keys.errors import ProfileInUse
from keys.models import ApiKey, UseProfile
from keys.profile_parameters import clean_parameters
from keys.services import clean_model_names, clean_name, require_manage
from keys.services_limits import CallFigures, Subject, set_call_limit
from models_catalog.models import AIModel, NameMapEntry

MOST_MODELS = 200
ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def may_keep(actor: User | None, team: Group | None) -> bool:
    """Who writes a team's profiles: its owners and operators; the house's: operators; the system: all."""
    if actor is None or may(actor, "keys.manage"):
        return True
    owner = GroupMembership.TeamRole.OWNER
    return (
        team is not None
        and actor.is_active
        and GroupMembership.objects.filter(group=team, user=actor, team_role=owner, group__is_active=True).exists()
    )


@transaction.atomic
def create_profile(
    *,
    actor: User | None,
    team: Group | None,
    use: str,
    name: str,
    alias: str,
    default_model: str,
    model_names: Iterable[str] = (),
    parameters: Mapping[str, Any] | None = None,
    figures: CallFigures | None = None,
) -> UseProfile:
    """A profile for the keys of a team, or (None) for every key. The default model is allowed whether named twice or not.

    Raises NotAllowed, or InvalidInput with the name of the field.
    """
    _require(actor, team)
    values = _clean(use, name, alias, default_model, model_names, parameters or {})
    profile = UseProfile(team=team, **values)
    _save(profile)
    audit.record(actor=actor, action="profile.create", target=profile, after=_described(profile))
    if figures is not None:
        set_call_limit(actor=actor, subject=Subject(profile=profile), figures=figures)
    return profile


@transaction.atomic
def change_profile(*, actor: User | None, profile: UseProfile, figures: CallFigures | None = None, **given: Any) -> UseProfile:
    """Change what is ``given`` of use, name, alias, default_model, model_names, parameters. Relays and cards follow at once:
    nothing is changed in any client. ``figures`` None leaves the limit of calls as it is."""
    _require(actor, profile.team)
    names = ("use", "name", "alias", "default_model", "model_names", "parameters")
    values = _clean(**{name: given[name] if name in given else getattr(profile, name) for name in names})
    before = _described(profile)
    for name, value in values.items():
        setattr(profile, name, value)
    after = _described(profile)
    if after != before:
        _save(profile)
        audit.record(actor=actor, action="profile.change", target=profile, before=before, after=after)
    if figures is not None:
        set_call_limit(actor=actor, subject=Subject(profile=profile), figures=figures)
    return profile


@transaction.atomic
def remove_profile(*, actor: User | None, profile: UseProfile) -> None:
    """Take a profile away that no living key follows. Raises NotAllowed or ProfileInUse."""
    _require(actor, profile.team)
    ApiKey.objects.filter(profile=profile, state=ApiKey.State.REVOKED).update(profile=None, model_names=[])
    audit.record(actor=actor, action="profile.remove", target=profile, before=_described(profile))
    try:
        profile.delete()
    except ProtectedError:
        raise ProfileInUse(_("Keys follow this profile. Bind them to another one first.")) from None


@transaction.atomic
def bind_key(*, actor: User | None, key: ApiKey, profile: UseProfile | None) -> bool:
    """Let a key follow a profile; its own list of models is given up for the profile's. None: it may call every model of its
    group again. False when nothing changed.

    Raises NotAllowed, or InvalidInput when the profile is another team's or the key is revoked.
    """
    require_manage(actor, key)
    if key.state == ApiKey.State.REVOKED:
        raise InvalidInput(_("The key is revoked."), field="profile")
    if profile is not None and not is_open_to(profile, key):
        raise InvalidInput(_("This profile is another team's."), field="profile")
    before = {"profile": key.profile.name if key.profile else None, "model_names": key.model_names}
    wanted = profile.pk if profile else None
    if key.profile_id == wanted:
        return False
    ApiKey.objects.filter(pk=key.pk).update(profile=profile, model_names=None)
    key.refresh_from_db()
    after = {"profile": profile.name if profile else None, "model_names": None}
    audit.record(actor=actor, action="key.bind_profile", target=key, before=before, after=after)
    return True


def is_open_to(profile: UseProfile, key: ApiKey) -> bool:
    """The house's profiles are for every key, a team's for its own keys and those of its members."""
    if profile.team_id is None or profile.team_id == key.team_id:
        return True
    return key.owner_id is not None and GroupMembership.objects.filter(group_id=profile.team_id, user_id=key.owner_id).exists()


def _require(actor: User | None, team: Group | None) -> None:
    if not may_keep(actor, team):
        raise NotAllowed(_("Owners of the team and the operators keep its profiles."))


def _save(profile: UseProfile) -> None:
    try:
        with transaction.atomic():
            profile.save()
    except IntegrityError:
        raise InvalidInput(_("There is a profile that is called by this name already."), field="alias") from None


def _clean(
    use: str, name: str, alias: str, default_model: str, model_names: Iterable[str], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    if use not in UseProfile.Use.values:
        raise InvalidInput(_("There is no such use."), field="use")
    try:
        name = clean_name(name)
    except InvalidInput as refused:
        raise InvalidInput(refused.message, field="name") from None
    if len(name) > 128:
        raise InvalidInput(_("A name has at most 128 characters."), field="name")
    alias = alias.strip()
    if not ALIAS.fullmatch(alias):
        raise InvalidInput(_("Use small letters, digits, dots and hyphens, at most 64."), field="alias")
    if not _unknown([alias]):
        raise InvalidInput(_("A model has this name. Clients could not tell the two apart."), field="alias")
    names = clean_model_names([default_model, *model_names]) or []
    if not default_model.strip() or len(names) > MOST_MODELS:
        raise InvalidInput(_("A profile has a model it stands for, and at most 200 models."), field="default_model")
    for field, asked in (("default_model", names[:1]), ("model_names", names[1:])):
        if unknown := _unknown(asked):
            raise InvalidInput(_("There is no model called %(name)s.") % {"name": unknown[0][:100]}, field=field)
    return {
        "use": use,
        "name": name,
        "alias": alias,
        "default_model": names[0],
        "model_names": names,
        "parameters": clean_parameters(parameters),
    }


def _unknown(names: list[str]) -> list[str]:
    """The names that neither a model nor the name map has."""
    known = set(AIModel.objects.filter(name__in=names).values_list("name", flat=True))
    known |= set(NameMapEntry.objects.filter(old_name__in=names, until_version=None).values_list("old_name", flat=True))
    return [name for name in names if name not in known]


def _described(profile: UseProfile) -> dict[str, Any]:
    return {
        "team_id": profile.team_id,
        "use": profile.use,
        "name": profile.name,
        "alias": profile.alias,
        "default_model": profile.default_model,
        "model_names": profile.model_names,
        "parameters": profile.parameters,
    }
