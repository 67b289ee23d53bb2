"""Which keys a person may see."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Group, GroupMembership, User
from accounts.rights import may
from config.foundation.clock import now
from config.foundation.errors import NotFound
from keys.models import ApiKey, KeySecret
from models_catalog.models import AIModel
from models_catalog.selectors import callable_models


def keys_for(actor: User) -> QuerySet[ApiKey]:
    """The person's own keys and those of the person's teams, newest first, secrets at hand."""
    # Two walks down two indexes; an OR over a join would read every key of the house.
    own = ApiKey.objects.filter(owner=actor).order_by().values("pk")
    of_teams = ApiKey.objects.filter(team__memberships__user=actor, team__is_active=True).order_by().values("pk")
    keys = ApiKey.objects.filter(pk__in=own.union(of_teams))
    return keys.select_related("owner", "team", "profile").prefetch_related("secrets")


def keys_seen_by(actor: User) -> QuerySet[ApiKey]:
    """Every key for staff with ``keys.view``, otherwise the same as ``keys_for``."""
    if not may(actor, "keys.view"):
        return keys_for(actor)
    return ApiKey.objects.select_related("owner", "team", "profile").prefetch_related("secrets")


def key_for(actor: User, key_id: int) -> ApiKey:
    """One key the person may see; raises NotFound for a stranger as for a wrong number."""
    try:
        return keys_seen_by(actor).get(pk=key_id)
    except (ApiKey.DoesNotExist, OverflowError):
        raise NotFound from None


def secret_for(actor: User, key_id: int, secret_id: int) -> KeySecret:
    """One secret of a key the person may see; raises NotFound."""
    key = key_for(actor, key_id)
    try:
        return key.secrets.get(pk=secret_id)
    except (KeySecret.DoesNotExist, OverflowError):
        raise NotFound from None


def teams_owned_by(actor: User) -> QuerySet[Group]:
    """Active teams for which the person may issue keys."""
    owned = GroupMembership.objects.filter(user=actor, team_role=GroupMembership.TeamRole.OWNER)
    return Group.objects.filter(pk__in=owned.values("group"), is_active=True, kind=Group.Kind.TEAM)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a key works now: ``code`` (active, expiring, expired, disabled, revoked, closed, old), its word, and why."""

    code: str
    word: str
    why: str = ""


def standing_of(key: ApiKey) -> Standing:
    """The one state a person needs to read, the hardest reason first."""
    at = now()
    if key.state != ApiKey.State.ACTIVE:
        return Standing(key.state, str(ApiKey.State(key.state).label), _reason(key))
    if key.expires_at and key.expires_at <= at:
        return Standing("expired", _("expired"), _("Its end has passed. Move the end or issue a new key."))
    if not any(is_living(secret, at) for secret in key.secrets.all()):
        return Standing("expired", _("no secret"), _("No secret of this key is valid. Rotate it to get one."))
    if key.route == ApiKey.Route.OLD:
        return Standing("old", _("old entry"), _("Calls are passed on to the old entry."))
    if key.route == ApiKey.Route.CLOSED:
        return Standing("closed", _("closed"), _("The entry does not accept this key."))
    if key.expires_at and key.expires_at <= at + timedelta(days=7):
        return Standing("expiring", _("ends soon"))
    return Standing("active", _("active"))


def _reason(key: ApiKey) -> str:
    if key.state == ApiKey.State.PAUSED and key.state_reason == "odd_spend":
        return _("Its spend rose far above its own usual. The alert shows the calls. Resume the key if the spend is meant.")
    return key.state_reason


def is_living(secret: KeySecret, at: datetime) -> bool:
    """Whether the secret is accepted at this time."""
    return secret.revoked_at is None and (secret.valid_until is None or secret.valid_until > at)


def models_for_payer(owner: User | None, team: Group | None) -> QuerySet[AIModel]:
    """Models that a key of this person or team may be limited to."""
    group = team or (owner.billing_group if owner else None)
    return callable_models([group.code, *group.usable_codes] if group else [])


def history_of(key: ApiKey) -> QuerySet[AuditEvent]:
    """What people did with the key, newest first. Ask for the key through ``key_for`` before."""
    return AuditEvent.objects.filter(object_type="keys.apikey", object_id=str(key.pk)).order_by("-at", "-id")
