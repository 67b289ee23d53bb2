"""Usage of an account or of the whole house, cut one way, over days of any time zone: each cut adds up to the ledger.

Everybody's usage is put together from the longest spans that fit (``billing.spans``), one account's from whole UTC days, both
with what is not folded yet; what another zone cuts out of the shortest span comes from the log itself. One statement, so one
snapshot: nothing is counted twice or never. Amounts are nano-USD.
"""

# ruff: noqa: S608  (the parts are constants of this file)

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection

from accounts.models import Group, User
from accounts.rights import may, require
from billing.counted import COUNTED_CALLS
from billing.selectors.statements import owned_teams
from billing.selectors.usage import OTHER, TOP_MODELS
from billing.spans import ACCOUNT_SPANS, HOUSE_SPANS, QUARTER, Run, cover, round_down, round_up
from billing.statements.months import start_of
from config.foundation.errors import InvalidInput, NotFound
from keys.models import ApiKey

RIGHT = "calls.search"
MOST_DAYS = 400
FIGURES = ("call_count", "failed_count", "input_tokens", "cached_tokens", "output_tokens", "cost_nano")
ORIGINS = {"here": ["relay"], "old": ["imported"], "both": ["relay", "imported"]}
_SUMS = ", ".join(f"billing_sum({name}) AS {name}" for name in FIGURES)
_NAMES = ", ".join(FIGURES)
# What the columns of the roll-ups are called in the log.
_LOG_COLUMNS = {
    "user_id": "coalesce(user_id, 0)",
    "key_id": "coalesce(key_id, 0)",
    "group_code": "group_code",
    "model_name": "billing_usage_model(billed_model, asked_model, outcome)",
    "modality": "modality",
}
# Of which column of the roll-ups a cut is made.
COLUMNS = {"member": "user_id", "key": "key_id", "team": "key_id", "group": "group_code", "model": "model_name",
           "modality": "modality"}  # fmt: skip
# What the house's roll-up by one measure calls a column; the other columns are in the one by person and key.
_HOUSE_CUTS = {"group_code": "group", "model_name": "model", "modality": "modality"}
_DAY = timedelta(days=1)
_INNER = "quarter_at >= %(inner_start)s AND quarter_at < %(inner_end)s AND origin = ANY (%(origins)s)"
# No row of a span's list is read together with another's: OFFSET 0 makes it a walk of the key for each, whatever the planner
# thinks of their number.
_SPANS = """unnest(%(span_days)s::date[], %(span_minutes)s::int[], %(span_lows)s::timestamptz[],
    %(span_highs)s::timestamptz[]) span (day, minutes, low, high)"""
_IN_SPAN = """t.minutes = span.minutes AND t.begins_at >= span.low AND t.begins_at < span.high
    AND t.origin = ANY (%(origins)s) OFFSET 0"""
_LOCAL = "(started_at AT TIME ZONE %(zone)s)::date, billing_usage_model(billed_model, asked_model, outcome)"
_EVERY_ROW = 2**31
CUTS = ("day", "model", "modality", "key", "group", "team", "member")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage: one person's, one team's, or everybody's when both are None."""

    user: User | None = None
    team: Group | None = None

    @property
    def is_all(self) -> bool:
        return self.user is None and self.team is None


@dataclass(frozen=True, slots=True)
class Period:
    """Days of a zone, both included, and the instants they lie between."""

    first: date
    last: date
    zone: str = "UTC"

    @property
    def start(self) -> datetime:
        return start_of(self.first, self.zone)

    @property
    def end(self) -> datetime:
        return start_of(self.last + timedelta(days=1), self.zone)

    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


@dataclass(slots=True)
class Line:
    """One row of a cut. ``value`` is what a link needs: the number of a key or person, a name, a day."""

    value: str
    label: str
    call_count: int = 0
    failed_count: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_nano: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of the cut, dearest first (days: newest first), the sum of rows that were left off, and the sum of all."""

    by: str
    rows: list[Line]
    total: Line
    others: Line
    others_count: int = 0


@dataclass(slots=True)
class Chart:
    """Cost by day, every day of the period, stacked by the dearest models and "other"."""

    days: list[date]
    models: list[str]
    by_model: dict[str, list[int]] = field(default_factory=dict)


def scope_for(actor: User, *, who: str = "", team: str = "") -> Scope:
    """``who``: "" for oneself, "all", or a user name; ``team``: the code of a team. NotFound for what is not the actor's."""
    if team:
        teams = Group.objects.filter(code=team) if may(actor, RIGHT) else owned_teams(actor).filter(code=team)
        found = teams.first()
        if found is None:
            raise NotFound
        return Scope(team=found)
    if who in ("", actor.username):
        return Scope(user=actor)
    if not may(actor, RIGHT):
        raise NotFound
    if who == "all":
        return Scope()
    person = User.objects.filter(username=who).first()
    if person is None:
        raise NotFound
    return Scope(user=person)


def usage_report(actor: User, scope: Scope, period: Period, by: str, origin: str = "here", most: int | None = None) -> Report:
    """The usage of a period cut one way; raises InvalidInput for a cut there is not or a period that is too long.

    With ``most`` only the dearest rows are named and the others are summed; days are never left off.
    """
    _check(actor, scope, period)
    if by not in CUTS or origin not in ORIGINS:
        raise InvalidInput("There is no such breakdown.", by=by)
    others, count = Line("", ""), 0
    if by == "day":
        rows = _by_day(scope, period, origin)
    else:
        rows, others, count = _by_value(scope, period, by, origin, most or _EVERY_ROW)
    return Report(by, rows, sum_of([*rows, others]), others, count)


def sum_of(lines: Iterable[Line]) -> Line:
    total = Line("", "")
    for line in lines:
        for name in FIGURES:
            setattr(total, name, getattr(total, name) + getattr(line, name))
    return total


def usage_chart(actor: User, scope: Scope, period: Period, origin: str = "here") -> Chart:
    _check(actor, scope, period)
    costs: dict[str, dict[date, int]] = {}
    calls: dict[str, int] = {}
    for day, model, *figures in _day_rows(scope, period, origin, with_model=True):
        costs.setdefault(model, {})[day] = costs.get(model, {}).get(day, 0) + figures[-1]
        calls[model] = calls.get(model, 0) + figures[0]
    ranked = sorted(costs, key=lambda model: (-sum(costs[model].values()), -calls[model], model))
    days = period.days()
    chart = Chart(days, ranked[:TOP_MODELS] + ([OTHER] if len(ranked) > TOP_MODELS else []))
    for model in ranked[:TOP_MODELS]:
        chart.by_model[model] = [costs[model].get(day, 0) for day in days]
    if len(ranked) > TOP_MODELS:
        chart.by_model[OTHER] = [sum(costs[model].get(day, 0) for model in ranked[TOP_MODELS:]) for day in days]
    return chart


def ledger_total(actor: User, scope: Scope, period: Period) -> int:
    """What the ledger charged for calls of the period, less what was given back of them: the figure every cut adds up to."""
    _check(actor, scope, period)
    whose = "a.user_id = %(user)s" if scope.user else "a.group_id = %(team)s" if scope.team else "true"
    sql = f"""SELECT coalesce(sum(amount_nano), 0)::bigint FROM (
        SELECT e.amount_nano FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.from_account_id
        WHERE e.kind = 'charge' AND e.effective_at >= %(start)s AND e.effective_at < %(end)s AND {whose}
        UNION ALL
        SELECT -e.amount_nano FROM (
            SELECT DISTINCT f.request_id FROM billing_callrefund f
            WHERE uuid7_time(f.request_id) >= %(start)s AND uuid7_time(f.request_id) < %(end)s
        ) f JOIN billing_ledgerentry e ON e.transaction_id = f.request_id AND e.kind = 'refund'
        JOIN billing_ledgeraccount a ON a.id = e.to_account_id WHERE {whose}
    ) x"""
    return int(_rows(sql, _values(scope, period, "here", _DAY))[0][0])


def _check(actor: User, scope: Scope, period: Period) -> None:
    if not 0 <= (period.last - period.first).days < MOST_DAYS:
        raise InvalidInput("A period has 1 to 400 days.")
    if scope.user is not None and scope.user.pk == actor.pk:
        return
    if scope.team is not None and owned_teams(actor).filter(pk=scope.team.pk).exists():
        return
    require(actor, RIGHT)


def _values(scope: Scope, period: Period, origin: str, grain: timedelta) -> dict[str, Any]:
    """What the statements name. The inner part is made of whole spans of the roll-up; without any, all comes from the log."""
    start, end = period.start.astimezone(UTC), period.end.astimezone(UTC)
    inner_start, inner_end = round_up(start, grain), round_down(end, grain)
    if inner_start >= inner_end:
        inner_start = inner_end = end
    days = (inner_end - inner_start) // _DAY
    return {
        "start": start,
        "end": end,
        "inner_start": inner_start,
        "inner_end": inner_end,
        "days": [inner_start.date() + timedelta(days=n) for n in range(days)],
        "user": scope.user.pk if scope.user else None,
        "team": scope.team.pk if scope.team else None,
        "keys": list(ApiKey.objects.filter(team=scope.team).values_list("pk", flat=True)) if scope.team else [],
        "origins": ORIGINS[origin],
        "zone": period.zone,
    }


def _whose(scope: Scope) -> str:
    if scope.user:
        return "user_id = %(user)s AND "
    return "key_id = ANY (%(keys)s) AND " if scope.team else ""


def _log(scope: Scope, span: str, keys: str) -> str:
    return f"SELECT {keys}, {_NAMES} FROM {COUNTED_CALLS} c WHERE {_whose(scope)}{span} AND origin = ANY (%(origins)s)"


def _edges(scope: Scope, values: dict[str, Any], column: str) -> list[str]:
    """The log before and after the inner part, where there is any."""
    spans = [("start", "inner_start"), ("inner_end", "end")]
    return [
        _log(scope, f"started_at >= %({low})s AND started_at < %({high})s", _LOG_COLUMNS[column])
        for low, high in spans
        if values[low] < values[high]
    ]


def _pending(scope: Scope, columns: str) -> str:
    return f"SELECT {columns}, {_NAMES} FROM billing_usagedelta WHERE {_whose(scope)}{_INNER}"


def _rolled(scope: Scope, column: str, values: dict[str, Any]) -> str:
    """The rows of the roll-up that has fewest of them for this cut."""
    if not scope.is_all:
        return f"""SELECT {column}, {_NAMES} FROM billing_usagecube
            WHERE {_whose(scope)}day_on = ANY (%(days)s::date[]) AND origin = ANY (%(origins)s)"""
    _name_spans(values, [(None, run) for run in cover(values["inner_start"], values["inner_end"], _lengths(column))])
    rows = f"SELECT {column}, {_NAMES} FROM billing_usageaccount t WHERE {_IN_SPAN}"
    if cut := _HOUSE_CUTS.get(column):
        rows = f"SELECT value, {_NAMES} FROM billing_usagehouse t WHERE t.cut = '{cut}' AND {_IN_SPAN}"
    return f"SELECT r.* FROM {_SPANS} CROSS JOIN LATERAL ({rows}) r"


def _lengths(column: str) -> tuple[int, ...]:
    return HOUSE_SPANS if column in _HOUSE_CUTS else ACCOUNT_SPANS


def _name_spans(values: dict[str, Any], runs: list[tuple[date | None, Run]]) -> None:
    values["span_days"] = [day for day, _run in runs]
    values["span_minutes"] = [run.minutes for _day, run in runs]
    values["span_lows"] = [run.low for _day, run in runs]
    values["span_highs"] = [run.high for _day, run in runs]


# What a row is called: the value for links, the name for people, and where the name is.
_CALLED = {
    "member": ("value::text", "coalesce(p.username, '')", "LEFT JOIN accounts_user p ON p.id = value"),
    "key": ("value::text", "coalesce(k.name || ' #' || k.id, '')", "LEFT JOIN keys_apikey k ON k.id = value"),
    "team": (
        "coalesce(g.code, '')",
        "coalesce(nullif(g.name, ''), g.code, '')",
        "LEFT JOIN accounts_group g ON g.id = value",
    ),
}


def _by_value(scope: Scope, period: Period, by: str, origin: str, most: int) -> tuple[list[Line], Line, int]:
    """The dearest rows, the sum of all others and their number. Names are looked up for the rows that are given only."""
    column = COLUMNS[by]
    values = _values(scope, period, origin, timedelta(minutes=_lengths(column)[0]) if scope.is_all else _DAY)
    values["most"] = most
    parts = [_rolled(scope, column, values), _pending(scope, column), *_edges(scope, values, column)]
    source = f"SELECT value, {_SUMS} FROM ({' UNION ALL '.join(parts)}) u (value, {_NAMES}) GROUP BY value"
    if by == "team":
        source = f"""SELECT coalesce(k.team_id, 0) AS value, {_SUMS} FROM ({source}) s LEFT JOIN
            (SELECT id, team_id FROM keys_apikey WHERE team_id IS NOT NULL) k ON k.id = value GROUP BY 1"""
    value, label, names = _CALLED.get(by, ("value", "value", ""))
    rows = _rows(
        f"""WITH ranked AS (
            SELECT value, {_NAMES}, row_number() OVER (ORDER BY cost_nano DESC, call_count DESC, value) AS place
            FROM ({source}) s
        )
        SELECT place, {value}, {label}, {_NAMES} FROM ranked {names} WHERE place <= %(most)s
        UNION ALL
        SELECT NULL, count(*)::text, '', {_SUMS} FROM ranked WHERE place > %(most)s
        ORDER BY 1""",
        values,
    )
    _place, count, _label, *figures = rows.pop()
    return [Line(*row[1:]) for row in rows], Line("", "", *figures), int(count)


def _by_day(scope: Scope, period: Period, origin: str) -> list[Line]:
    rows = {day: Line(day.isoformat(), day.isoformat()) for day in period.days()}
    for day, *figures in _day_rows(scope, period, origin, with_model=False):
        rows[day] = Line(day.isoformat(), day.isoformat(), *figures)
    return [rows[day] for day in sorted(rows, reverse=True)]


def _day_rows(scope: Scope, period: Period, origin: str, *, with_model: bool) -> list[tuple[Any, ...]]:
    """(day[, model], figures): from the roll-ups where their grain allows it, from the log where it does not."""
    borders = [start_of(day, period.zone).astimezone(UTC) for day in [*period.days(), period.last + _DAY]]
    if scope.is_all:
        values = _values(scope, period, origin, QUARTER)
        source = _house_days(period, borders, values)
    elif all(round_down(border, _DAY) == border for border in borders):
        values = _values(scope, period, origin, _DAY)
        pending = _pending(scope, "(quarter_at AT TIME ZONE 'UTC')::date, model_name")
        source = f"""SELECT day_on, model_name, {_NAMES} FROM billing_usagecube
            WHERE {_whose(scope)}day_on = ANY (%(days)s::date[]) AND origin = ANY (%(origins)s) UNION ALL {pending}"""
    else:
        values = _values(scope, period, origin, _DAY)
        source = _log(scope, "started_at >= %(start)s AND started_at < %(end)s", _LOCAL)
    names = "day, model_name" if with_model else "day"
    return _rows(f"SELECT {names}, {_SUMS} FROM ({source}) u (day, model_name, {_NAMES}) GROUP BY {names}", values)


def _house_days(period: Period, borders: list[datetime], values: dict[str, Any]) -> str:
    """Each of the zone's days from the spans within it; a quarter of an hour in which a day begins comes from the log."""
    days = zip(period.days(), pairwise(borders), strict=True)
    _name_spans(
        values,
        [
            (day, run)
            for day, (start, end) in days
            for run in cover(round_up(start, QUARTER), round_down(end, QUARTER), HOUSE_SPANS)
        ],
    )
    cut = sorted({round_down(border, QUARTER) for border in borders if round_down(border, QUARTER) != border})
    whole = "AND quarter_at <> ALL (%(cut)s::timestamptz[])" if cut else ""
    parts = [
        f"""SELECT span.day, r.* FROM {_SPANS} CROSS JOIN LATERAL (
            SELECT value, {_NAMES} FROM billing_usagehouse t WHERE t.cut = 'model' AND {_IN_SPAN}) r""",
        f"""SELECT (quarter_at AT TIME ZONE %(zone)s)::date, model_name, {_NAMES} FROM billing_usagedelta
        WHERE {_INNER} {whole}""",
    ]
    if cut:
        values["cut"] = cut
        values["low"] = [max(at, values["start"]) for at in cut]
        values["high"] = [min(at + QUARTER, values["end"]) for at in cut]
        parts.append(
            f"""SELECT e.* FROM unnest(%(low)s::timestamptz[], %(high)s::timestamptz[]) span (low, high) CROSS JOIN LATERAL (
            SELECT {_LOCAL}, {_NAMES} FROM {COUNTED_CALLS} c
            WHERE started_at >= low AND started_at < high AND origin = ANY (%(origins)s)) e"""
        )
    return " UNION ALL ".join(parts)


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
