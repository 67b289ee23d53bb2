"""Which keys a person may see."""

from django.db.models import Q, QuerySet

from accounts.models import Group, GroupMembership, User
from accounts.rights import may
from config.foundation.errors import NotFound
from keys.models import ApiKey, KeySecret


def keys_for(actor: User) -> QuerySet[ApiKey]:
    """The person's own keys and those of the person's teams, newest first, secrets at hand."""
    return (
        ApiKey.objects.filter(Q(owner=actor) | Q(team__memberships__user=actor, team__is_active=True))
        .distinct()
        .select_related("owner", "team")
        .prefetch_related("secrets")
    )


def keys_seen_by(actor: User) -> QuerySet[ApiKey]:
    """Every key for staff with ``keys.view``, otherwise the same as ``keys_for``."""
    if not may(actor, "keys.view"):
        return keys_for(actor)
    return ApiKey.objects.select_related("owner", "team").prefetch_related("secrets")


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
