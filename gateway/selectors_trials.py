"""Reads of trial lists: operators see all, members those of their teams."""

from django.db.models import Count, Q, QuerySet

from accounts.models import Group, User
from accounts.selectors import teams_for
from config.foundation.errors import NotFound
from gateway.models import TrialItem, TrialList
from gateway.services.trial_lists import may_check
from keys.models import ApiKey
from keys.selectors import keys_seen_by


def trials_for(actor: User) -> QuerySet[TrialList]:
    """With ``passed_count`` and ``item_count``; those on trial first."""
    passed = Count("items", filter=Q(items__state=TrialItem.State.PASSED))
    found = TrialList.objects.filter(team__in=teams_for(actor).values("pk")).select_related("team")
    return found.annotate(passed_count=passed, item_count=Count("items")).order_by("-state", "team__name")


def trial_for(actor: User, team_id: int) -> TrialList:
    """One list; raises NotFound for a stranger as for a team without one."""
    trial = trials_for(actor).filter(pk=team_id).select_related("team", "key", "asked_by").first()
    if trial is None:
        raise NotFound
    return trial


def items_of(trial: TrialList) -> list[TrialItem]:
    return list(trial.items.all())


def teams_without(actor: User) -> list[Group]:
    """Teams that may get a list."""
    return list(teams_for(actor).filter(trial_list=None, is_active=True)[:500])


def keys_for_checks(actor: User, trial: TrialList) -> list[ApiKey]:
    """The project's active test keys, for those who may have the checks made."""
    if not may_check(actor, trial):
        return []
    wanted = {"team_id": trial.pk, "purpose": ApiKey.Purpose.TEST, "state": ApiKey.State.ACTIVE, "route": ApiKey.Route.NEW}
    return list(keys_seen_by(actor).filter(**wanted)[:100])
