"""Usage of an account or of the whole house, cut one way, over days of any time zone: each cut adds up to the ledger.

Whole UTC days, or whole hours where the roll-up has them, come from the roll-ups and what is not folded yet; what another zone
cuts out of such a day or hour comes from the log itself. One statement, so one snapshot: nothing is counted twice or never.
Amounts are nano-USD.
"""

# ruff: noqa: S608  (the parts are constants of this file)

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from accounts.models import Group, User
from accounts.rights import may, require
from billing.counted import COUNTED_CALLS
from billing.selectors.statements import owned_teams
from billing.selectors.usage import OTHER, TOP_MODELS
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
# The house's roll-ups: by UTC day, and by the hour under the name of a cut.
_HOUSE_DAILY = {"user_id": "billing_usagememberdaily", "key_id": "billing_usagekeydaily"}
_HOUSE_HOURLY = {"group_code": "group", "model_name": "model", "modality": "modality"}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS = "hour_at >= %(inner_start)s AND hour_at < %(inner_end)s AND origin = ANY (%(origins)s)"
_LOCAL = "(started_at AT TIME ZONE %(zone)s)::date, billing_usage_model(billed_model, asked_model, outcome)"
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
    """Every row of the cut, dearest first (days: newest first), and their sum."""

    by: str
    rows: list[Line]
    total: Line


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


def usage_report(actor: User, scope: Scope, period: Period, by: str, origin: str = "here") -> Report:
    """The usage of a period cut one way; raises InvalidInput for a cut there is not or a period that is too long."""
    _check(actor, scope, period)
    if by not in CUTS or origin not in ORIGINS:
        raise InvalidInput("There is no such breakdown.", by=by)
    rows = _by_day(scope, period, origin) if by == "day" else _by_value(scope, period, by, origin)
    total = Line("", "")
    for row in rows:
        for name in FIGURES:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return Report(by, rows, total)


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
    """What the statements name. The inner part is made of whole hours or UTC days; without any, all comes from the log."""
    start, end = period.start.astimezone(UTC), period.end.astimezone(UTC)
    inner_start, inner_end = -(-(start - _EPOCH) // grain) * grain + _EPOCH, (end - _EPOCH) // grain * grain + _EPOCH
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
    return f"""SELECT {columns}, {_NAMES} FROM billing_usagedelta WHERE {_whose(scope)}hour_at >= %(inner_start)s
        AND hour_at < %(inner_end)s AND origin = ANY (%(origins)s)"""


def _rolled(scope: Scope, column: str) -> str:
    """The rows of the roll-up that has fewest of them for this cut."""
    if not scope.is_all or column in _HOUSE_DAILY:
        table = _HOUSE_DAILY[column] if scope.is_all else "billing_usagecube"
        return f"""SELECT {column}, {_NAMES} FROM {table}
            WHERE {_whose(scope)}day_on = ANY (%(days)s::date[]) AND origin = ANY (%(origins)s)"""
    return f"SELECT value, {_NAMES} FROM billing_usagehourly WHERE {_HOURS} AND cut = '{_HOUSE_HOURLY[column]}'"


def _by_value(scope: Scope, period: Period, by: str, origin: str) -> list[Line]:
    column = COLUMNS[by]
    values = _values(scope, period, origin, _HOUR if scope.is_all and column in _HOUSE_HOURLY else _DAY)
    parts = [_rolled(scope, column), _pending(scope, column), *_edges(scope, values, column)]
    source = f"SELECT value, {_SUMS} FROM ({' UNION ALL '.join(parts)}) u (value, {_NAMES}) GROUP BY value"
    sql = {
        "member": f"SELECT value, coalesce(p.username, ''), {_NAMES} FROM ({source}) s "
        "LEFT JOIN accounts_user p ON p.id = value",
        "key": f"SELECT value, coalesce(k.name || ' #' || k.id, ''), {_NAMES} FROM ({source}) s "
        "LEFT JOIN keys_apikey k ON k.id = value",
        "team": f"SELECT coalesce(g.code, ''), coalesce(max(nullif(g.name, '')), g.code, ''), {_SUMS} FROM ({source}) s "
        "LEFT JOIN keys_apikey k ON k.id = value LEFT JOIN accounts_group g ON g.id = k.team_id GROUP BY g.code",
    }.get(by, f"SELECT value, value, {_NAMES} FROM ({source}) s")
    rows = _rows(f"{sql} ORDER BY cost_nano DESC, call_count DESC, 2, 1", values)
    return [Line(str(row[0]), str(row[1]), *row[2:]) for row in rows]


def _by_day(scope: Scope, period: Period, origin: str) -> list[Line]:
    rows = {day: Line(day.isoformat(), day.isoformat()) for day in period.days()}
    for day, *figures in _day_rows(scope, period, origin, with_model=False):
        rows[day] = Line(day.isoformat(), day.isoformat(), *figures)
    return [rows[day] for day in sorted(rows, reverse=True)]


def _day_rows(scope: Scope, period: Period, origin: str, *, with_model: bool) -> list[tuple[Any, ...]]:
    """(day[, model], figures): from the roll-ups where their grain allows it, from the log where it does not."""
    borders = [start_of(day, period.zone).astimezone(UTC) for day in [*period.days(), period.last + _DAY]]
    if scope.is_all:
        values = _values(scope, period, origin, _HOUR)
        source = _house_days(borders, values)
    elif all((border - _EPOCH) % _DAY == timedelta(0) for border in borders):
        values = _values(scope, period, origin, _DAY)
        pending = _pending(scope, "(hour_at AT TIME ZONE 'UTC')::date, model_name")
        source = f"""SELECT day_on, model_name, {_NAMES} FROM billing_usagecube
            WHERE {_whose(scope)}day_on = ANY (%(days)s::date[]) AND origin = ANY (%(origins)s) UNION ALL {pending}"""
    else:
        values = _values(scope, period, origin, _DAY)
        source = _log(scope, "started_at >= %(start)s AND started_at < %(end)s", _LOCAL)
    names = "day, model_name" if with_model else "day"
    return _rows(f"SELECT {names}, {_SUMS} FROM ({source}) u (day, model_name, {_NAMES}) GROUP BY {names}", values)


def _house_days(borders: list[datetime], values: dict[str, Any]) -> str:
    """Hours by the zone's days, but for hours in which a day begins: those come from the log."""
    cut = sorted({border - (border - _EPOCH) % _HOUR for border in borders if (border - _EPOCH) % _HOUR})
    hour = "(hour_at AT TIME ZONE %(zone)s)::date"
    whole = "AND hour_at <> ALL (%(cut)s::timestamptz[])" if cut else ""
    parts = [
        f"SELECT {hour}, value, {_NAMES} FROM billing_usagehourly WHERE {_HOURS} AND cut = 'model' {whole}",
        f"SELECT {hour}, model_name, {_NAMES} FROM billing_usagedelta WHERE {_HOURS} {whole}",
    ]
    if cut:
        values["cut"] = cut
        values["low"] = [max(at, values["start"]) for at in cut]
        values["high"] = [min(at + _HOUR, values["end"]) for at in cut]
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
