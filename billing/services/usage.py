"""Roll-ups of the request log: folding what calls added, and counting again from the log.

Both take rows of a quarter of an hour, person, key, group, model, modality and origin into a temporary table, add them up once
for each roll-up, and put all roll-ups in one transaction, so that none is ahead of another. Rows of a longer span are added up
from those of the next shorter one.
"""

# ruff: noqa: S608  (the parts are constants)

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection, transaction

from billing.counted import COUNTED_CALLS
from billing.spans import ACCOUNT_SPANS, DAY, HOUSE_SPANS, bin_of, round_down

# Only one worker folds or counts at a time; who comes second has nothing to do.
_LOCK = "hashtext('billing_usage')"
# Enough to add up a whole round in memory, and each row found by its key, however large the roll-up is by then.
_SETTINGS = "SET LOCAL work_mem = '128MB'; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"

_NAMES = ("call_count", "failed_count", "input_tokens", "cached_tokens", "output_tokens", "cost_nano")
_FIGURES = ", ".join(_NAMES)
_SUMS = ", ".join(f"billing_sum({name}) AS {name}" for name in _NAMES)
_KEYS = "user_id, key_id, group_code, model_name, modality, origin"
_DAY = "(quarter_at AT TIME ZONE 'UTC')::date AS day_on"
_HOUSE, _ACCOUNT = "cut, value, origin", "user_id, key_id, origin"
_UP_TO_DAYS = ACCOUNT_SPANS[: ACCOUNT_SPANS.index(DAY) + 1]


def _spans(lengths: Sequence[int], keys: str, shortest: str) -> str:
    """The rows of every length: those of the shortest, and each other length out of the one before."""
    parts = [f"WITH span_{lengths[0]} AS ({shortest})"]
    for before, minutes in pairwise(lengths):
        parts.append(
            f"""span_{minutes} AS (SELECT {bin_of(minutes, "begins_at")} AS begins_at, {keys}, {_SUMS}
            FROM span_{before} GROUP BY 1, {keys})"""
        )
    every = (f"SELECT {minutes} AS minutes, begins_at, {keys}, {_FIGURES} FROM span_{minutes}" for minutes in lengths)
    return f"{', '.join(parts)} {' UNION ALL '.join(every)}"


_HOURS = f"""SELECT {bin_of(ACCOUNT_SPANS[0], "quarter_at")} AS begins_at, {_ACCOUNT}, {_SUMS}
    FROM billing_usage_round GROUP BY 1, {_ACCOUNT}"""
# Each roll-up: the columns its rows are unique by, and these rows out of a round.
_ROLLUPS = {
    "usagecube": (
        f"day_on, {_KEYS}",
        f"SELECT {_DAY}, {_KEYS}, {_SUMS} FROM billing_usage_round GROUP BY 1, 2, 3, 4, 5, 6, 7",
    ),
    "usagekeydaily": (
        "day_on, key_id, origin",
        f"SELECT {_DAY}, key_id, origin, {_SUMS} FROM billing_usage_round GROUP BY 1, 2, 3",
    ),
    "usageaccount": (f"minutes, begins_at, {_ACCOUNT}", _spans(ACCOUNT_SPANS, _ACCOUNT, _HOURS)),
    "usagehouse": (
        f"minutes, begins_at, {_HOUSE}",
        _spans(
            HOUSE_SPANS,
            _HOUSE,
            f"""SELECT quarter_at AS begins_at, CASE WHEN GROUPING(model_name) = 0 THEN 'model'
                WHEN GROUPING(group_code) = 0 THEN 'group' ELSE 'modality' END AS cut,
                coalesce(model_name, group_code, modality) AS value, origin, {_SUMS}
            FROM billing_usage_round GROUP BY quarter_at, origin, GROUPING SETS ((model_name), (group_code), (modality))""",
        ),
    ),
}


def _merge(table: str, columns: str, rows: str) -> str:
    """Adds to the rows that are there. Cheaper than ON CONFLICT, and safe because of the lock."""
    same = " AND ".join(f"t.{name} = n.{name}" for name in columns.split(", "))
    plus = ", ".join(f"{name} = t.{name} + n.{name}" for name in _NAMES)
    new = ", ".join(f"n.{name}" for name in (*columns.split(", "), *_NAMES))
    return f"""MERGE INTO billing_{table} t USING ({rows}) n ON {same}
        WHEN MATCHED THEN UPDATE SET {plus} WHEN NOT MATCHED THEN INSERT ({columns}, {_FIGURES}) VALUES ({new})"""


_ADD = [_merge(table, *parts) for table, parts in _ROLLUPS.items()]
_COUNTED = _ROLLUPS | {"usageaccount": (f"minutes, begins_at, {_ACCOUNT}", _spans(_UP_TO_DAYS, _ACCOUNT, _HOURS))}
# In the order of the key: one index page after the other, and an account's rows of a day side by side.
_PUT = [
    f"INSERT INTO billing_{table} ({columns}, {_FIGURES}) SELECT {columns}, {_FIGURES} FROM ({rows}) n ORDER BY {columns}"
    for table, (columns, rows) in _COUNTED.items()
]

# Kept by the connection, so that folding every few seconds does not fill the catalogue.
_MAKE = f"""CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_round ON COMMIT DELETE ROWS AS
    SELECT quarter_at, {_KEYS}, {_FIGURES} FROM billing_usagedelta WITH NO DATA"""
_LAST = "SELECT max(id) FROM (SELECT id FROM billing_usagedelta ORDER BY id LIMIT %s) oldest"
_TAKE = f"""
WITH gone AS (DELETE FROM billing_usagedelta WHERE id <= %s RETURNING quarter_at, {_KEYS}, {_FIGURES})
INSERT INTO billing_usage_round (quarter_at, {_KEYS}, {_FIGURES}) SELECT * FROM gone
"""
# One statement, so one snapshot: a call that ends meanwhile is either in the log that is counted and its pending count is
# removed, or in neither and its pending count is folded later.
_COUNT = f"""
WITH gone AS (
    DELETE FROM billing_usagedelta WHERE quarter_at >= %(start)s AND quarter_at < %(end)s
)
INSERT INTO billing_usage_round (quarter_at, {_KEYS}, {_FIGURES})
SELECT billing_usage_quarter(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
    billing_usage_model(billed_model, asked_model, outcome), modality, origin, billing_sum(call_count),
    billing_sum(failed_count), billing_sum(input_tokens), billing_sum(cached_tokens), billing_sum(output_tokens),
    billing_sum(cost_nano)
FROM {COUNTED_CALLS} c WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_CLEAR = (
    "DELETE FROM billing_usagecube WHERE day_on BETWEEN %(first)s AND %(last)s",
    "DELETE FROM billing_usagekeydaily WHERE day_on BETWEEN %(first)s AND %(last)s",
    f"""DELETE FROM billing_usageaccount WHERE minutes = ANY (ARRAY{list(_UP_TO_DAYS)})
        AND begins_at >= %(start)s AND begins_at < %(end)s""",
    f"""DELETE FROM billing_usagehouse WHERE cut IN ('model', 'group', 'modality') AND minutes = ANY (ARRAY{list(HOUSE_SPANS)})
        AND begins_at >= %(start)s AND begins_at < %(end)s""",
)
# Longer spans than days hold days that are not counted again: they are added up from the rows of the next shorter span.
_LONGER = {
    minutes: (
        f"DELETE FROM billing_usageaccount WHERE minutes = {minutes} AND begins_at >= %(low)s AND begins_at < %(high)s",
        f"""INSERT INTO billing_usageaccount (minutes, begins_at, {_ACCOUNT}, {_FIGURES})
        SELECT {minutes}, {bin_of(minutes, "begins_at")}, {_ACCOUNT}, {_SUMS} FROM billing_usageaccount
        WHERE minutes = {shorter} AND begins_at >= %(low)s AND begins_at < %(high)s GROUP BY 2, {_ACCOUNT}""",
    )
    for shorter, minutes in pairwise(ACCOUNT_SPANS[len(_UP_TO_DAYS) - 1 :])
}


def fold_usage(limit: int = 20_000) -> int:
    """Move pending counts into the roll-ups; gives how many were moved (0 while another worker is at it)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_LAST, [limit])
        last = cursor.fetchone()[0]
        if last is None:
            return 0
        _begin_round(cursor)
        cursor.execute(_TAKE, [last])
        moved = int(cursor.rowcount)
        for add in _ADD:
            cursor.execute(add)
        return moved


def recount(first: date, last: date) -> int:
    """Count the UTC days from ``first`` to ``last`` (both included) again from the log; gives the number of calls."""
    between = bounds(first, last)
    days = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        _begin_round(cursor)
        cursor.execute(_COUNT, between)
        for clear in _CLEAR:
            cursor.execute(clear, between)
        for put in _PUT:
            cursor.execute(put)
        for minutes, again in _LONGER.items():
            span = timedelta(minutes=minutes)
            for sql in again:
                cursor.execute(sql, {"low": round_down(days[0], span), "high": round_down(days[1], span) + span})
        cursor.execute("SELECT coalesce(sum(call_count), 0) FROM billing_usage_round")
        return int(cursor.fetchone()[0])


def _begin_round(cursor: Any) -> None:
    """An empty table of this connection, also within a transaction that has had a round."""
    cursor.execute(_SETTINGS)
    cursor.execute(_MAKE)
    cursor.execute("DELETE FROM billing_usage_round")


def bounds(first: date, last: date) -> dict[str, date | str]:
    """The days and the instants they lie between, UTC."""
    return {"first": first, "last": last, "start": f"{first.isoformat()} 00:00:00+00", "end": _after(last)}


def _after(day: date) -> str:
    return f"{date.fromordinal(day.toordinal() + 1).isoformat()} 00:00:00+00"
