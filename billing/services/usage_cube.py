"""The parts of folding and counting that fill ``UsageCube`` and ``UsagePart``: pieces of the statements in ``usage``.

Each statement folds or counts all roll-ups at once, so that none can be ahead of another.
"""

# ruff: noqa: S608  (the parts are constants of this file)

SUMS = "call_count, failed_count, input_tokens, cached_tokens, output_tokens, cost_nano"
_ADDED = ", ".join(f"sum({name}) AS {name}" for name in SUMS.split(", "))
_PLUS = ", ".join(f"{name} = t.{name} + EXCLUDED.{name}" for name in SUMS.split(", "))
_SET = ", ".join(f"{name} = EXCLUDED.{name}" for name in SUMS.split(", "))
_CUBE = "user_id, day_on, key_id, group_code, model_name, modality, origin"
_PART = "cut, day_on, value, origin"

# From rows of the cube to the cuts, one after the other.
CUTS = {
    "member": "user_id::text",
    "group": "group_code",
    "model": "model_name",
    "modality": "modality",
}


def _parts(source: str) -> str:
    return " UNION ALL ".join(
        f"(SELECT '{cut}' AS cut, day_on, {value} AS value, origin, {_ADDED} FROM {source} GROUP BY day_on, {value}, origin)"
        for cut, value in CUTS.items()
    )


FOLD = f"""new_cube AS (
    SELECT user_id, (hour_at AT TIME ZONE 'UTC')::date AS day_on, key_id, group_code, model_name, modality, origin, {_ADDED}
    FROM gone GROUP BY 1, 2, 3, 4, 5, 6, 7
), put_cube AS (
    INSERT INTO billing_usagecube AS t ({_CUBE}, {SUMS}) SELECT {_CUBE}, {SUMS} FROM new_cube
    ON CONFLICT ON CONSTRAINT usage_cube_once DO UPDATE SET {_PLUS}
), put_part AS (
    INSERT INTO billing_usagepart AS t ({_PART}, {SUMS}) SELECT {_PART}, {SUMS} FROM ({_parts("new_cube")}) p
    ON CONFLICT ON CONSTRAINT usage_part_once DO UPDATE SET {_PLUS}
)"""

COUNT = """SELECT coalesce(user_id, 0) AS user_id, (started_at AT TIME ZONE 'UTC')::date AS day_on,
        coalesce(key_id, 0) AS key_id, group_code, billing_usage_model(billed_model, asked_model, outcome) AS model_name,
        modality, origin,
        count(*) AS call_count, count(*) FILTER (WHERE outcome <> 'ok') AS failed_count, sum(input_tokens) AS input_tokens,
        sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano
    FROM billing_requestlog WHERE started_at >= %(start)s AND started_at < %(end)s GROUP BY 1, 2, 3, 4, 5, 6, 7"""
RECOUNT = f"""new_cube AS ({COUNT}), new_part AS ({_parts("new_cube")}), put_cube AS (
    INSERT INTO billing_usagecube ({_CUBE}, {SUMS}) SELECT {_CUBE}, {SUMS} FROM new_cube
    ON CONFLICT ON CONSTRAINT usage_cube_once DO UPDATE SET {_SET}
), put_part AS (
    INSERT INTO billing_usagepart ({_PART}, {SUMS}) SELECT {_PART}, {SUMS} FROM new_part
    ON CONFLICT ON CONSTRAINT usage_part_once DO UPDATE SET {_SET}
), drop_cube AS (
    DELETE FROM billing_usagecube d WHERE d.day_on BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT 1 FROM new_cube x WHERE (x.user_id, x.day_on, x.key_id, x.group_code, x.model_name, x.modality, x.origin)
            = (d.user_id, d.day_on, d.key_id, d.group_code, d.model_name, d.modality, d.origin))
), drop_part AS (
    DELETE FROM billing_usagepart d WHERE d.day_on BETWEEN %(first)s AND %(last)s AND NOT EXISTS (
        SELECT 1 FROM new_part x WHERE (x.cut, x.day_on, x.value, x.origin) = (d.cut, d.day_on, d.value, d.origin))
)"""
