"""Finding calls: by position (never by page number), always bounded in time, inner routes for operators only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.rights import may
from billing.models import CallRefund, RequestLog
from config.foundation.clock import now
from config.foundation.errors import NotFound
from config.foundation.ids import uuid7_time
from keys.models import ApiKey

DEFAULT_SPAN = timedelta(days=7)
FAILED = "failed"
MOST_WALKS = 40
# The year 9999.
LAST_MILLISECOND = 253_370_764_800_000


@dataclass(frozen=True, slots=True)
class CallFilters:
    """What to look for. Without ``since`` the last seven days; a ``request_id`` (hex or with dashes) needs no time.

    ``outcome`` is one of the outcomes, or "failed" for all but ok.
    """

    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    key_tail: str = ""
    key_id: int | None = None
    model: str = ""
    outcome: str = ""
    http_status: int | None = None
    group_code: str = ""
    user_id: int | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class CallPage:
    """``next_before`` is what to ask for the next page with, "" on the last one."""

    rows: list[RequestLog]
    next_before: str


def calls_for(actor: User, filters: CallFilters, before: str | UUID | None = None, limit: int = 50) -> CallPage:
    """Calls the actor may see, newest first; ``before`` is the id of the last call seen."""
    limit = max(1, min(limit, 200))
    base = _filtered(filters)
    position = parse_request_id(before) if before else None
    if base is None or (before and position is None):
        return CallPage([], "")
    if position:
        # The time is inside the id: the row comparison finds the place in the index, the bound spares later partitions.
        base = base.filter(started_at__lte=uuid7_time(position)).extra(  # noqa: S610
            where=["(billing_requestlog.started_at, billing_requestlog.id) < (uuid7_time(%s), %s)"],
            params=[position, position],
        )
    ids = _newest(actor, base, limit + 1)
    found = _rows(actor, ids[:limit])
    return CallPage(found, ids[limit - 1][1].hex if len(ids) > limit else "")


def call_detail(actor: User, request_id: str | UUID) -> RequestLog:
    """One call; raises NotFound for an unknown one and for somebody else's. ``attempts`` are empty without the right."""
    wanted = parse_request_id(request_id)
    if wanted is None:
        raise NotFound
    query = RequestLog.objects.filter(id=wanted, started_at=uuid7_time(wanted)).select_related("user", "key")
    call = query.first()
    if call is None or not _may_see(actor, call):
        raise NotFound
    return _as_seen_by(actor, call)


def refunds_of_call(actor: User, call: RequestLog) -> list[CallRefund]:
    """What was given back for a call that the actor may see, oldest first."""
    if not _may_see(actor, call):
        raise NotFound
    return list(CallRefund.objects.filter(request_id=call.id).order_by("pk"))


def _as_seen_by(actor: User, call: RequestLog) -> RequestLog:
    """Without what only operators see: the inner route, and the served name where the house keeps it to itself."""
    if may(actor, "calls.inner_route"):
        return call
    call.attempts = []
    if not settings.SHOW_SERVED_MODEL:
        call.served_model = ""
        if "fallback" in call.price_detail:
            shown = {name: value for name, value in call.price_detail["fallback"].items() if name != "model"}
            call.price_detail = {**call.price_detail, "fallback": shown}
    return call


def parse_request_id(text: str | UUID) -> UUID | None:
    """The id in what a person pasted, or None."""
    try:
        value = text if isinstance(text, UUID) else UUID(text.strip())
    except ValueError:
        return None
    # Only such ids carry a time, of a year that can be; another one cannot be ours.
    return value if value.version == 7 and value.int >> 80 < LAST_MILLISECOND else None


def _team_key_ids(actor: User) -> list[int]:
    return list(ApiKey.objects.filter(team__memberships__user=actor).values_list("pk", flat=True).distinct())


def _may_see(actor: User, call: RequestLog) -> bool:
    if may(actor, "calls.search") or call.user_id == actor.pk:
        return True
    return bool(call.key_id and ApiKey.objects.filter(pk=call.key_id, team__memberships__user=actor).exists())


def _filtered(filters: CallFilters) -> "QuerySet[RequestLog] | None":
    query = RequestLog.objects.all()
    if filters.request_id:
        wanted = parse_request_id(filters.request_id)
        if wanted is None:
            return None
        return query.filter(id=wanted, started_at=uuid7_time(wanted))
    until = filters.until or now() + timedelta(minutes=5)
    since = filters.since or until - DEFAULT_SPAN
    conditions = Q(started_at__gte=since, started_at__lt=until)
    exact = {
        "key_tail": filters.key_tail,
        "key_id": filters.key_id,
        "asked_model": filters.model,
        "http_status": filters.http_status,
        "group_code": filters.group_code,
        "user_id": filters.user_id,
        "origin": filters.origin,
    }
    conditions &= Q(**{name: value for name, value in exact.items() if value not in ("", None)})
    if filters.outcome == FAILED:
        conditions &= ~Q(outcome="ok")
    elif filters.outcome:
        conditions &= Q(outcome=filters.outcome)
    return query.filter(conditions)


def _newest(actor: User, base: "QuerySet[RequestLog]", limit: int) -> list[tuple[datetime, UUID]]:
    """Times and ids of the newest calls the actor may see, newest first."""

    def top(query: "QuerySet[RequestLog]") -> "QuerySet[RequestLog, tuple[datetime, UUID]]":
        return query.order_by("-started_at", "-id").values_list("started_at", "id")[:limit]

    if may(actor, "calls.search"):
        return list(top(base))
    # One walk down an index for oneself and one per key of the person's teams: an OR would use neither index.
    keys = _team_key_ids(actor)
    walks = [top(base.filter(key_id=key_id)) for key_id in keys[:MOST_WALKS]]
    if keys[MOST_WALKS:]:
        walks.append(top(base.filter(key_id__in=keys[MOST_WALKS:])))
    own = top(base.filter(user_id=actor.pk))
    return list(own.union(*walks).order_by("-started_at", "-id")[:limit]) if walks else list(own)


def _rows(actor: User, ids: list[tuple[datetime, UUID]]) -> list[RequestLog]:
    if not ids:
        return []
    times = [moment for moment, _id in ids]
    query = RequestLog.objects.filter(
        id__in=[value for _moment, value in ids], started_at__gte=min(times), started_at__lte=max(times)
    )
    rows = list(query.select_related("user", "key").defer("attempts", "price_detail").order_by("-started_at", "-id"))
    for row in rows:
        row.attempts, row.price_detail = [], {}
    return [_as_seen_by(actor, row) for row in rows]
