"""What the roll-ups count, from the request log and the refunds of calls: one text for everything that counts again.

A refund is a row of no calls and a negative cost at the time of its call. Used as ``FROM {COUNTED_CALLS} c``.
"""

_PARTS = """l.started_at, l.user_id, l.key_id, l.group_code, l.billed_model, l.asked_model, l.outcome, l.modality, l.origin"""

COUNTED_CALLS = f"""(
    SELECT {_PARTS}, 1 AS call_count, CASE WHEN l.outcome <> 'ok' THEN 1 ELSE 0 END AS failed_count, l.input_tokens,
        l.cached_tokens, l.output_tokens, l.cost_nano
    FROM billing_requestlog l
    UNION ALL
    SELECT {_PARTS}, 0, 0, 0, 0, 0, -f.amount_nano
    FROM billing_callrefund f JOIN billing_requestlog l ON l.id = f.request_id AND l.started_at = uuid7_time(f.request_id)
)"""  # noqa: S608  (constants)
