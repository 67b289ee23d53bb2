"""Alerts as people may see them: one's own, those of teams one owns and keys one has; staff see all."""

import uuid
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, User
from accounts.rights import may, require
from billing.alerting.kinds import FACTS, wants_by_role
from billing.models import AlertChoice, AlertEvent, AlertKind, AlertRule, HookDelivery, HookEndpoint
from billing.models.alerts import OF_HOUSE
from config.foundation.errors import NotFound
from keys.models import ApiKey
from keys.services import may_manage

PAGE = 50


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """``is_all``: of everybody and the house, for staff. Empty fields do not filter."""

    is_all: bool = False
    kind: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class AlertPage:
    """``next_before`` is the event to ask for the next page with, "" on the last."""

    rows: list[AlertEvent]
    next_before: str


def alerts_for(actor: User, filters: AlertFilters, before: uuid.UUID | None = None, limit: int = PAGE) -> AlertPage:
    """Events newest first."""
    if filters.is_all:
        require(actor, "alerts.view")
    events = _visible(actor, is_all=filters.is_all)
    if filters.kind in AlertKind.values:
        events = events.filter(kind=filters.kind)
    if filters.phase in AlertEvent.Phase.values:
        events = events.filter(phase=filters.phase)
    mark = AlertEvent.objects.filter(pk=before).values_list("fired_at", "pk").first() if before else None
    if mark:
        events = events.filter(Q(fired_at__lt=mark[0]) | Q(fired_at=mark[0], pk__lt=mark[1]))
    rows = list(events[: limit + 1])
    return AlertPage(rows[:limit], rows[limit - 1].pk.hex if len(rows) > limit else "")


def alert_for(actor: User, event_id: str) -> AlertEvent:
    """One event; NotFound for a stranger's."""
    try:
        wanted = uuid.UUID(event_id)
    except ValueError:
        wanted = None
    event = _visible(actor, is_all=may(actor, "alerts.view")).filter(pk=wanted).first() if wanted else None
    if event is None:
        raise NotFound(_("There is no such alert, or you may not see it."))
    return event


def paused_key_of(actor: User, event: AlertEvent) -> ApiKey | None:
    """The key this alert has paused and that still is, when the actor may resume it."""
    key = ApiKey.objects.filter(pk=event.figures.get("key_id"), state=ApiKey.State.PAUSED).first()
    return key if key is not None and event.figures.get("is_paused") and may_manage(actor, key) else None


def owned_teams(actor: User) -> list[Group]:
    """Teams whose alerts the actor sets and gets."""
    owner = GroupMembership.TeamRole.OWNER
    return list(Group.objects.filter(memberships__user=actor, memberships__team_role=owner, is_active=True).order_by("name"))


def owned_team(actor: User, team_id: int) -> Group:
    found = next((team for team in owned_teams(actor) if team.pk == team_id), None)
    if found is None:
        raise NotFound
    return found


def rule_in_force(kind: str, *, user: User | None = None, group: Group | None = None, key: ApiKey | None = None) -> AlertRule:
    """The rule of this scope, or an unsaved one with the usual thresholds."""
    found = AlertRule.objects.filter(kind=kind, user=user, group=group, key=key).first()
    channels = list(AlertRule.Channel.values)
    return found or AlertRule(
        kind=kind, user=user, group=group, key=key, thresholds=list(FACTS[kind].thresholds), channels=channels
    )


def rules_for(actor: User) -> QuerySet[AlertRule]:
    """Rules one may change: one's own, of teams one owns and keys one has, and the house's for those who manage alerts."""
    teams = [team.pk for team in owned_teams(actor)]
    keys = ApiKey.objects.filter(Q(owner=actor) | Q(team__in=teams)).values_list("pk", flat=True)
    # Named by their numbers, so that three indexes find the rules among everybody's.
    mine = Q(user=actor) | Q(group__in=teams) | Q(key__in=list(keys))
    if may(actor, "alerts.manage"):
        mine |= Q(user=None, group=None, key=None)
    return AlertRule.objects.filter(mine).select_related("user", "group", "key").order_by("pk")


def rule_for(actor: User, rule_id: int) -> AlertRule:
    found = rules_for(actor).filter(pk=rule_id).first()
    if found is None:
        raise NotFound
    return found


def mail_choices(actor: User) -> dict[str, bool]:
    """Which mails about teams and the house the actor gets, chosen or suggested by the role, for kinds that concern them."""
    kinds: list[str] = []
    if may(actor, "alerts.view"):
        kinds = [*(kind for kind in OF_HOUSE if kind != AlertKind.DIFFERENCE or may(actor, "reconcile.view"))]
        kinds.append(AlertChoice.DIGEST)
    chosen = dict(AlertChoice.objects.filter(user=actor).values_list("kind", "by_mail"))
    return {kind: chosen.get(kind, wants_by_role(kind, actor.role)) for kind in kinds}


def hooks_for(actor: User) -> QuerySet[HookEndpoint]:
    """Own addresses, those of teams one owns, and the house's for those who manage alerts."""
    mine = Q(user=actor) | Q(group__in=[team.pk for team in owned_teams(actor)])
    if may(actor, "alerts.manage"):
        mine |= Q(user=None, group=None)
    return HookEndpoint.objects.filter(mine).select_related("user", "group").order_by("pk")


def hook_for(actor: User, endpoint_id: int) -> HookEndpoint:
    endpoint = hooks_for(actor).filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound(_("There is no such web hook, or it is not yours."))
    return endpoint


def delivery_of(endpoint: HookEndpoint, delivery_id: str) -> HookDelivery:
    """One delivery of an endpoint that the actor was given by ``hook_for``; NotFound for any other."""
    try:
        found = endpoint.deliveries.filter(pk=uuid.UUID(delivery_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound
    return found


def deliveries_of(endpoint: HookEndpoint, limit: int = 50) -> list[HookDelivery]:
    """The newest deliveries with their attempts; ask for the endpoint through ``hook_for`` before."""
    found = endpoint.deliveries.select_related("event").prefetch_related("tries").order_by("-created_at")
    return list(found[:limit])


def _visible(actor: User, *, is_all: bool) -> QuerySet[AlertEvent]:
    events = AlertEvent.objects.select_related("rule__user", "rule__group", "rule__key").order_by("-fired_at", "-pk")
    if is_all:
        return events
    teams = [team.pk for team in owned_teams(actor)]
    mine = Q(rule__user=actor) | Q(rule__key__owner=actor) | Q(rule__group__in=teams) | Q(rule__key__team__in=teams)
    return events.filter(mine)
