"""Which use profiles a person may see, and what follows them."""

from django.db.models import Count, Q, QuerySet

from accounts.models import Group, User
from accounts.rights import may
from config.foundation.errors import NotFound
from keys.models import ApiKey, UseProfile
from keys.selectors import keys_seen_by, models_for_payer, teams_owned_by
from models_catalog.models import AIModel


def profiles_for(actor: User) -> QuerySet[UseProfile]:
    """The house's profiles and those of the person's teams; every one for staff with ``keys.view``. With ``key_count``: how
    many keys that still work follow it."""
    found = UseProfile.objects.select_related("team").annotate(
        key_count=Count("keys", filter=~Q(keys__state=ApiKey.State.REVOKED), distinct=True)
    )
    if may(actor, "keys.view"):
        return found
    return found.filter(Q(team=None) | Q(team__memberships__user=actor, team__is_active=True))


def profile_for(actor: User, profile_id: int) -> UseProfile:
    """One profile the person may see; raises NotFound."""
    try:
        return profiles_for(actor).get(pk=profile_id)
    except (UseProfile.DoesNotExist, OverflowError):
        raise NotFound from None


def followers_of(actor: User, profile: UseProfile) -> QuerySet[ApiKey]:
    """Keys that follow the profile and that the person may see, the revoked ones left out."""
    return keys_seen_by(actor).filter(profile=profile).exclude(state=ApiKey.State.REVOKED).order_by("name", "pk")


def keys_to_bind(actor: User, profile: UseProfile) -> QuerySet[ApiKey]:
    """Keys of the profile's team that follow none or another one; for a profile of the house the person's own keys."""
    whose = Q(team=profile.team) if profile.team_id else Q(owner=actor)
    keys = keys_seen_by(actor).filter(whose).exclude(profile=profile).exclude(state=ApiKey.State.REVOKED)
    return keys.order_by("name", "pk")


def teams_to_keep(actor: User) -> QuerySet[Group]:
    """Teams whose profiles the person keeps."""
    if may(actor, "keys.manage"):
        return Group.objects.filter(is_active=True, kind=Group.Kind.TEAM).order_by("code")
    return teams_owned_by(actor).order_by("code")


def models_to_offer(actor: User) -> list[str]:
    """Names a person may put into a profile: every model for operators, else what the person and the person's teams call."""
    if may(actor, "keys.manage"):
        return list(AIModel.objects.filter(is_active=True).order_by("name").values_list("name", flat=True))
    names = set(models_for_payer(actor, None).values_list("name", flat=True))
    for team in teams_owned_by(actor):
        names |= set(models_for_payer(None, team).values_list("name", flat=True))
    return sorted(names)
