"""Compares what a data plane says it served with what was taken here: calls and tokens by upstream and hour of admission."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from gateway.models import DataPlane, PlaneTally

LONGEST = timedelta(days=31)
MOST_ROWS = 5_000
OURS_SQL = """
SELECT date_trunc('hour', l.started_at, 'UTC'), coalesce((l.attempts -> -1 ->> 'upstream')::bigint, 0), count(*),
       sum(l.input_tokens)::bigint, sum(l.output_tokens)::bigint
FROM gateway_planeevent e JOIN billing_requestlog l ON l.id = e.request_id AND l.started_at = uuid7_time(e.request_id)
WHERE e.plane_id = %s AND e.source = %s AND e.is_final AND e.status = 'accepted' AND e.reason NOT IN ('sweeper', 'too_late')
  AND l.started_at >= %s AND l.started_at < %s
GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One row of a data plane: ``channel_id`` 0 for calls that reached no upstream."""

    hour_at: datetime
    channel_id: int
    calls: int
    input_tokens: int
    output_tokens: int


def compare(plane: DataPlane, source: str, begin: datetime, end: datetime, rows: Sequence[Told]) -> dict[str, Any]:
    """Keep both sides' figures for every hour of ``begin`` to ``end`` and answer those that differ. Raises InvalidInput."""
    begin, end = _hour(begin), _hour(end)
    if not timedelta(0) < end - begin <= LONGEST or len(rows) > MOST_ROWS:
        raise InvalidInput("Ask for whole hours, at most 31 days and 5,000 rows at once.")
    theirs: dict[tuple[datetime, int], Told] = {}
    for row in rows:
        place = (_hour(row.hour_at), row.channel_id)
        if not begin <= place[0] < end or place in theirs:
            raise InvalidInput("Each hour and channel comes once, inside the asked time.")
        theirs[place] = row
    ours = _ours(plane, source, begin, end)
    moment = now()
    tallies = [_tally(plane, source, place, theirs.get(place), ours.get(place), moment) for place in sorted({*theirs, *ours})]
    PlaneTally.objects.bulk_create(
        tallies,
        update_conflicts=True,
        unique_fields=["plane", "source", "hour_at", "upstream_id"],
        update_fields=["told_calls", "told_input", "told_output", "our_calls", "our_input", "our_output", "told_at"],
    )
    return {"compared": len(tallies), "differences": [_shown(tally) for tally in tallies if not tally.agrees]}


def _ours(plane: DataPlane, source: str, begin: datetime, end: datetime) -> dict[tuple[datetime, int], tuple[int, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(OURS_SQL, [plane.pk, source, begin, end])
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in cursor.fetchall()}


def _tally(
    plane: DataPlane,
    source: str,
    place: tuple[datetime, int],
    told: Told | None,
    ours: tuple[int, int, int] | None,
    moment: datetime,
) -> PlaneTally:
    calls, given, output = ours or (0, 0, 0)
    return PlaneTally(
        plane=plane,
        source=source,
        hour_at=place[0],
        upstream_id=place[1],
        told_calls=told.calls if told else 0,
        told_input=told.input_tokens if told else 0,
        told_output=told.output_tokens if told else 0,
        our_calls=calls,
        our_input=given,
        our_output=output,
        told_at=moment,
    )


def _shown(tally: PlaneTally) -> dict[str, Any]:
    return {
        "hour_at": tally.hour_at.isoformat(),
        "channel_id": tally.upstream_id,
        "told": {"calls": tally.told_calls, "input_tokens": tally.told_input, "output_tokens": tally.told_output},
        "ours": {"calls": tally.our_calls, "input_tokens": tally.our_input, "output_tokens": tally.our_output},
    }


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
