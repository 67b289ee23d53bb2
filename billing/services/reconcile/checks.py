"""What a run compares, as queries that give one row (object, detail) for each difference.

A full run asks every invariant of the ledger. A quick one asks the same of the last hours only: calls and entries since
``since``, and what is cheap whatever the age. One statement sees one state: a call that ends meanwhile is no false alarm.
"""

from billing.counted import COUNTED_CALLS
from billing.invariants.history import DESK, HISTORY
from billing.invariants.queries import INVARIANTS, Invariant
from billing.spans import HOUSE_SPANS

_QUICK_WHOLE = ("held", "hold_parts", "hold_overdue", "guards", "suspense", "desk", "payments", "cash", "disputes")

# A call that was served, used tokens and has neither a price nor a charge; and one that has a cost nobody was charged.
# What the desk has taken in by its request id is being worked on there.
UNBILLED = Invariant(
    "unbilled",
    "Every call that was served and used something was charged, or is at the desk.",
    """SELECT 'call ' || l.id, format('cost %s, charged nothing', l.cost_nano) FROM billing_requestlog l
    WHERE l.origin = 'relay' AND l.route = 'new' AND l.started_at >= %(since)s::timestamptz
      AND (l.cost_nano > 0 OR (l.outcome = 'ok' AND l.price_detail = '{}' AND l.input_tokens + l.output_tokens > 0))
      AND NOT EXISTS (SELECT 1 FROM billing_ledgerentry e WHERE e.transaction_id = l.id AND e.kind IN ('charge', 'late'))
      AND NOT EXISTS (SELECT 1 FROM billing_deskitem d WHERE d.request_id = l.id)""",
)
_RECENT = (
    Invariant(
        "balance",
        "The balance of every purse that moved lately is the one its last entry says.",
        """SELECT 'purse ' || a.id, format('balance %s, last entry %s', a.balance_nano, x.after) FROM billing_ledgeraccount a
        JOIN LATERAL (
            SELECT CASE WHEN e.from_account_id = a.id THEN e.from_balance_nano ELSE e.to_balance_nano END AS after,
                CASE WHEN e.from_account_id = a.id THEN e.from_seq ELSE e.to_seq END AS seq
            FROM billing_ledgerentry e WHERE e.from_account_id = a.id OR e.to_account_id = a.id ORDER BY e.id DESC LIMIT 1
        ) x ON true
        WHERE a.is_purse AND (a.balance_nano <> x.after OR a.seq <> x.seq) AND EXISTS (
            SELECT 1 FROM billing_ledgerentry e
            WHERE (e.from_account_id = a.id OR e.to_account_id = a.id) AND e.booked_at >= %(since)s::timestamptz)""",
    ),
    Invariant(
        "charges",
        "Every call of these hours was charged what it cost.",
        """SELECT 'call ' || l.id, format('cost %s, charged %s', l.cost_nano, e.charged) FROM billing_requestlog l
        JOIN (
            SELECT transaction_id, sum(amount_nano) AS charged FROM billing_ledgerentry
            WHERE kind = 'charge' AND effective_at >= %(since)s::timestamptz GROUP BY 1
        ) e ON e.transaction_id = l.id
        WHERE l.started_at >= %(since)s::timestamptz AND l.origin = 'relay' AND e.charged <> l.cost_nano""",
    ),
    Invariant(
        "phantom",
        "Every charge of these hours has its call.",
        """SELECT 'entry ' || e.id, format('charged %s for call %s that is not in the log', e.amount_nano, e.transaction_id)
        FROM billing_ledgerentry e WHERE e.kind = 'charge' AND e.effective_at >= %(since)s::timestamptz
          AND NOT EXISTS (SELECT 1 FROM billing_requestlog l
            WHERE l.id = e.transaction_id AND l.started_at = uuid7_time(e.transaction_id))""",
    ),
    Invariant(
        "usage_house",
        "Everybody's usage of these hours equals a count of the request log.",
        f"""SELECT format('%s', coalesce(r.at, l.at)), format('calls %s / %s, cost %s / %s', r.c, l.c, r.n, l.n)
        FROM (
            SELECT at, sum(call_count) AS c, sum(cost_nano) AS n FROM (
                SELECT begins_at AS at, call_count, cost_nano FROM billing_usagehouse
                WHERE cut = 'model' AND minutes = {HOUSE_SPANS[0]} AND begins_at >= %(since)s::timestamptz
                UNION ALL
                SELECT quarter_at, call_count, cost_nano FROM billing_usagedelta WHERE quarter_at >= %(since)s::timestamptz
            ) parts GROUP BY 1
        ) r FULL JOIN (
            SELECT billing_usage_quarter(started_at) AS at, sum(call_count) AS c, sum(cost_nano) AS n FROM {COUNTED_CALLS} x
            WHERE started_at >= %(since)s::timestamptz GROUP BY 1
        ) l USING (at)
        WHERE (coalesce(r.c, 0), coalesce(r.n, 0)) <> (coalesce(l.c, 0), coalesce(l.n, 0))""",  # noqa: S608  (constants)
    ),
)


def checks_of(scope: str) -> list[Invariant]:
    """The checks of a run, in the order they are made. ``charges`` of a full run leaves unbilled calls to ``unbilled``."""
    if scope == "full":
        return [*INVARIANTS, *DESK, *HISTORY, UNBILLED]
    whole = {one.code: one for one in (*INVARIANTS, *DESK)}
    return [*(whole[code] for code in _QUICK_WHOLE if code in whole), *_RECENT, UNBILLED]
