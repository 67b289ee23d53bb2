"""Usage of an account or of the whole house, cut one way, over days of any time zone: each cut adds up to the ledger.

Whole UTC days come from the roll-ups and what is not folded yet; the two ends, which another zone cuts out of a UTC day, come
from the log itself. One statement, so one snapshot: nothing is counted twice or never. Amounts are nano-USD.
"""

# ruff: noqa: S608  (the parts are constants of this file)

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from accounts.models import Group, User
from accounts.rights import may, require
from billing.selectors.statements import owned_teams
from billing.selectors.usage import OTHER, TOP_MODELS
from billing.statements.months import start_of
from config.foundation.errors import InvalidInput, NotFound
from keys.models import ApiKey

RIGHT = "calls.search"
MOST_DAYS = 400
FIGURES = ("call_count", "failed_count", "input_tokens", "cached_tokens", "output_tokens", "cost_nano")
ORIGINS = {"here": ["relay"], "old": ["imported"], "both": ["relay", "imported"]}
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in FIGURES)
_NAMES = ", ".join(FIGURES)
_LOG_FIGURES = """1 AS call_count, CASE WHEN outcome <> 'ok' THEN 1 ELSE 0 END AS failed_count, input_tokens, cached_tokens,
    output_tokens, cost_nano"""
_KEYS = "user_id, key_id, group_code, model_name, modality"
_LOG_KEYS = """coalesce(user_id, 0) AS user_id, coalesce(key_id, 0) AS key_id, group_code,
    billing_usage_model(billed_model, asked_model, outcome) AS model_name, modality"""
# Of which column of the roll-ups a cut is made.
COLUMNS = {"member": "user_id", "key": "key_id", "team": "key_id", "group": "group_code", "model": "model_name",
           "modality": "modality"}  # fmt: skip
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
    """What the ledger charged for calls of the period: the figure every cut has to add up to."""
    _check(actor, scope, period)
    sql = """SELECT coalesce(sum(e.amount_nano), 0)::bigint FROM billing_ledgerentry e
        JOIN billing_ledgeraccount a ON a.id = e.from_account_id
        WHERE e.kind = 'charge' AND e.effective_at >= %(start)s AND e.effective_at < %(end)s"""
    if scope.user:
        sql += " AND a.user_id = %(user)s"
    elif scope.team:
        sql += " AND a.group_id = %(team)s"
    return int(_rows(sql, _values(scope, period, "here"))[0][0])


def _check(actor: User, scope: Scope, period: Period) -> None:
    if not 0 <= (period.last - period.first).days < MOST_DAYS:
        raise InvalidInput("A period has 1 to 400 days.")
    if scope.user is not None and scope.user.pk == actor.pk:
        return
    if scope.team is not None and owned_teams(actor).filter(pk=scope.team.pk).exists():
        return
    require(actor, RIGHT)


def _values(scope: Scope, period: Period, origin: str) -> dict[str, Any]:
    start, end = period.start, period.end
    first = start.date() + timedelta(days=1 if start != _midnight(start) else 0)
    last = end.date()
    inner = first < last
    return {
        "start": start,
        "end": end,
        # Whole UTC days are [first, last); without any, everything comes from the log.
        "first": first if inner else date.max,
        "last": last if inner else date.max,
        "inner_start": _utc(first) if inner else end,
        "inner_end": _utc(last) if inner else end,
        "user": scope.user.pk if scope.user else None,
        "team": scope.team.pk if scope.team else None,
        "keys": list(ApiKey.objects.filter(team=scope.team).values_list("pk", flat=True)) if scope.team else [],
        "origins": ORIGINS[origin],
        "zone": period.zone,
    }


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _whose(scope: Scope) -> str:
    if scope.user:
        return "user_id = %(user)s AND "
    return "key_id = ANY (%(keys)s) AND " if scope.team else ""


def _log(scope: Scope, span: str, keys: str = _LOG_KEYS) -> str:
    return f"SELECT {keys}, {_LOG_FIGURES} FROM billing_requestlog WHERE {_whose(scope)}{span} AND origin = ANY (%(origins)s)"


def _edges(scope: Scope) -> str:
    before = _log(scope, "started_at >= %(start)s AND started_at < %(inner_start)s")
    after = _log(scope, "started_at >= %(inner_end)s AND started_at < %(end)s")
    return f"{before} UNION ALL {after}"


def _pending(scope: Scope) -> str:
    return f"""SELECT {_KEYS}, {_NAMES} FROM billing_usagedelta WHERE {_whose(scope)}hour_at >= %(inner_start)s
        AND hour_at < %(inner_end)s AND origin = ANY (%(origins)s)"""


def _by_value(scope: Scope, period: Period, by: str, origin: str) -> list[Line]:
    column = COLUMNS[by]
    if scope.is_all and column == "key_id":
        rolled = f"""SELECT key_id::text, {_NAMES} FROM billing_usagekeydaily
            WHERE day_on >= %(first)s AND day_on < %(last)s AND origin = ANY (%(origins)s)"""
    elif scope.is_all:
        rolled = f"""SELECT value, {_NAMES} FROM billing_usagepart
            WHERE cut = '{by}' AND day_on >= %(first)s AND day_on < %(last)s AND origin = ANY (%(origins)s)"""
    else:
        rolled = f"""SELECT {column}::text, {_NAMES} FROM billing_usagecube
            WHERE {_whose(scope)}day_on >= %(first)s AND day_on < %(last)s AND origin = ANY (%(origins)s)"""
    source = f"""SELECT value, {_SUMS} FROM ({rolled} UNION ALL
        SELECT {column}::text, {_NAMES} FROM ({_pending(scope)}) pending UNION ALL
        SELECT {column}::text, {_NAMES} FROM ({_edges(scope)}) edges) u (value, {_NAMES}) GROUP BY value"""
    sql = {
        "member": f"SELECT value, coalesce(p.username, ''), {_NAMES} FROM ({source}) s "
        "LEFT JOIN accounts_user p ON p.id = s.value::bigint",
        "key": f"SELECT value, coalesce(k.name || ' #' || k.id, ''), {_NAMES} FROM ({source}) s "
        "LEFT JOIN keys_apikey k ON k.id = s.value::bigint",
        "team": f"SELECT coalesce(g.code, ''), coalesce(max(nullif(g.name, '')), g.code, ''), {_SUMS} FROM ({source}) s "
        "LEFT JOIN keys_apikey k ON k.id = s.value::bigint LEFT JOIN accounts_group g ON g.id = k.team_id GROUP BY g.code",
    }.get(by, f"SELECT value, value, {_NAMES} FROM ({source}) s")
    rows = _rows(f"{sql} ORDER BY cost_nano DESC, call_count DESC, 2, 1", _values(scope, period, origin))
    return [Line(str(row[0]), str(row[1]), *(int(figure) for figure in row[2:])) for row in rows]


def _by_day(scope: Scope, period: Period, origin: str) -> list[Line]:
    rows = {day: Line(day.isoformat(), day.isoformat()) for day in period.days()}
    for day, *figures in _day_rows(scope, period, origin, with_model=False):
        rows[day] = Line(day.isoformat(), day.isoformat(), *figures)
    return [rows[day] for day in sorted(rows, reverse=True)]


def _day_rows(scope: Scope, period: Period, origin: str, *, with_model: bool) -> list[tuple[Any, ...]]:
    """(day[, model], figures): from the roll-ups where their grain allows it, from the log where it does not."""
    values = _values(scope, period, origin)
    local = """(started_at AT TIME ZONE %(zone)s)::date AS day,
        billing_usage_model(billed_model, asked_model, outcome) AS model_name"""
    if period.start == _midnight(period.start) and all(start_of(day, period.zone) == _utc(day) for day in period.days()):
        rolled = "billing_usagehourly" if scope.is_all else "billing_usagecube"
        day = "(hour_at AT TIME ZONE 'UTC')::date" if scope.is_all else "day_on"
        span = "hour_at >= %(start)s AND hour_at < %(end)s" if scope.is_all else "day_on >= %(first)s AND day_on < %(last)s"
        source = f"""SELECT {day} AS day, model_name, {_NAMES} FROM {rolled}
            WHERE {_whose(scope)}{span} AND origin = ANY (%(origins)s) UNION ALL
            SELECT (hour_at AT TIME ZONE 'UTC')::date, model_name, {_NAMES} FROM billing_usagedelta
            WHERE {_whose(scope)}hour_at >= %(start)s AND hour_at < %(end)s AND origin = ANY (%(origins)s)"""
    elif scope.is_all and all(start_of(day, period.zone).minute == 0 for day in [*period.days(), period.last]):
        source = " UNION ALL ".join(
            f"""SELECT (hour_at AT TIME ZONE %(zone)s)::date AS day, model_name, {_NAMES} FROM {table}
            WHERE hour_at >= %(start)s AND hour_at < %(end)s AND origin = ANY (%(origins)s)"""
            for table in ("billing_usagehourly", "billing_usagedelta")
        )
    else:
        source = _log(scope, "started_at >= %(start)s AND started_at < %(end)s", local)
    names = "day, model_name" if with_model else "day"
    rows = _rows(f"SELECT {names}, {_SUMS} FROM ({source}) u GROUP BY {names}", values)
    return [(*row[: 2 if with_model else 1], *(int(figure) for figure in row[2 if with_model else 1 :])) for row in rows]


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
