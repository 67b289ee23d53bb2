"""Roll-ups of the request log: folding what calls added, and counting again from the log.

Both begin with rows of one hour, person, key, group, model, modality and origin, add them up once for each roll-up, and put
all roll-ups in one transaction, so that none is ahead of another.
"""

# ruff: noqa: S608  (the parts are constants)

from datetime import date

from django.db import connection, transaction

# Only one worker folds or counts at a time; who comes second has nothing to do.
_LOCK = "hashtext('billing_usage')"
# Enough to add up a whole round in memory; it is given back at the end of the transaction.
_MEMORY = "SET LOCAL work_mem = '128MB'"

_NAMES = ("call_count", "failed_count", "input_tokens", "cached_tokens", "output_tokens", "cost_nano")
_FIGURES = ", ".join(_NAMES)
# The sum of bigint is numeric, which is slow to add up again.
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in _NAMES)
_CUBE = "day_on, user_id, key_id, group_code, model_name, modality, origin"
_HOUR = f"hour_at, {_CUBE.removeprefix('day_on, ')}"
# Each roll-up: the columns its rows are unique by, and these rows out of ``cube`` or ``source``.
_ROLLUPS = {
    "usagecube": (_CUBE, f"SELECT {_CUBE}, {_FIGURES} FROM cube"),
    "usagekeydaily": (
        "day_on, key_id, origin",
        f"SELECT day_on, key_id, origin, {_SUMS} FROM cube GROUP BY day_on, key_id, origin",
    ),
    "usagememberdaily": (
        "day_on, user_id, origin",
        f"SELECT day_on, user_id, origin, {_SUMS} FROM cube GROUP BY day_on, user_id, origin",
    ),
    "usagehourly": (
        "cut, hour_at, value, origin",
        f"""SELECT CASE WHEN GROUPING(model_name) = 0 THEN 'model' WHEN GROUPING(group_code) = 0 THEN 'group'
            ELSE 'modality' END, hour_at, coalesce(model_name, group_code, modality), origin, {_SUMS}
        FROM source GROUP BY hour_at, origin, GROUPING SETS ((model_name), (group_code), (modality))""",
    ),
}
_DAYS = f"""SELECT (hour_at AT TIME ZONE 'UTC')::date AS day_on, {_CUBE.removeprefix("day_on, ")}, {_SUMS}
    FROM source GROUP BY 1, 2, 3, 4, 5, 6, 7"""


def _puts() -> str:
    """One INSERT for each roll-up that adds to the rows that are there, as parts of a WITH."""
    return ", ".join(
        f"""put_{table} AS (
    INSERT INTO billing_{table} AS t ({columns}, {_FIGURES}) {rows}
    ON CONFLICT ({columns}) DO UPDATE SET {", ".join(f"{name} = t.{name} + EXCLUDED.{name}" for name in _NAMES)}
)"""
        for table, (columns, rows) in _ROLLUPS.items()
    )


_LAST = "SELECT max(id) FROM (SELECT id FROM billing_usagedelta ORDER BY id LIMIT %s) oldest"
_FOLD = f"""
WITH source AS MATERIALIZED (
    DELETE FROM billing_usagedelta WHERE id <= %s RETURNING {_HOUR}, {_FIGURES}
), cube AS MATERIALIZED ({_DAYS}), {_puts()}
SELECT count(*) FROM source
"""

_MAKE = f"""CREATE TEMPORARY TABLE billing_recounted ON COMMIT DROP AS
    SELECT {_HOUR}, {_FIGURES} FROM billing_usagedelta WITH NO DATA"""
# One statement, so one snapshot: a call that ends meanwhile is either in the log that is counted and its pending count is
# removed, or in neither and its pending count is folded later.
_COUNT = f"""
WITH gone AS (
    DELETE FROM billing_usagedelta WHERE hour_at >= %(start)s AND hour_at < %(end)s
)
INSERT INTO billing_recounted ({_HOUR}, {_FIGURES})
SELECT billing_usage_hour(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
    billing_usage_model(billed_model, asked_model, outcome), modality, origin, count(*),
    count(*) FILTER (WHERE outcome <> 'ok'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost_nano)
FROM billing_requestlog WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_CLEAR = (
    "DELETE FROM billing_usagecube WHERE day_on BETWEEN %(first)s AND %(last)s",
    "DELETE FROM billing_usagekeydaily WHERE day_on BETWEEN %(first)s AND %(last)s",
    "DELETE FROM billing_usagememberdaily WHERE day_on BETWEEN %(first)s AND %(last)s",
    """DELETE FROM billing_usagehourly WHERE cut IN ('model', 'group', 'modality')
        AND hour_at >= %(start)s AND hour_at < %(end)s""",
)
_PUT_COUNTED = f"""
WITH source AS (SELECT * FROM billing_recounted), cube AS MATERIALIZED ({_DAYS}), {_puts()}
SELECT coalesce(sum(call_count), 0) FROM source
"""


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
        cursor.execute(_MEMORY)
        cursor.execute(_FOLD, [last])
        return int(cursor.fetchone()[0])


def recount(first: date, last: date) -> int:
    """Count the UTC days from ``first`` to ``last`` (both included) again from the log; gives the number of calls."""
    between = bounds(first, last)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        cursor.execute(_MEMORY)
        cursor.execute(_MAKE)
        cursor.execute(_COUNT, between)
        for clear in _CLEAR:
            cursor.execute(clear, between)
        cursor.execute(_PUT_COUNTED)
        calls = int(cursor.fetchone()[0])
        cursor.execute("DROP TABLE billing_recounted")
        return calls


def bounds(first: date, last: date) -> dict[str, date | str]:
    """The days and the instants they lie between, UTC."""
    return {"first": first, "last": last, "start": f"{first.isoformat()} 00:00:00+00", "end": _after(last)}


def _after(day: date) -> str:
    return f"{date.fromordinal(day.toordinal() + 1).isoformat()} 00:00:00+00"
