"""Creative tasks and templates as people may see them.

A person sees what their own keys made, and what a team's key they use made; owners of a team and its content leads see all of
the team's; staff who may search calls see everybody's. The inner route is for operators.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from accounts.models import Group, GroupMembership, Role, User
from accounts.rights import may, require
from billing.models import CallRefund, HookDelivery
from billing.pricing import NoPrice
from config.foundation.clock import now
from config.foundation.errors import NotFound
from gateway.contract.tasks import asked_length, asked_size, video_hold
from gateway.models_tasks import MediaTask, TaskTemplate, TaskTemplateVersion
from gateway.selectors import current_snapshot
from keys.selectors import keys_for
from models_catalog.models import AIModel, UpstreamModel
from models_catalog.parameters import Problem, Wanted, problems

PAGE = 50
DECIDE = "tasks.decide"
SEARCH = "calls.search"
OPEN = "open"


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """What to look for; empty fields do not filter. ``state`` is a state or "open" for all that are not over."""

    kind: str = ""
    state: str = ""
    model: str = ""
    key_tail: str = ""
    task_id: str = ""
    failure_code: str = ""
    template: str = ""
    person: str = ""
    parameters_hash: str = ""
    since: datetime | None = None
    until: datetime | None = None
    team_id: int | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """``count`` and ``cost_nano`` are of everything the filters let through; ``next_before`` is "" on the last page."""

    rows: list[MediaTask]
    count: int
    cost_nano: int
    by_state: dict[str, int]
    next_before: str


def tasks_for(actor: User, filters: TaskFilters, before: str = "", limit: int = PAGE) -> TaskPage:
    """Newest first, with exact counts."""
    found = _filtered(_visible(actor), filters)
    by_state = dict(found.order_by().values_list("state").annotate(n=Count("pk")).values_list("state", "n"))
    cost = found.order_by().aggregate(sum=Sum("cost_nano"))["sum"] or 0
    place = _uuid(before)
    rows = list((found.filter(pk__lt=place) if place else found).select_related("user", "team")[: limit + 1])
    following = rows[limit - 1].pk.hex if len(rows) > limit else ""
    return TaskPage(rows[:limit], sum(by_state.values()), int(cost), by_state, following)


def all_tasks_for(actor: User, filters: TaskFilters) -> QuerySet[MediaTask]:
    """The same without pages, for a download."""
    return _filtered(_visible(actor), filters).select_related("user", "team", "upstream")


def task_for(actor: User, task_id: str | uuid.UUID) -> MediaTask:
    """One task; NotFound for a stranger's. A client's id ("video_...") is read too."""
    wanted = task_id if isinstance(task_id, uuid.UUID) else _uuid(task_id)
    task = (
        _visible(actor).select_related("user", "team", "upstream", "decided_by").filter(pk=wanted).first() if wanted else None
    )
    if task is None:
        raise NotFound
    return task


def callbacks_of(task: MediaTask) -> list[HookDelivery]:
    """What was told of a task's end, with every attempt; ask for the task through ``task_for`` before."""
    found = HookDelivery.objects.filter(subject_id=task.pk).select_related("endpoint").prefetch_related("tries")
    return list(found.order_by("created_at"))


def refunded_of(task: MediaTask) -> int:
    """Nano-USD of the task's charge that went back."""
    return int(CallRefund.objects.filter(request_id=task.pk).aggregate(sum=Sum("amount_nano"))["sum"] or 0)


def tasks_in_doubt(actor: User) -> QuerySet[MediaTask]:
    """Tasks nobody knows the state of: their money is held until somebody decides or the provider speaks again."""
    require(actor, DECIDE)
    found = MediaTask.objects.filter(state=MediaTask.State.UNKNOWN)
    return found.select_related("user", "team", "upstream").order_by("created_at")


def leads(actor: User, team: Group | None) -> bool:
    """Whether the person is an owner of the team, or a content lead who is in it."""
    if team is None or not actor.is_active:
        return False
    found = GroupMembership.objects.filter(user=actor, group=team, group__is_active=True)
    return found.exists() if actor.role == Role.CONTENT_LEAD else found.filter(team_role="owner").exists()


def teams_led_by(actor: User) -> QuerySet[Group]:
    found = GroupMembership.objects.filter(user=actor)
    if actor.role != Role.CONTENT_LEAD:
        found = found.filter(team_role=GroupMembership.TeamRole.OWNER)
    return Group.objects.filter(pk__in=found.values("group"), is_active=True, kind=Group.Kind.TEAM).order_by("name")


def templates_for(actor: User) -> QuerySet[TaskTemplate]:
    """Templates of the teams the person is in; staff who search calls see all."""
    found = TaskTemplate.objects.select_related("team").prefetch_related("versions__created_by").order_by("team__name", "name")
    return found if may(actor, SEARCH) else found.filter(team__memberships__user=actor)


def template_for(actor: User, template_id: int) -> TaskTemplate:
    template = templates_for(actor).filter(pk=template_id).first()
    if template is None:
        raise NotFound
    return template


def version_of(template: TaskTemplate, number: int | None = None) -> TaskTemplateVersion:
    """The newest version, or the one of this number; raises NotFound."""
    found = template.versions.filter(number=number) if number else template.versions.all()
    version = found.first()
    if version is None:
        raise NotFound
    return version


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one target says of a request. ``name`` is the target's place for those who do not see inner routes."""

    name: str
    is_described: bool
    problems: tuple[Problem, ...]

    @property
    def is_accepted(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Preflight:
    """Whether a request would be taken. ``estimate_nano``: what a video of this length would hold; None where not known."""

    model: str
    verdicts: tuple[Verdict, ...]
    estimate_nano: int | None = None

    @property
    def is_accepted(self) -> bool:
        return any(one.is_accepted for one in self.verdicts)


def preflight(actor: User, model_name: str, wanted: Wanted) -> Preflight:
    """What every target of a model says of a request, without a call and without cost. NotFound for a model not open to one."""
    if model_name not in media_models(actor):
        raise NotFound(_("There is no such image or video model, or it is not open to you."))
    sees_route = may(actor, "calls.inner_route")
    targets = UpstreamModel.objects.filter(model__name=model_name, upstream__state="enabled").select_related("upstream")
    verdicts = []
    for n, target in enumerate(targets.order_by("-upstream__priority", "pk"), 1):
        name = f"{target.upstream} · {target.upstream_name}" if sees_route else _("Target %(number)s") % {"number": n}
        verdicts.append(Verdict(name, bool(target.parameters), tuple(problems(target.parameters, wanted))))
    return Preflight(model_name, tuple(verdicts), _estimate(actor, model_name, wanted))


def media_models(actor: User) -> list[str]:
    """Names of image and video models the person may ask for: those of the groups that they and their teams belong to."""
    models = AIModel.objects.filter(is_active=True, modality__in=("image", "video"))
    if not may(actor, "catalog.manage"):
        codes = set(Group.objects.filter(memberships__user=actor).values_list("code", flat=True))
        if actor.billing_group_id:
            group = Group.objects.get(pk=actor.billing_group_id)
            codes |= {group.code, *group.usable_codes}
        codes |= {code for key in keys_for(actor) for code in ([key.group.code] if key.group else [])}
        models = models.filter(access__group_code__in=[*codes, "*"])
    return sorted(set(models.values_list("name", flat=True)))


def _estimate(actor: User, model_name: str, wanted: Wanted) -> int | None:
    model = AIModel.objects.get(name=model_name)
    group = actor.billing_group
    if model.modality != "video" or group is None:
        return None
    price = current_snapshot().prices.price_for(
        model_name=model_name, payer_group_code=group.code, used_group_code=group.code, at=now()
    )
    if price is None:
        return None
    fields: dict[str, Any] = dict(wanted.parameters)
    try:
        return video_hold(price, asked_length(fields, {}), asked_size(fields, {}))
    except (NoPrice, ValueError):
        return None


def _visible(actor: User) -> QuerySet[MediaTask]:
    found = MediaTask.objects.order_by("-pk")
    if may(actor, SEARCH):
        return found
    led = list(teams_led_by(actor).values_list("pk", flat=True))
    in_team = GroupMembership.objects.filter(user=actor).values("group")
    return found.filter(Q(user=actor) | Q(team__in=led) | Q(key__member=actor, team__in=in_team))


def _filtered(found: QuerySet[MediaTask], filters: TaskFilters) -> QuerySet[MediaTask]:
    exact = {
        "kind": filters.kind,
        "asked_model": filters.model,
        "key_tail": filters.key_tail,
        "failure_code": filters.failure_code,
        "parameters_hash": filters.parameters_hash,
        "user__username": filters.person,
        "team_id": filters.team_id,
    }
    found = found.filter(**{name: value for name, value in exact.items() if value not in ("", None)})
    if filters.state == OPEN:
        found = found.exclude(state__in=MediaTask.CLOSED)
    elif filters.state:
        found = found.filter(state=filters.state)
    if filters.task_id:
        wanted = _uuid(filters.task_id)
        found = found.filter(pk=wanted) if wanted else found.none()
    if filters.template:
        found = found.filter(
            template_id__in=list(TaskTemplate.objects.filter(name=filters.template).values_list("pk", flat=True))
        )
    if filters.since:
        found = found.filter(created_at__gte=filters.since)
    return found.filter(created_at__lt=filters.until) if filters.until else found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip().removeprefix("video_").removeprefix("image_"))
    except ValueError:
        return None
