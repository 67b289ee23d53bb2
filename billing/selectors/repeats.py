"""Calls that are the same call again, by hand or by a client's retry, seen as one case with the sum of what they cost (R041).

Same key, same model, same body, each within five minutes of the one before. Rows of an old gateway carry no body: they are
told by their figures, and only where those are telling.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from billing.models import RequestLog
from billing.selectors.calls import call_detail

# The longest pause between two calls of a case.
GAP = timedelta(minutes=5)
# How far a case is followed beyond the calls in hand, and how many rows are looked at for it.
REACH = timedelta(hours=1)
MOST_ROWS = 5_000
# An imported call with fewer input tokens says too little of itself.
TELLING_TOKENS = 20
LEAST = 2


@dataclass(frozen=True, slots=True)
class Repeat:
    """A case. ``cost_nano`` is the sum charged; ``ids`` newest first; ``is_by_figures``: told by figures, not by the body."""

    ids: tuple[UUID, ...]
    cost_nano: int
    failed_count: int
    first_at: datetime
    last_at: datetime
    is_by_figures: bool

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def told_by(self) -> str:
        return "figures" if self.is_by_figures else "body"

    @property
    def newest(self) -> UUID:
        return self.ids[0]


def repeats_among(rows: Sequence[RequestLog]) -> dict[UUID, Repeat]:
    """For each of these calls that belongs to a case, the case; whether they may be seen has been decided."""
    wanted = [row for row in rows if _mark(row) is not None]
    if not wanted:
        return {}
    around = RequestLog.objects.filter(
        started_at__gte=min(row.started_at for row in wanted) - REACH,
        started_at__lte=max(row.started_at for row in wanted) + REACH,
        key_id__in={row.key_id for row in wanted},
    )
    digests = {row.body_digest for row in wanted if row.body_digest is not None}
    by_figures = Q(body_digest=None, origin=RequestLog.Origin.IMPORTED, input_tokens__gte=TELLING_TOKENS)
    told = Q(body_digest__in=digests)
    if any(row.body_digest is None for row in wanted):
        told |= by_figures
    found = around.filter(told).order_by("-started_at", "-id")
    marks = {_mark(row) for row in wanted}
    grouped: defaultdict[Hashable, list[RequestLog]] = defaultdict(list)
    fields = (
        "id", "started_at", "key_id", "asked_model", "body_digest", "origin", "endpoint", "input_tokens", "image_count",
        "media_size", "outcome", "cost_nano",
    )  # fmt: skip
    for row in found.only(*fields)[:MOST_ROWS]:
        if _mark(row) in marks:
            grouped[_mark(row)].append(row)
    cases: dict[UUID, Repeat] = {}
    for same in grouped.values():
        for case in _in_time(same):
            cases |= dict.fromkeys(case.ids, case)
    return {row.id: cases[row.id] for row in wanted if row.id in cases}


def fold(rows: Sequence[RequestLog]) -> list[RequestLog]:
    """The rows with one line for each case: the newest call in hand, the case on it as ``repeat``."""
    cases = repeats_among(rows)
    shown: list[RequestLog] = []
    seen: set[UUID] = set()
    for row in rows:
        case = cases.get(row.id)
        row.repeat = case  # type: ignore[attr-defined]
        if case is not None and case.newest in seen:
            continue
        if case is not None:
            seen.add(case.newest)
        shown.append(row)
    return shown


def repeat_of(actor: User, request_id: str | UUID) -> tuple[Repeat, list[RequestLog]] | None:
    """The case a call belongs to with its calls, newest first; None when it stands alone. Raises NotFound as the call does."""
    call = call_detail(actor, request_id)
    case = repeats_among([call]).get(call.id)
    if case is None:
        return None
    calls = RequestLog.objects.filter(id__in=case.ids, started_at__gte=case.first_at, started_at__lte=case.last_at)
    return case, list(calls.select_related("user").defer("attempts").order_by("-started_at", "-id"))


def alone(call: RequestLog) -> tuple[Repeat, list[RequestLog]]:
    """A call that was not made again, as a case of one."""
    failed, at = int(call.outcome != "ok"), call.started_at
    return Repeat((call.id,), call.cost_nano, failed, at, at, is_by_figures=call.body_digest is None), [call]


def _mark(row: RequestLog) -> Hashable | None:
    """What is equal for the same call again; None for calls that say too little of themselves."""
    if row.key_id is None or not row.asked_model:
        return None
    if row.body_digest is not None:
        return (row.key_id, row.asked_model, row.body_digest)
    if row.origin != RequestLog.Origin.IMPORTED or row.input_tokens < TELLING_TOKENS:
        return None
    return (row.key_id, row.asked_model, "figures", row.endpoint, row.input_tokens, row.image_count, row.media_size)


def _in_time(same: list[RequestLog]) -> list[Repeat]:
    """Calls with one mark, newest first, cut where the pause is too long."""
    runs: list[list[RequestLog]] = []
    for row in same:
        if runs and runs[-1][-1].started_at - row.started_at <= GAP:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [
        Repeat(
            ids=tuple(row.id for row in run),
            cost_nano=sum(row.cost_nano for row in run),
            failed_count=sum(row.outcome != "ok" for row in run),
            first_at=run[-1].started_at,
            last_at=run[0].started_at,
            is_by_figures=run[0].body_digest is None,
        )
        for run in runs
        if len(run) >= LEAST
    ]
