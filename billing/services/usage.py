"""Roll-ups of the request log: folding what calls added, and counting again from the log."""

# ruff: noqa: S608  (the parts are constants)

from datetime import date

from django.db import connection, transaction

from billing.services import usage_cube as cube

# Only one worker folds or counts at a time; who comes second has nothing to do.
_LOCK = "hashtext('billing_usage')"

_FOLD = (
    """
WITH gone AS (
    DELETE FROM billing_usagedelta WHERE id IN (SELECT id FROM billing_usagedelta ORDER BY id LIMIT %s) RETURNING *
), """
    + cube.FOLD
    + """, daily AS (
    INSERT INTO billing_usagedaily AS d (day_on, user_id, model_name, origin, call_count, failed_count, input_tokens,
        cached_tokens, output_tokens, cost_nano)
    SELECT (hour_at AT TIME ZONE 'UTC')::date, user_id, model_name, origin, sum(call_count), sum(failed_count),
        sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost_nano)
    FROM gone GROUP BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT usage_daily_once DO UPDATE SET call_count = d.call_count + EXCLUDED.call_count,
        failed_count = d.failed_count + EXCLUDED.failed_count, input_tokens = d.input_tokens + EXCLUDED.input_tokens,
        cached_tokens = d.cached_tokens + EXCLUDED.cached_tokens, output_tokens = d.output_tokens + EXCLUDED.output_tokens,
        cost_nano = d.cost_nano + EXCLUDED.cost_nano
), hourly AS (
    INSERT INTO billing_usagehourly AS h (hour_at, group_code, model_name, origin, call_count, failed_count, input_tokens,
        cached_tokens, output_tokens, cost_nano)
    SELECT hour_at, group_code, model_name, origin, sum(call_count), sum(failed_count), sum(input_tokens),
        sum(cached_tokens), sum(output_tokens), sum(cost_nano)
    FROM gone GROUP BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT usage_hourly_once DO UPDATE SET call_count = h.call_count + EXCLUDED.call_count,
        failed_count = h.failed_count + EXCLUDED.failed_count, input_tokens = h.input_tokens + EXCLUDED.input_tokens,
        cached_tokens = h.cached_tokens + EXCLUDED.cached_tokens, output_tokens = h.output_tokens + EXCLUDED.output_tokens,
        cost_nano = h.cost_nano + EXCLUDED.cost_nano
), keyed AS (
    INSERT INTO billing_usagekeydaily AS k (day_on, key_id, origin, call_count, failed_count, input_tokens, cached_tokens,
        output_tokens, cost_nano)
    SELECT (hour_at AT TIME ZONE 'UTC')::date, key_id, origin, sum(call_count), sum(failed_count), sum(input_tokens),
        sum(cached_tokens), sum(output_tokens), sum(cost_nano)
    FROM gone GROUP BY 1, 2, 3
    ON CONFLICT ON CONSTRAINT usage_key_daily_once DO UPDATE SET call_count = k.call_count + EXCLUDED.call_count,
        failed_count = k.failed_count + EXCLUDED.failed_count, input_tokens = k.input_tokens + EXCLUDED.input_tokens,
        cached_tokens = k.cached_tokens + EXCLUDED.cached_tokens, output_tokens = k.output_tokens + EXCLUDED.output_tokens,
        cost_nano = k.cost_nano + EXCLUDED.cost_nano
)
SELECT count(*) FROM gone
"""
)

_FIGURES = """count(*) AS call_count, count(*) FILTER (WHERE outcome <> 'ok') AS failed_count,
        sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
        sum(cost_nano) AS cost_nano"""
COUNT_DAILY = f"""
    SELECT (started_at AT TIME ZONE 'UTC')::date AS day_on, coalesce(user_id, 0) AS user_id,
        billing_usage_model(billed_model, asked_model, outcome) AS model_name, origin, {_FIGURES}
    FROM billing_requestlog WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3, 4"""
COUNT_HOURLY = f"""
    SELECT billing_usage_hour(started_at) AS hour_at, group_code,
        billing_usage_model(billed_model, asked_model, outcome) AS model_name, origin, {_FIGURES}
    FROM billing_requestlog WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3, 4"""
COUNT_BY_KEY = f"""
    SELECT (started_at AT TIME ZONE 'UTC')::date AS day_on, coalesce(key_id, 0) AS key_id, origin, {_FIGURES}
    FROM billing_requestlog WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3"""
_SET = """call_count = EXCLUDED.call_count, failed_count = EXCLUDED.failed_count, input_tokens = EXCLUDED.input_tokens,
        cached_tokens = EXCLUDED.cached_tokens, output_tokens = EXCLUDED.output_tokens, cost_nano = EXCLUDED.cost_nano"""
# One statement, so one snapshot: a call that ends meanwhile is either in the log that is counted and its pending count is
# removed, or in neither and its pending count is folded later.
_RECOUNT = f"""
WITH gone AS (
    DELETE FROM billing_usagedelta WHERE hour_at >= %(start)s AND hour_at < %(end)s
), {cube.RECOUNT}, daily AS ({COUNT_DAILY}), hourly AS ({COUNT_HOURLY}), keyed AS ({COUNT_BY_KEY}),
put_daily AS (
    INSERT INTO billing_usagedaily (day_on, user_id, model_name, origin, call_count, failed_count, input_tokens,
        cached_tokens, output_tokens, cost_nano)
    SELECT * FROM daily ON CONFLICT ON CONSTRAINT usage_daily_once DO UPDATE SET {_SET}
), put_hourly AS (
    INSERT INTO billing_usagehourly (hour_at, group_code, model_name, origin, call_count, failed_count, input_tokens,
        cached_tokens, output_tokens, cost_nano)
    SELECT * FROM hourly ON CONFLICT ON CONSTRAINT usage_hourly_once DO UPDATE SET {_SET}
), put_keyed AS (
    INSERT INTO billing_usagekeydaily (day_on, key_id, origin, call_count, failed_count, input_tokens, cached_tokens,
        output_tokens, cost_nano)
    SELECT * FROM keyed ON CONFLICT ON CONSTRAINT usage_key_daily_once DO UPDATE SET {_SET}
), drop_keyed AS (
    DELETE FROM billing_usagekeydaily d WHERE d.day_on BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT 1 FROM keyed x WHERE (x.day_on, x.key_id, x.origin) = (d.day_on, d.key_id, d.origin))
), drop_daily AS (
    DELETE FROM billing_usagedaily d WHERE d.day_on BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT 1 FROM daily x
        WHERE (x.day_on, x.user_id, x.model_name, x.origin) = (d.day_on, d.user_id, d.model_name, d.origin))
), drop_hourly AS (
    DELETE FROM billing_usagehourly h WHERE h.hour_at >= %(start)s AND h.hour_at < %(end)s AND NOT EXISTS (
        SELECT 1 FROM hourly x
        WHERE (x.hour_at, x.group_code, x.model_name, x.origin) = (h.hour_at, h.group_code, h.model_name, h.origin))
)
SELECT coalesce(sum(call_count), 0) FROM daily
"""


def fold_usage(limit: int = 20_000) -> int:
    """Move pending counts into the daily and hourly roll-ups; gives how many were moved (0 while another worker is at it)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_FOLD, [limit])
        return int(cursor.fetchone()[0])


def recount(first: date, last: date) -> int:
    """Count the UTC days from ``first`` to ``last`` (both included) again from the log; gives the number of calls."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        cursor.execute(_RECOUNT, bounds(first, last))
        return int(cursor.fetchone()[0])


def bounds(first: date, last: date) -> dict[str, date | str]:
    """The days and the instants they lie between, UTC."""
    return {"first": first, "last": last, "start": f"{first.isoformat()} 00:00:00+00", "end": _after(last)}


def _after(day: date) -> str:
    return f"{date.fromordinal(day.toordinal() + 1).isoformat()} 00:00:00+00"
