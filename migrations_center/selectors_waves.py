"""What pages and tasks read about plans and waves; pages give the actor, and a stranger is refused."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, OutboundMail, User
from accounts.rights import require
from billing.models import LedgerAccount, RequestLog
from config.foundation.clock import now
from config.foundation.errors import NotFound
from keys.models import ApiKey
from migrations_center.models import ImportedRow, Plan, Source, Wave, WaveEvent, WaveMember, WaveNotice
from migrations_center.services.switching import SWITCHED_ACTION
from migrations_center.services.wave_facts import KEY_TYPE, origin_of, people_of

VIEW = "migrations.view"
PAGE = 100
WEEK = timedelta(days=7)
# How long after going back late calls are looked for: longer than a hold can live.
LATE_DAYS = 2


@dataclass(frozen=True)
class PlanLine:
    """A plan with its people per place: unplanned, and per state of a wave."""

    plan: Plan
    waves: Sequence[Wave]
    people_count: int
    unplanned_count: int
    state_counts: dict[str, int]


@dataclass(frozen=True)
class MemberLine:
    """A member with what the page shows of them."""

    member: WaveMember
    keys: list[ApiKey]
    balance_nano: int
    calls_here: int = 0
    seen_at: datetime | None = None
    added_nano: int = 0


@dataclass(frozen=True)
class OutcomeLine:
    """One outcome: calls since the switch, and in the week before it."""

    outcome: str
    since: int
    before: int


@dataclass(frozen=True)
class CallsPanel:
    """Calls of the members by outcome since the switch beside the week before it, both routes."""

    since: datetime
    lines: list[OutcomeLine]
    total_since: int
    total_before: int
    charged_nano: int
    old_route_since: int
    notes: list[str] = field(default_factory=list)


def plans_for(actor: User) -> list[PlanLine]:
    require(actor, VIEW)
    return [plan_line(plan) for plan in Plan.objects.select_related("source__old_entry").order_by("pk")]


def plan_for(actor: User, plan_id: int) -> Plan:
    require(actor, VIEW)
    plan = Plan.objects.select_related("source__old_entry", "created_by").filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(_("There is no such plan."))
    return plan


def wave_for(actor: User, wave_id: int) -> Wave:
    require(actor, VIEW)
    wave = Wave.objects.select_related("plan__source__old_entry", "created_by").filter(pk=wave_id).first()
    if wave is None:
        raise NotFound(_("There is no such wave."))
    return wave


def plan_line(plan: Plan) -> PlanLine:
    waves = list(plan.waves.annotate(member_count=Count("members")).order_by("number"))
    states = {wave.pk: wave.state for wave in waves}
    live = WaveMember.objects.filter(wave__plan=plan).exclude(state=WaveMember.State.BACK)
    counts: dict[str, int] = defaultdict(int)
    for wave_id, number in live.values_list("wave_id").annotate(n=Count("pk")).order_by():
        counts[states[wave_id]] += number
    total = people_of(plan.source).count()
    planned = sum(counts.values())
    here = len(_people_here(plan.source))
    return PlanLine(plan, waves, total, max(0, total - planned - here), dict(counts))


def sources_without_plan(actor: User) -> QuerySet[Source]:
    """Sources whose people can be planned: an import was applied and no plan is there."""
    require(actor, VIEW)
    return Source.objects.filter(runs__state="applied", plans=None).distinct().order_by("name")


def waves_for(actor: User) -> QuerySet[Wave]:
    require(actor, VIEW)
    waves = Wave.objects.select_related("plan__source").annotate(member_count=Count("members"))
    return waves.order_by("plan_id", "number")


def waves_at_work() -> list[Wave]:
    """Waves that a worker has to go on with, for the task; newest last."""
    recent = now() - timedelta(days=LATE_DAYS)
    moving = Q(state__in=(Wave.State.SWITCHING, Wave.State.SWITCHED, Wave.State.GOING_BACK))
    return list(Wave.objects.filter(moving | Q(state=Wave.State.GONE_BACK, gone_back_at__gt=recent)).order_by("pk"))


def events_of(wave: Wave) -> list[WaveEvent]:
    """Newest first, each with the state's word in ``to_state_word``."""
    events = list(wave.events.order_by("-at", "-id"))
    for event in events:
        event.to_state_word = Wave.State(event.to_state).label  # type: ignore[attr-defined]
    return events


def find_people(
    actor: User,
    plan: Plan,
    *,
    text: str = "",
    group: str = "",
    state: str = "",
    keys: str = "",
    used_before: datetime | None = None,
    used_after: datetime | None = None,
    names: Collection[str] = (),
) -> QuerySet[User]:
    """People of the plan's source who are in no live wave, by filter. ``keys``: "none", "one", "some" (two or more)."""
    require(actor, VIEW)
    people = _unplanned(plan)
    if text:
        people = people.filter(Q(username__icontains=text) | Q(email__icontains=text) | Q(display_name__icontains=text))
    if group:
        people = people.filter(billing_group__code=group)
    if state in User.State.values:
        people = people.filter(state=state)
    if names:
        people = people.filter(Q(username__in=list(names)) | Q(pk__in=[int(name) for name in names if name.isdigit()]))
    if keys in ("none", "one", "some"):
        people = people.filter(key_count={"none": 0, "one": 1}[keys]) if keys != "some" else people.filter(key_count__gte=2)
    if used_before:
        people = people.filter(Q(used_at=None) | Q(used_at__lt=used_before))
    if used_after:
        people = people.filter(used_at__gte=used_after)
    return people.order_by("username")


def _unplanned(plan: Plan) -> QuerySet[Any]:
    """With ``key_count`` (keys of the source), ``used_at`` (last call) and ``brought_nano`` (balance brought)."""
    live = WaveMember.objects.filter(user=OuterRef("pk")).exclude(state=WaveMember.State.BACK)
    keys = ImportedRow.objects.filter(source=plan.source, target_type=KEY_TYPE).values_list("target_id", flat=True)
    theirs = ApiKey.objects.filter(owner=OuterRef("pk"), pk__in=[int(key_id) for key_id in keys]).order_by()
    last = RequestLog.objects.filter(user=OuterRef("pk")).order_by("-started_at", "-id").values("started_at")[:1]
    purses = LedgerAccount.objects.filter(user=OuterRef("pk"), origin=origin_of(plan.source), is_purse=True).order_by()
    return (
        people_of(plan.source)
        .exclude(pk__in=_people_here(plan.source))
        .exclude(Exists(live))
        .select_related("billing_group")
        .annotate(
            key_count=Coalesce(Subquery(theirs.values("owner").annotate(n=Count("pk")).values("n")), 0),
            used_at=Subquery(last),
            brought_nano=Subquery(purses.values("user").annotate(n=Sum("balance_nano")).values("n")),
        )
    )


def _people_here(source: Source) -> list[int]:
    """People of the source who stayed on the new entry when the plan was made: their purses can be spent, no wave did it."""
    spendable = LedgerAccount.objects.filter(origin=origin_of(source), is_purse=True, is_spendable=True, user__isnull=False)
    switched = WaveMember.objects.filter(state=WaveMember.State.SWITCHED).values("user_id")
    return list(spendable.exclude(user_id__in=switched).values_list("user_id", flat=True).distinct())


def groups_of(plan: Plan) -> list[str]:
    """Codes of the billing groups of the plan's people, for the filter."""
    codes = people_of(plan.source).exclude(billing_group=None).values_list("billing_group__code", flat=True)
    return sorted(set(codes))


def members_of(wave: Wave, *, after: str = "", limit: int = PAGE) -> tuple[list[MemberLine], str]:
    """Members by user name with keys, balance and calls since the switch, and the name the next page begins after."""
    members = _with_calls(wave.members.select_related("user__billing_group")).order_by("user__username")
    if after:
        members = members.filter(user__username__gt=after)
    rows = list(members[: limit + 1])
    shown = rows[:limit]
    more = shown[-1].user.username if len(rows) > limit else ""
    ids = [member.user_id for member in shown]
    keys, balances = _keys_by_owner(wave.plan.source, ids), _balances(wave.plan.source, ids)
    added = _added(shown)
    return [
        MemberLine(
            member,
            keys[member.user_id],
            balances.get(member.user_id, 0),
            member.calls_here,
            member.seen_at,
            added_nano=added.get(member.pk, 0),
        )
        for member in shown
    ], more


def _keys_by_owner(source: Source, user_ids: list[int]) -> dict[int, list[ApiKey]]:
    rows = ImportedRow.objects.filter(source=source, target_type=KEY_TYPE).values_list("target_id", flat=True)
    keys: dict[int, list[ApiKey]] = defaultdict(list)
    found = ApiKey.objects.filter(owner_id__in=user_ids, pk__in=[int(key_id) for key_id in rows])
    for key in found.prefetch_related("secrets").order_by("pk"):
        keys[key.owner_id or 0].append(key)
    return keys


def _balances(source: Source, user_ids: list[int]) -> dict[int, int]:
    purses = LedgerAccount.objects.filter(is_purse=True, origin=origin_of(source), user_id__in=user_ids).order_by()
    return {user_id: int(total) for user_id, total in purses.values_list("user_id").annotate(n=Sum("balance_nano"))}


def _with_calls(members: QuerySet[WaveMember]) -> QuerySet[Any]:
    """With ``calls_here`` (calls served here during the stay) and ``seen_at`` (the last of them)."""
    logs = RequestLog.objects.filter(
        user_id=OuterRef("user_id"),
        started_at__gte=OuterRef("switched_at"),
        started_at__lt=Coalesce(OuterRef("back_at"), now() + timedelta(days=1)),
        route="new",
        origin=RequestLog.Origin.RELAY,
    ).order_by()
    return members.annotate(
        calls_here=Coalesce(Subquery(logs.values("user_id").annotate(n=Count("id")).values("n")), 0),
        seen_at=Subquery(logs.values("user_id").annotate(at=Max("started_at")).values("at")),
    )


def _added(members: list[WaveMember]) -> dict[int, int]:
    """Per member who went back: what came into their brought purses during the stay, from the audit trail."""
    back = {str(member.pk): member for member in members if member.closed_nano is not None}
    events = AuditEvent.objects.filter(
        object_type=WaveMember._meta.label_lower, object_id__in=list(back), action=SWITCHED_ACTION
    )
    opened = {event.object_id: int(event.after.get("opening_nano", 0)) for event in events}
    return {member.pk: (member.opening_nano or 0) - opened[key] for key, member in back.items() if key in opened}


def unseen_count(wave: Wave) -> int:
    """Members on the new side whose first call here is still to come."""
    seen = RequestLog.objects.filter(
        user_id=OuterRef("user_id"), started_at__gte=OuterRef("switched_at"), route="new", origin=RequestLog.Origin.RELAY
    )
    return wave.members.filter(state=WaveMember.State.SWITCHED).exclude(Exists(seen)).count()


def totals_of(wave: Wave) -> dict[str, Any]:
    """Counts per member state and the sums of the statement columns, nano-USD."""
    states = dict(wave.members.order_by().values_list("state").annotate(n=Count("pk")))
    sums = wave.members.aggregate(
        opening=Sum("opening_nano"), spent=Sum("spent_nano"), closed=Sum("closed_nano"), first=Min("switched_at")
    )
    total = sum(states.values())
    moved = states.get("switched", 0) + states.get("back", 0)
    going_back = wave.state in (Wave.State.GOING_BACK, Wave.State.GONE_BACK)
    done = states.get("back", 0) if going_back else moved
    return {"states": states, "total": total, "done": done, **sums}


def calls_panel(wave: Wave) -> CallsPanel | None:
    """Calls by outcome since the switch beside the week before; None before the switch."""
    first = wave.members.aggregate(at=Min("switched_at"))["at"]
    if first is None:
        return None
    people = list(wave.members.exclude(switched_at=None).values_list("user_id", flat=True))
    logs = RequestLog.objects.filter(user_id__in=people)
    since = logs.filter(started_at__gte=first, origin=RequestLog.Origin.RELAY)
    before = _week_before(logs, first)
    now_by, then_by = _by_outcome(since), _by_outcome(before)
    figures = since.filter(route="new").aggregate(cost=Sum("cost_nano"))
    order = sorted(set(now_by) | set(then_by), key=lambda name: (name != "ok", -now_by.get(name, 0), name))
    return CallsPanel(
        since=first,
        lines=[OutcomeLine(name, now_by.get(name, 0), then_by.get(name, 0)) for name in order],
        total_since=sum(now_by.values()),
        total_before=sum(then_by.values()),
        charged_nano=int(figures["cost"] or 0),
        old_route_since=since.filter(route="old").count(),
    )


def _week_before(logs: QuerySet[RequestLog], first: datetime) -> QuerySet[RequestLog]:
    """History of the old gateway up to the first call that came through here, then the calls passed on from here:
    a later reading of the old database holds the passed-on calls once more."""
    window = logs.filter(started_at__gte=first - WEEK, started_at__lt=first)
    passed_on = window.filter(origin=RequestLog.Origin.RELAY).aggregate(at=Min("started_at"))["at"]
    if passed_on is None:
        return window
    history = Q(origin=RequestLog.Origin.IMPORTED, started_at__lt=passed_on)
    return window.filter(history | Q(origin=RequestLog.Origin.RELAY))


def _by_outcome(logs: QuerySet[RequestLog]) -> dict[str, int]:
    return dict(logs.order_by().values_list("outcome").annotate(n=Count("id")))


def notices_of(wave: Wave) -> dict[str, dict[str, int]]:
    """Per occasion: mails per delivery state, and people without an address."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    rows = WaveNotice.objects.filter(member__wave=wave).order_by().values_list("occasion", "mail__state")
    for occasion, state, number in rows.annotate(n=Count("pk")):
        counts[occasion][state or "no_address"] = number
    return dict(counts)


def notice_rows(wave: Wave, *, only_open: bool = False, limit: int = PAGE) -> list[WaveNotice]:
    """Notices with their mails, those that need a look first."""
    notices = WaveNotice.objects.filter(member__wave=wave).select_related("mail", "member__user")
    done = (OutboundMail.State.SENT, OutboundMail.State.CANCELLED)
    if only_open:
        notices = notices.exclude(mail__state__in=done)
    return list(notices.order_by(F("mail__sent_at").asc(nulls_first=True), "member__user__username")[:limit])


def blocker_of(line: PlanLine) -> tuple[str, Wave | None]:
    """The one thing that blocks a plan, as a code and the wave it concerns."""
    if not line.waves:
        return "no_wave", None
    for wave in line.waves:
        if wave.state == Wave.State.GOING_BACK:
            return "going_back", wave
        if wave.state in (Wave.State.DRAFT, Wave.State.READY, Wave.State.NOTIFIED):
            if not wave.member_count:  # type: ignore[attr-defined]
                return "empty", wave
            return wave.state, wave
        if wave.state in (Wave.State.SWITCHING, Wave.State.SWITCHED, Wave.State.OBSERVING):
            return wave.state, wave
    return ("unplanned", None) if line.unplanned_count else ("", None)
