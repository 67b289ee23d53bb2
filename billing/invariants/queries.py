"""Every invariant of the ledger as a query that returns the rows which break it: (object, what is wrong)."""

# ruff: noqa: S608  (the parts are constants of this file)

from dataclasses import dataclass
from itertools import pairwise

from billing.counted import COUNTED_CALLS
from billing.spans import ACCOUNT_SPANS, HOUSE_SPANS, bin_of


@dataclass(frozen=True, slots=True)
class Invariant:
    """``code`` is stable; ``says`` is what must hold; ``sql`` gives one row (object, detail) for each breach."""

    code: str
    says: str
    sql: str


# Both sides of every entry, as one account sees them.
LINES = """(
    SELECT e.id, e.from_account_id AS account_id, -e.amount_nano AS amount, e.from_seq AS seq, e.from_balance_nano AS after
    FROM billing_ledgerentry e
    UNION ALL
    SELECT e.id, e.to_account_id, e.amount_nano, e.to_seq, e.to_balance_nano FROM billing_ledgerentry e
)"""

_PURSES = (
    Invariant(
        "balance",
        "The balance of every purse is the sum of its entries.",
        f"""SELECT 'purse ' || a.id, format('balance %s, entries %s', a.balance_nano, coalesce(sum(l.amount), 0))
        FROM billing_ledgeraccount a LEFT JOIN {LINES} l ON l.account_id = a.id
        WHERE a.is_purse GROUP BY a.id HAVING a.balance_nano <> coalesce(sum(l.amount), 0)""",
    ),
    Invariant(
        "sequence",
        "The entries of a purse are numbered 1, 2, 3, ... and the purse knows the last number.",
        f"""SELECT 'purse ' || a.id, format('number %s, entries %s, highest %s', a.seq, count(l.id), max(l.seq))
        FROM billing_ledgeraccount a LEFT JOIN {LINES} l ON l.account_id = a.id
        WHERE a.is_purse GROUP BY a.id
        HAVING a.seq <> count(l.id) OR count(DISTINCT l.seq) <> count(l.id) OR coalesce(max(l.seq), 0) <> count(l.id)""",
    ),
    Invariant(
        "chain",
        "The balance written into an entry is the one before it plus its amount.",
        f"""SELECT 'entry ' || x.id, format('purse %s number %s: says %s, is %s', x.account_id, x.seq, x.after, x.running)
        FROM (
            SELECT l.*, sum(l.amount) OVER (PARTITION BY l.account_id ORDER BY l.seq) AS running
            FROM {LINES} l JOIN billing_ledgeraccount a ON a.id = l.account_id AND a.is_purse
        ) x WHERE x.after IS DISTINCT FROM x.running""",
    ),
    Invariant(
        "floor",
        "No purse is below its floor, and no floor is deeper than credit limit, holds and debt explain.",
        """SELECT 'purse ' || a.id, format('balance %s, held %s, floor %s', a.balance_nano, a.held_nano, a.floor_nano)
        FROM billing_ledgeraccount a WHERE a.is_purse AND (a.balance_nano - a.held_nano < a.floor_nano OR a.held_nano < 0
            OR a.floor_nano < LEAST(-a.credit_limit_nano, a.balance_nano - a.held_nano, 0))""",
    ),
    Invariant(
        "house",
        "Accounts of the house keep no balance row, and no entry numbers them.",
        """SELECT 'account ' || a.id, 'has a balance or an owner' FROM billing_ledgeraccount a
        WHERE NOT a.is_purse AND (a.balance_nano <> 0 OR a.held_nano <> 0 OR a.seq <> 0
            OR a.user_id IS NOT NULL OR a.group_id IS NOT NULL)
        UNION ALL
        SELECT 'entry ' || e.id, 'numbers an account of the house' FROM billing_ledgerentry e
        JOIN billing_ledgeraccount f ON f.id = e.from_account_id JOIN billing_ledgeraccount t ON t.id = e.to_account_id
        WHERE (f.is_purse <> (e.from_seq IS NOT NULL)) OR (t.is_purse <> (e.to_seq IS NOT NULL))""",
    ),
)

_ACCOUNTS = (
    Invariant(
        "accounts",
        "Every entry is between two accounts that are there, and every hold names a payer and a key that are there.",
        """SELECT 'entry ' || e.id, format('from %s to %s', e.from_account_id, e.to_account_id) FROM billing_ledgerentry e
        LEFT JOIN billing_ledgeraccount f ON f.id = e.from_account_id
        LEFT JOIN billing_ledgeraccount t ON t.id = e.to_account_id WHERE f.id IS NULL OR t.id IS NULL
        UNION ALL
        SELECT 'hold ' || h.id, format('user %s, team %s, key %s', h.user_id, h.group_id, h.key_id) FROM billing_hold h
        LEFT JOIN accounts_user u ON u.id = h.user_id LEFT JOIN accounts_group g ON g.id = h.group_id
        LEFT JOIN keys_apikey k ON k.id = h.key_id
        WHERE num_nonnulls(h.user_id, h.group_id, h.key_id) <> num_nonnulls(u.id, g.id, k.id)""",
    ),
)

_HOLDS = (
    Invariant(
        "held",
        "What a purse has held is the sum of its parts in open holds and of what open leases have left.",
        """SELECT 'purse ' || a.id, format('held %s, open holds and leases %s', a.held_nano, coalesce(h.part, 0))
        FROM billing_ledgeraccount a
        FULL JOIN (
            SELECT x.id, sum(x.part) AS part FROM (
                SELECT p.id, p.part FROM billing_hold h
                CROSS JOIN LATERAL unnest(h.account_ids, h.part_amounts) p(id, part) WHERE h.state = 'open'
                UNION ALL SELECT l.account_id, l.granted_nano - l.spent_nano FROM billing_lease l WHERE l.state = 'open'
            ) x GROUP BY x.id
        ) h ON h.id = a.id
        WHERE coalesce(a.held_nano, 0) <> coalesce(h.part, 0)""",
    ),
    Invariant(
        "hold_parts",
        "The parts of a hold add up to its amount.",
        """SELECT 'hold ' || h.id, format('amount %s, parts %s', h.amount_nano, h.part_amounts) FROM billing_hold h
        WHERE cardinality(h.account_ids) <> cardinality(h.part_amounts)
           OR h.amount_nano <> coalesce((SELECT sum(x) FROM unnest(h.part_amounts) x), 0)""",
    ),
    Invariant(
        "hold_overdue",
        "No hold stays open for more than five minutes after its time.",
        """SELECT 'hold ' || h.id, format('expired %s', h.expires_at) FROM billing_hold h
        WHERE h.state = 'open' AND h.expires_at < %(moment)s::timestamptz - interval '5 minutes'""",
    ),
    Invariant(
        "leases",
        "What a lease has spent is what its calls were held for; none stays open five minutes after its time.",
        """SELECT 'lease ' || l.id, format('spent %s, holds %s, expires %s', l.spent_nano, coalesce(h.part, 0), l.expires_at)
        FROM billing_lease l
        FULL JOIN (SELECT lease_id, sum(amount_nano) AS part FROM billing_hold WHERE lease_id IS NOT NULL GROUP BY 1) h
            ON h.lease_id = l.id
        WHERE coalesce(l.spent_nano, 0) <> coalesce(h.part, 0)
           OR (l.state = 'open' AND l.expires_at < %(moment)s::timestamptz - interval '5 minutes')""",
    ),
    Invariant(
        "hold_logged",
        "Every closed hold has its call in the request log, or is at the desk for want of a place there; a settled one was "
        "settled for the call's cost.",
        """SELECT 'hold ' || h.id, format('%s, settled %s, log %s', h.state, h.settled_nano, l.cost_nano) FROM billing_hold h
        LEFT JOIN billing_requestlog l ON l.id = h.id AND l.started_at = uuid7_time(h.id)
        WHERE h.state <> 'open' AND ((l.id IS NULL AND NOT EXISTS (SELECT 1 FROM billing_deskitem d
                WHERE d.request_id = h.id AND d.reason = 'no_place_in_log'))
            OR (h.state = 'settled' AND h.settled_nano IS DISTINCT FROM l.cost_nano)
            OR (h.state = 'released' AND l.cost_nano <> 0)
            OR (h.state = 'expired' AND h.reason = 'expired' AND l.cost_nano <> 0))""",
    ),
    Invariant(
        "limits",
        "What a spend limit has held and spent in a window is what the open holds and the calls of that window say.",
        """SELECT 'limit ' || l.id || ' from ' || w.starts_at,
            format('held %s / %s, spent %s / %s', w.held_nano, t.held, w.spent_nano, t.spent)
        FROM billing_spendwindow w JOIN billing_spendlimit l ON l.id = w.limit_id
        CROSS JOIN LATERAL billing_window_truth(l.id, w.starts_at, w.ends_at) t
        WHERE (w.ends_at IS NULL OR w.ends_at > %(moment)s::timestamptz - interval '40 days')
          AND (w.held_nano <> t.held OR w.spent_nano <> t.spent)""",
    ),
    Invariant(
        "limited_purses",
        "Every purse whose calls a spend limit concerns says so.",
        """SELECT 'purse ' || a.id, 'does not know its limits' FROM billing_ledgeraccount a
        WHERE a.is_purse AND NOT a.has_limits AND billing_any_limit(a.user_id, a.group_id)""",
    ),
    Invariant(
        "test_money",
        "Calls of test keys hold and cost test money only, and no other call touches it.",
        """SELECT 'hold ' || h.id, format('%s from purse %s', CASE WHEN h.is_test THEN 'test call' ELSE 'call' END, a.id)
        FROM billing_hold h CROSS JOIN LATERAL unnest(h.account_ids) p(id) JOIN billing_ledgeraccount a ON a.id = p.id
        WHERE h.is_test <> (a.kind = 'test')
        UNION ALL
        SELECT 'entry ' || e.id, format('call from purse %s', a.id) FROM billing_ledgerentry e
        JOIN billing_hold h ON h.id = e.transaction_id JOIN billing_ledgeraccount a ON a.id = e.from_account_id
        WHERE e.kind = 'charge' AND h.is_test <> (a.kind = 'test')""",
    ),
)

_CALLS = (
    Invariant(
        "charges",
        "Every call that costs something was charged exactly that, or the desk settled it; nothing else was charged.",
        """SELECT 'call ' || coalesce(l.id, e.id), format('cost %s, charged %s', l.cost, e.charged) FROM (
            SELECT id, cost_nano AS cost FROM billing_requestlog WHERE origin = 'relay' AND cost_nano <> 0
        ) l FULL JOIN (
            SELECT transaction_id AS id, sum(amount_nano) AS charged FROM billing_ledgerentry WHERE kind = 'charge' GROUP BY 1
        ) e ON e.id = l.id WHERE l.cost IS DISTINCT FROM e.charged AND NOT EXISTS (
            SELECT 1 FROM billing_deskitem d WHERE d.request_id = l.id AND d.kind = 'unbilled' AND d.state <> 'open')""",
    ),
    Invariant(
        "charge_payer",
        "A charge goes from a purse of the payer to revenue.",
        """SELECT 'entry ' || e.id, format('from account %s to %s', f.id, t.kind) FROM billing_ledgerentry e
        JOIN billing_ledgeraccount f ON f.id = e.from_account_id JOIN billing_ledgeraccount t ON t.id = e.to_account_id
        LEFT JOIN billing_hold h ON h.id = e.transaction_id
        WHERE e.kind = 'charge' AND (NOT f.is_purse OR t.kind <> 'revenue'
            OR (h.id IS NOT NULL AND (f.user_id IS DISTINCT FROM h.user_id OR f.group_id IS DISTINCT FROM h.group_id)))""",
    ),
    Invariant(
        "arithmetic",
        "A call costs what the arithmetic kept with it says.",
        """SELECT 'call ' || l.id, format('cost %s, arithmetic %s', l.cost_nano, l.price_detail ->> 'cost_nano')
        FROM billing_requestlog l
        WHERE l.origin = 'relay' AND l.cost_nano <> 0 AND l.price_detail ? 'cost_nano'
          AND l.cost_nano <> (l.price_detail ->> 'cost_nano')::numeric""",
    ),
    Invariant(
        "formula",
        "A call of the last 40 days that was charged in full costs what the database's own formula says for its kept usage.",
        """SELECT 'call ' || l.id, format('cost %s, by the formula %s', l.cost_nano, x.cost)
        FROM billing_requestlog l
        JOIN billing_pricerule p ON p.version_id = l.price_version_id AND p.model_name = l.billed_model
        CROSS JOIN LATERAL (
            SELECT billing_portal_cost(p, (l.price_detail ->> 'multiplier')::numeric, l) AS cost
        ) x
        WHERE l.started_at >= %(moment)s::timestamptz - interval '40 days' AND l.origin = 'relay' AND l.cost_nano > 0
          AND l.outcome = 'ok' AND l.fallback_rule_id IS NULL AND l.price_detail ->> 'formula' = 'portal'
          AND l.price_detail -> 'rule' ->> 'charged' = 'all' AND NOT l.price_detail -> 'rule' ? 'capped_from_nano'
          AND x.cost IS DISTINCT FROM l.cost_nano""",
    ),
    Invariant(
        "imported_free",
        "Calls carried over from an old gateway were charged there and never here.",
        """SELECT 'call ' || l.id, 'charged here' FROM billing_requestlog l
        JOIN billing_ledgerentry e ON e.transaction_id = l.id AND e.kind = 'charge' WHERE l.origin = 'imported'""",
    ),
)

_ROLLUP_SUM = """sum(call_count) AS c, sum(failed_count) AS f, sum(input_tokens) AS i, sum(cached_tokens) AS k,
            sum(output_tokens) AS o, sum(cost_nano) AS n"""
_DIFFER = """(coalesce(r.c, 0), coalesce(r.f, 0), coalesce(r.i, 0), coalesce(r.k, 0), coalesce(r.o, 0), coalesce(r.n, 0))
        <> (coalesce(l.c, 0), coalesce(l.f, 0), coalesce(l.i, 0), coalesce(l.k, 0), coalesce(l.o, 0), coalesce(l.n, 0))"""
_CUBE_KEYS = "day_on, user_id, key_id, group_code, model_name, modality, origin"
_PARTS = "call_count, failed_count, input_tokens, cached_tokens, output_tokens, cost_nano"


def _longer(table: str, keys: str, shorter: int, minutes: int) -> str:
    """Spans of one length that are not the sum of those of the next shorter one."""
    return f"""(SELECT format('%s minutes from %s, %s', {minutes}, at, '({keys}) ' || row({keys})::text),
        format('calls %s / %s, cost %s / %s', r.c, l.c, r.n, l.n)
    FROM (
        SELECT begins_at AS at, {keys}, {_ROLLUP_SUM} FROM billing_usage{table} WHERE minutes = {minutes} GROUP BY at, {keys}
    ) r FULL JOIN (
        SELECT {bin_of(minutes, "begins_at")} AS at, {keys}, {_ROLLUP_SUM} FROM billing_usage{table}
        WHERE minutes = {shorter} GROUP BY 1, {keys}
    ) l USING (at, {keys}) WHERE {_DIFFER})"""


_USAGE = (
    Invariant(
        "usage_house",
        "Everybody's usage by the quarter of an hour and what is not folded yet equal a count of the request log less what was "
        "refunded, cut every way.",
        f"""SELECT format('%s %s %s', coalesce(r.at, l.at), coalesce(r.cut, l.cut), coalesce(r.value, l.value)),
            format('calls %s / %s, cost %s / %s', r.c, l.c, r.n, l.n)
        FROM (
            SELECT at, cut, value, origin, {_ROLLUP_SUM} FROM (
                SELECT begins_at AS at, cut, value, origin, {_PARTS} FROM billing_usagehouse WHERE minutes = {HOUSE_SPANS[0]}
                UNION ALL
                SELECT quarter_at, x.cut, x.value, origin, {_PARTS} FROM billing_usagedelta CROSS JOIN LATERAL (VALUES
                    ('group', group_code), ('model', model_name), ('modality', modality)) x(cut, value)
            ) both_parts GROUP BY 1, 2, 3, 4
        ) r FULL JOIN (
            SELECT billing_usage_quarter(started_at) AS at, x.cut, x.value, origin, {_ROLLUP_SUM}
            FROM {COUNTED_CALLS} c CROSS JOIN LATERAL (VALUES ('group', group_code), ('modality', modality),
                ('model', billing_usage_model(billed_model, asked_model, outcome))) x(cut, value) GROUP BY 1, 2, 3, 4
        ) l USING (at, cut, value, origin) WHERE {_DIFFER}""",
    ),
    Invariant(
        "usage_accounts",
        "Usage of people and keys by the hour and what is not folded yet equal a count of the request log less what was "
        "refunded.",
        f"""SELECT format('%s person %s key %s', coalesce(r.at, l.at), coalesce(r.user_id, l.user_id),
            coalesce(r.key_id, l.key_id)), format('calls %s / %s, cost %s / %s', r.c, l.c, r.n, l.n)
        FROM (
            SELECT at, user_id, key_id, origin, {_ROLLUP_SUM} FROM (
                SELECT begins_at AS at, user_id, key_id, origin, {_PARTS} FROM billing_usageaccount
                WHERE minutes = {ACCOUNT_SPANS[0]}
                UNION ALL
                SELECT {bin_of(ACCOUNT_SPANS[0], "quarter_at")}, user_id, key_id, origin, {_PARTS} FROM billing_usagedelta
            ) both_parts GROUP BY 1, 2, 3, 4
        ) r FULL JOIN (
            SELECT {bin_of(ACCOUNT_SPANS[0], "started_at")} AS at, coalesce(user_id, 0) AS user_id,
                coalesce(key_id, 0) AS key_id, origin, {_ROLLUP_SUM}
            FROM {COUNTED_CALLS} c GROUP BY 1, 2, 3, 4
        ) l USING (at, user_id, key_id, origin) WHERE {_DIFFER}""",
    ),
    Invariant(
        "usage_spans",
        "Usage of a long span is the sum of the shorter ones in it, of everybody and of each person and key.",
        " UNION ALL ".join(
            [
                *(_longer("house", "cut, value, origin", *pair) for pair in pairwise(HOUSE_SPANS)),
                *(_longer("account", "user_id, key_id, origin", *pair) for pair in pairwise(ACCOUNT_SPANS)),
            ]
        ),
    ),
    Invariant(
        "usage_keys",
        "Daily usage of keys and what is not folded yet equal a count of the request log less what was refunded.",
        f"""SELECT format('%s key %s', coalesce(r.day_on, l.day_on), coalesce(r.key_id, l.key_id)),
            format('calls %s / %s, cost %s / %s', r.c, l.c, r.n, l.n)
        FROM (
            SELECT day_on, key_id, origin, {_ROLLUP_SUM} FROM (
                SELECT day_on, key_id, origin, {_PARTS} FROM billing_usagekeydaily
                UNION ALL
                SELECT (quarter_at AT TIME ZONE 'UTC')::date, key_id, origin, {_PARTS} FROM billing_usagedelta
            ) both_parts GROUP BY 1, 2, 3
        ) r FULL JOIN (
            SELECT (started_at AT TIME ZONE 'UTC')::date AS day_on, coalesce(key_id, 0) AS key_id, origin, {_ROLLUP_SUM}
            FROM {COUNTED_CALLS} c GROUP BY 1, 2, 3
        ) l USING (day_on, key_id, origin) WHERE {_DIFFER}""",
    ),
    Invariant(
        "usage_cube",
        "Usage by every measure and what is not folded yet equal a count of the request log less what was refunded.",
        f"""SELECT format('%s person %s key %s model %s', coalesce(r.day_on, l.day_on), coalesce(r.user_id, l.user_id),
            coalesce(r.key_id, l.key_id), coalesce(r.model_name, l.model_name)), format('calls %s / %s, cost %s / %s',
            r.c, l.c, r.n, l.n)
        FROM (
            SELECT {_CUBE_KEYS}, {_ROLLUP_SUM} FROM (
                SELECT {_CUBE_KEYS}, {_PARTS} FROM billing_usagecube
                UNION ALL
                SELECT (quarter_at AT TIME ZONE 'UTC')::date, user_id, key_id, group_code, model_name, modality, origin,
                    {_PARTS} FROM billing_usagedelta
            ) both_parts GROUP BY {_CUBE_KEYS}
        ) r FULL JOIN (
            SELECT (started_at AT TIME ZONE 'UTC')::date AS day_on, coalesce(user_id, 0) AS user_id,
                coalesce(key_id, 0) AS key_id, group_code,
                billing_usage_model(billed_model, asked_model, outcome) AS model_name, modality, origin, {_ROLLUP_SUM}
            FROM {COUNTED_CALLS} c GROUP BY 1, 2, 3, 4, 5, 6, 7
        ) l USING ({_CUBE_KEYS}) WHERE {_DIFFER}""",
    ),
)

_MONEY = (
    Invariant(
        "codes",
        "What is owed on codes is the sum of the codes that are unused, for each origin.",
        """SELECT 'origin ' || quote_literal(coalesce(a.origin, c.origin)), format('owed %s, unused codes %s', a.owed, c.unused)
        FROM (
            SELECT a.origin, sum(CASE WHEN e.to_account_id = a.id THEN e.amount_nano ELSE -e.amount_nano END) AS owed
            FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON a.id IN (e.from_account_id, e.to_account_id)
            WHERE a.kind = 'code_liability' GROUP BY a.origin
        ) a FULL JOIN (
            SELECT origin, sum(amount_nano) AS unused FROM billing_redemptioncode WHERE state = 'unused' GROUP BY origin
        ) c ON c.origin = a.origin WHERE coalesce(a.owed, 0) <> coalesce(c.unused, 0)""",
    ),
    Invariant(
        "opening",
        "Opening balances are booked against opening equity, and nothing else is.",
        """SELECT 'entry ' || e.id, format('%s from %s to %s', e.kind, f.kind, t.kind) FROM billing_ledgerentry e
        JOIN billing_ledgeraccount f ON f.id = e.from_account_id JOIN billing_ledgeraccount t ON t.id = e.to_account_id
        WHERE e.kind <> 'reversal'
          AND (e.kind IN ('opening', 'opening_correction')) <> ('opening_equity' IN (f.kind, t.kind))""",
    ),
    Invariant(
        "reversals",
        "A reversal mirrors one earlier entry, to the amount.",
        """SELECT 'entry ' || r.id, format('reverses entry %s', r.reverses_id) FROM billing_ledgerentry r
        LEFT JOIN billing_ledgerentry o ON o.id = r.reverses_id
        WHERE (r.kind = 'reversal') <> (r.reverses_id IS NOT NULL)
           OR (r.reverses_id IS NOT NULL AND (o.amount_nano <> r.amount_nano OR o.from_account_id <> r.to_account_id
               OR o.to_account_id <> r.from_account_id OR o.id >= r.id))""",
    ),
    Invariant(
        "guards",
        "The triggers that keep history unchanged are there and switched on.",
        """SELECT 'trigger ' || wanted.name, coalesce('switched off on ' || t.tgrelid::regclass, 'missing')
        FROM (VALUES ('entry_append_only'), ('entry_not_truncated'), ('hold_closes_once'), ('hold_keeps_terms'),
            ('hold_open_stays'), ('lease_closes_once'), ('account_facts'), ('account_stays'), ('account_currency_frozen'),
            ('price_version_frozen'),
            ('price_rule_frozen'), ('group_multiplier_frozen'), ('price_book_formula_frozen')) wanted(name)
        LEFT JOIN pg_trigger t ON t.tgname = wanted.name AND NOT t.tgisinternal
        WHERE t.oid IS NULL OR t.tgenabled NOT IN ('O', 'A')""",
    ),
)

INVARIANTS = _PURSES + _ACCOUNTS + _HOLDS + _CALLS + _USAGE + _MONEY
