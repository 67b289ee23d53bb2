"""Which limits of calls concern a key or a person."""

from django.db.models import Q, QuerySet

from accounts.models import Group, User
from keys.models import ApiKey, CallLimit, UseProfile


def call_limits_on(key: ApiKey) -> QuerySet[CallLimit]:
    """Every limit that a call with this key has to fit in, whoever set it; the same choice as the relay's.

    No rights are looked at: ask for keys the actor may see.
    """
    wanted = Q(key=key)
    if key.profile_id is not None:
        wanted |= Q(profile=key.profile_id)
    if key.team_id is not None:
        wanted |= Q(group=key.team_id, user=None)
        if key.member_id is not None:
            wanted |= Q(group=key.team_id, user=key.member_id)
    elif key.owner is not None:
        wanted |= Q(user=key.owner, group=None)
        if key.owner.billing_group_id is not None:
            wanted |= Q(group=key.owner.billing_group_id, user=None)
    return CallLimit.objects.filter(wanted).select_related("group", "user", "profile").order_by("-key_id", "pk")


def call_limit_of(*, key: ApiKey | None = None, user: User | None = None, group: Group | None = None) -> CallLimit | None:
    """The one limit of a key, a person, a group, or (both) a member. No rights are looked at."""
    return CallLimit.objects.filter(key=key, user=user, group=group, profile=None).first()


def call_limit_of_profile(profile: UseProfile) -> CallLimit | None:
    """What all keys of a use profile share. No rights are looked at."""
    return CallLimit.objects.filter(profile=profile).first()


def call_limits_at_home(person: User) -> list[CallLimit]:
    """Limits on the person, on the group that pays for the person's own keys, and as a member of teams."""
    wanted = Q(user=person) | Q(group=person.billing_group_id or 0, user=None)
    return list(CallLimit.objects.filter(wanted).select_related("group").order_by("pk"))


def member_call_limits(team: Group) -> dict[int, CallLimit]:
    """Limits of the members of a team, by person. No rights are looked at."""
    return {row.user_id: row for row in CallLimit.objects.filter(group=team, user__isnull=False) if row.user_id is not None}
