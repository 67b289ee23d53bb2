"""Usage from the roll-ups plus what is not folded into them yet, in one statement so that nothing is counted twice."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from accounts.models import User
from accounts.rights import may
from config.foundation.clock import now
from config.foundation.errors import NotFound

TOP_MODELS = 7
OTHER = "other"


@dataclass(slots=True)
class UsageDay:
    """One UTC day. ``by_model`` has nano-USD for the chart's models and for "other"."""

    day: date
    call_count: int = 0
    failed_count: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nano: int = 0
    by_model: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageChart:
    """Every day of the span, also those without calls, oldest first. ``models`` are the dearest, then "other" if any."""

    days: list[UsageDay]
    models: list[str]
    total: UsageDay


_BY_DAY = """
SELECT day_on, model_name, billing_sum(call_count), billing_sum(failed_count), billing_sum(input_tokens),
       billing_sum(cached_tokens), billing_sum(output_tokens), billing_sum(cost_nano)
FROM (
    SELECT day_on, model_name, call_count, failed_count, input_tokens, cached_tokens, output_tokens, cost_nano
    FROM billing_usagecube WHERE user_id = %(user)s AND day_on = ANY (%(days)s::date[])
    UNION ALL
    SELECT (quarter_at AT TIME ZONE 'UTC')::date, model_name, call_count, failed_count, input_tokens, cached_tokens,
           output_tokens, cost_nano
    FROM billing_usagedelta
    WHERE user_id = %(user)s AND quarter_at >= %(start)s AND quarter_at < %(end)s
) usage
GROUP BY 1, 2
"""


def usage_by_day(actor: User, user: User, days: int = 30) -> UsageChart:
    """The last ``days`` UTC days up to today, of oneself, or of anybody with the right ``calls.search``."""
    if actor.pk != user.pk and not may(actor, "calls.search"):
        raise NotFound
    last = now().astimezone(UTC).date()
    first = last - timedelta(days=max(1, min(days, 400)) - 1)
    by_day = {first + timedelta(days=n): UsageDay(first + timedelta(days=n)) for n in range((last - first).days + 1)}
    with connection.cursor() as cursor:
        cursor.execute(_BY_DAY, {"user": user.pk, "days": list(by_day), **_bounds(first, last)})
        rows = cursor.fetchall()
    costs: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for _day, model, calls, _failed, _input, _cached, _output, cost in rows:
        before = costs[model]
        costs[model] = (before[0] + cost, before[1] + calls)
    ranked = sorted(costs, key=lambda model: (*(-x for x in costs[model]), model))
    top = set(ranked[:TOP_MODELS])
    total = UsageDay(last)
    for day, model, *figures in rows:
        name = model if model in top else OTHER
        for target in (by_day[day], total):
            _add(target, name, figures)
    names = ranked[:TOP_MODELS] + ([OTHER] if len(ranked) > TOP_MODELS else [])
    return UsageChart(list(by_day.values()), names, total)


def _add(target: UsageDay, model: str, figures: list[int]) -> None:
    calls, failed, input_tokens, cached, output, cost = figures
    target.call_count += calls
    target.failed_count += failed
    target.input_tokens += input_tokens
    target.cached_tokens += cached
    target.output_tokens += output
    target.cost_nano += cost
    target.by_model[model] = target.by_model.get(model, 0) + cost


def _bounds(first: date, last: date) -> dict[str, datetime]:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return {"start": start, "end": datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)}
