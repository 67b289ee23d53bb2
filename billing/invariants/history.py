"""History that was sealed is still what it was, and the desk: queries like those of ``billing.invariants.queries``."""

from billing.invariants.queries import LINES, Invariant

_SEALED = f"""(
    SELECT coalesce(l.id, 0) AS entry_id, coalesce(m.account_id, l.account_id) AS account_id, coalesce(m.seq, l.seq) AS seq,
        m.mark AS sealed, CASE WHEN l.id IS NOT NULL THEN billing_entry_mark(e, coalesce(m.version, 1::smallint)) END AS found
    FROM (
        SELECT s.account_id, s.version, s.first_seq + n AS seq, substr(s.marks, n::int * 32 + 1, 32) AS mark
        FROM billing_ledgerseal s CROSS JOIN LATERAL generate_series(0, s.last_seq - s.first_seq) n
    ) m
    FULL JOIN (
        SELECT x.* FROM {LINES} x JOIN billing_ledgersealhead h ON h.account_id = x.account_id AND x.seq <= h.last_seq
    ) l ON l.account_id = m.account_id AND l.seq = m.seq
    LEFT JOIN billing_ledgerentry e ON e.id = l.id
)"""  # noqa: S608  (parts are constants)

HISTORY = (
    Invariant(
        "seal_entry",
        "Every entry that was sealed is there and has the fields it was sealed with.",
        f"""SELECT CASE WHEN x.entry_id = 0 THEN 'purse ' || x.account_id ELSE 'entry ' || x.entry_id END,
            CASE WHEN x.entry_id = 0 THEN format('entry number %s was removed', x.seq)
                 WHEN x.sealed IS NULL THEN format('was slipped in as number %s of purse %s', x.seq, x.account_id)
                 ELSE format('number %s of purse %s is not what was sealed', x.seq, x.account_id) END
        FROM {_SEALED} x WHERE x.sealed IS DISTINCT FROM x.found""",  # noqa: S608
    ),
    Invariant(
        "seal_chain",
        "The seals of a purse follow each other without a gap, and the last one is its head.",
        """SELECT 'seal ' || s.id, format('purse %s entries %s to %s', s.account_id, s.first_seq, s.last_seq) FROM (
            SELECT s.*, lag(s.digest) OVER own AS before, coalesce(lag(s.last_seq) OVER own, 0) AS last_before
            FROM billing_ledgerseal s WINDOW own AS (PARTITION BY s.account_id ORDER BY s.first_seq)
        ) s WHERE s.first_seq <> s.last_before + 1 OR length(s.marks) <> 32 * (s.last_seq - s.first_seq + 1)
            OR s.digest <> sha256(coalesce(s.before, billing_seal_genesis(s.account_id)) || s.marks)
        UNION ALL
        SELECT 'purse ' || coalesce(h.account_id, s.account_id), format('sealed to %s, last seal to %s', h.last_seq, s.last_seq)
        FROM billing_ledgersealhead h FULL JOIN (
            SELECT DISTINCT ON (account_id) account_id, last_seq, digest FROM billing_ledgerseal
            ORDER BY account_id, first_seq DESC
        ) s ON s.account_id = h.account_id
        WHERE (h.last_seq, h.digest) IS DISTINCT FROM (s.last_seq, s.digest)""",
    ),
)

DESK = (
    Invariant(
        "suspense",
        "Suspense is below zero by what late items of the desk have open, and by nothing else.",
        """SELECT 'suspense', format('%s by entries, %s open at the desk', x.booked, x.waiting) FROM (
            SELECT coalesce((SELECT sum(CASE WHEN e.to_account_id = a.id THEN e.amount_nano ELSE -e.amount_nano END)
                FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON a.id IN (e.from_account_id, e.to_account_id)
                WHERE a.kind = 'suspense' AND a.origin NOT IN ('payments', 'disputes')), 0) AS booked,
                (SELECT coalesce(sum(d.amount_nano), 0) FROM billing_deskitem d
                WHERE d.state = 'open' AND d.entry_id IS NOT NULL) AS waiting
        ) x WHERE x.booked <> -x.waiting""",
    ),
    Invariant(
        "payments",
        "Suspense of payments holds what the open unmatched payments say; a paid order was credited once, for its amount.",
        """SELECT 'suspense', format('%s by entries, %s unmatched', x.booked, x.waiting) FROM (
            SELECT coalesce((SELECT sum(CASE WHEN e.to_account_id = a.id THEN e.amount_nano ELSE -e.amount_nano END)
                FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON a.id IN (e.from_account_id, e.to_account_id)
                WHERE a.kind = 'suspense' AND a.origin = 'payments'), 0) AS booked,
                (SELECT coalesce(sum(i.booked_nano), 0) FROM billing_incomingpayment i WHERE i.state = 'open') AS waiting
        ) x WHERE x.booked <> x.waiting
        UNION ALL
        SELECT 'payment ' || p.id, format('%s of %s, credited %s', p.state, p.amount_nano, e.amount_nano)
        FROM billing_payment p LEFT JOIN billing_ledgerentry e ON e.id = p.entry_id AND e.transaction_id = p.id
        WHERE p.state IN ('paid', 'refunded') AND e.amount_nano IS DISTINCT FROM p.amount_nano
        UNION ALL
        SELECT 'payment ' || p.id, format('given back %s, refunds %s', p.refunded_nano, coalesce(r.n, 0))
        FROM billing_payment p LEFT JOIN (
            SELECT payment_id, sum(amount_nano) AS n FROM (
                SELECT payment_id, amount_nano FROM billing_paymentrefund WHERE state <> 'failed'
                UNION ALL SELECT payment_id, amount_nano FROM billing_paymentdispute WHERE state = 'lost'
            ) back GROUP BY 1
        ) r ON r.payment_id = p.id WHERE p.refunded_nano <> coalesce(r.n, 0)""",
    ),
    Invariant(
        "cash",
        "What came into and left the house's cash for payments and transfers is what the payments, the unmatched ones and the "
        "refunds say, entry by entry and in sum.",
        """SELECT 'entry ' || e.id, format('%s of %s that no payment knows', e.kind, e.amount_nano)
        FROM billing_ledgerentry e
        WHERE (e.kind = 'paid_back' AND NOT EXISTS (SELECT 1 FROM billing_paymentrefund r WHERE r.entry_id = e.id)
                AND NOT EXISTS (SELECT 1 FROM billing_incomingpayment i WHERE i.state = 'returned' AND i.source = 'transfer'
                    AND (i.id = e.transaction_id OR (i.booked_nano = e.amount_nano AND i.reason = e.reason))))
           OR (e.kind = 'unmatched' AND NOT EXISTS (SELECT 1 FROM billing_incomingpayment i WHERE i.id = e.transaction_id
                AND i.booked_nano = e.amount_nano))
        UNION ALL
        SELECT 'refund ' || r.id, format('%s of %s, entry %s', r.state, r.amount_nano, e.amount_nano)
        FROM billing_paymentrefund r LEFT JOIN billing_ledgerentry e ON e.id = r.entry_id
        LEFT JOIN billing_ledgerentry b ON b.reverses_id = e.id
        WHERE (r.payment_id IS NOT NULL AND e.amount_nano IS DISTINCT FROM r.amount_nano)
           OR (e.id IS NOT NULL AND (r.state = 'failed') <> (b.id IS NOT NULL))
        UNION ALL
        SELECT 'cash', format('%s by entries of payments, %s by payments', x.booked, x.said) FROM (
            SELECT (SELECT coalesce(sum(CASE WHEN e.to_account_id = a.id THEN -e.amount_nano ELSE e.amount_nano END), 0)
                FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON a.id IN (e.from_account_id, e.to_account_id)
                WHERE a.kind = 'cash' AND a.currency = 'USD' AND (e.kind IN ('unmatched', 'paid_back')
                    OR EXISTS (SELECT 1 FROM billing_ledgerentry o WHERE o.id = e.reverses_id AND o.kind = 'paid_back')
                    OR EXISTS (SELECT 1 FROM billing_payment p WHERE p.entry_id = e.id))) AS booked,
                (SELECT coalesce(sum(amount_nano), 0) FROM billing_payment WHERE state IN ('paid', 'refunded'))
                + (SELECT coalesce(sum(booked_nano), 0) FROM billing_incomingpayment
                    WHERE state <> 'returned' OR (source = 'provider' AND booked_nano IS NOT NULL))
                - (SELECT coalesce(sum(r.amount_nano), 0) FROM billing_paymentrefund r
                    WHERE r.state <> 'failed' AND r.entry_id IS NOT NULL) AS said
        ) x WHERE x.booked <> x.said""",
    ),
    Invariant(
        "disputes",
        "What is disputed lies in its suspense account while that is open, came back when won and left as cash when lost.",
        """SELECT 'suspense', format('%s by entries, %s in open disputes', x.booked, x.waiting) FROM (
            SELECT coalesce((SELECT sum(CASE WHEN e.to_account_id = a.id THEN e.amount_nano ELSE -e.amount_nano END)
                FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON a.id IN (e.from_account_id, e.to_account_id)
                WHERE a.kind = 'suspense' AND a.origin = 'disputes'), 0) AS booked,
                (SELECT coalesce(sum(d.amount_nano), 0) FROM billing_paymentdispute d WHERE d.state = 'open') AS waiting
        ) x WHERE x.booked <> x.waiting
        UNION ALL
        SELECT 'dispute ' || d.id, format('%s, amount %s, taken %s, closed by %s', d.state, d.amount_nano, e.amount_nano,
            c.amount_nano)
        FROM billing_paymentdispute d
        LEFT JOIN billing_ledgerentry e ON e.id = d.entry_id AND e.transaction_id = d.id AND e.n = 0
        LEFT JOIN billing_ledgerentry c ON c.id = d.closing_entry_id AND c.transaction_id = d.id AND c.n = 1
        LEFT JOIN billing_ledgeraccount t ON t.id = c.to_account_id
        WHERE e.amount_nano IS DISTINCT FROM d.amount_nano
           OR (d.state <> 'open' AND (c.amount_nano IS DISTINCT FROM d.amount_nano OR t.is_purse <> (d.state = 'won')))
        UNION ALL
        SELECT 'entry ' || e.id, 'belongs to no dispute' FROM billing_ledgerentry e
        WHERE e.kind = 'dispute' AND NOT EXISTS (SELECT 1 FROM billing_paymentdispute d WHERE d.id = e.transaction_id)""",
    ),
    Invariant(
        "desk",
        "An item of the desk has its money booked once: into suspense when it waits there, and all of it when it is closed.",
        """SELECT 'item ' || d.id, format('%s, amount %s, entry %s, closed by %s', d.state, d.amount_nano,
            e.amount_nano, c.booked)
        FROM billing_deskitem d LEFT JOIN billing_ledgerentry e ON e.id = d.entry_id
        LEFT JOIN (
            SELECT transaction_id, sum(amount_nano) AS booked FROM billing_ledgerentry WHERE kind = 'desk' GROUP BY 1
        ) c ON c.transaction_id = d.closing_id
        WHERE (d.entry_id IS NOT NULL AND e.amount_nano IS DISTINCT FROM d.amount_nano)
           OR (d.state = 'open' AND c.booked IS NOT NULL)
           OR (d.state = 'ignored' AND (c.booked IS NOT NULL OR d.entry_id IS NOT NULL))
           OR (d.state NOT IN ('open', 'ignored') AND coalesce(c.booked, 0)
               <> GREATEST(d.amount_nano, coalesce(d.settled_nano, 0)))
        UNION ALL
        SELECT 'entry ' || e.id, 'belongs to no item of the desk' FROM billing_ledgerentry e
        WHERE (e.kind = 'late' AND NOT EXISTS (SELECT 1 FROM billing_deskitem d WHERE d.entry_id = e.id))
           OR (e.kind = 'desk' AND NOT EXISTS (SELECT 1 FROM billing_deskitem d WHERE d.closing_id = e.transaction_id))""",
    ),
    Invariant(
        "currency",
        "Every entry stays within one currency, every currency sums to zero, and what calls draw from is in USD.",
        """SELECT 'entry ' || e.id, format('from %s to %s', f.currency, t.currency) FROM billing_ledgerentry e
        JOIN billing_ledgeraccount f ON f.id = e.from_account_id JOIN billing_ledgeraccount t ON t.id = e.to_account_id
        WHERE f.currency <> t.currency OR (e.kind = 'charge' AND f.currency <> 'USD')
        UNION ALL
        SELECT 'currency ' || x.currency, format('sums to %s', sum(x.amount)) FROM (
            SELECT f.currency, -e.amount_nano AS amount FROM billing_ledgerentry e
            JOIN billing_ledgeraccount f ON f.id = e.from_account_id
            UNION ALL
            SELECT t.currency, e.amount_nano FROM billing_ledgerentry e JOIN billing_ledgeraccount t ON t.id = e.to_account_id
        ) x GROUP BY x.currency HAVING sum(x.amount) <> 0""",
    ),
    Invariant(
        "conversions",
        "A conversion is what its rate says: what was given, received and rounded, each booked once.",
        """SELECT 'conversion ' || c.id, format('gives %s, receives %s, rounding %s; entries %s', c.from_nano, c.to_nano,
            c.residue_nano, e.booked)
        FROM billing_currencyconversion c LEFT JOIN (
            SELECT e.transaction_id, array_agg(e.amount_nano ORDER BY e.n) AS booked FROM billing_ledgerentry e
            WHERE e.kind = 'conversion' GROUP BY 1
        ) e ON e.transaction_id = c.id
        WHERE c.to_nano::numeric + c.residue_nano <> div(c.from_nano::numeric * c.rate_numerator, c.rate_denominator)
           OR e.booked IS DISTINCT FROM CASE WHEN c.residue_nano = 0 THEN ARRAY[c.from_nano, c.to_nano]
               ELSE ARRAY[c.from_nano, c.to_nano, abs(c.residue_nano)] END
        UNION ALL
        SELECT 'entry ' || e.id, 'belongs to no conversion' FROM billing_ledgerentry e WHERE e.kind = 'conversion'
            AND NOT EXISTS (SELECT 1 FROM billing_currencyconversion c WHERE c.id = e.transaction_id)""",
    ),
    Invariant(
        "refunds",
        "A call is given back to the purses that paid it, never more than each gave, and every act adds up.",
        """SELECT 'call ' || x.id, format('purse %s gave %s, got back %s', x.purse, x.gave, x.got) FROM (
            SELECT transaction_id AS id, CASE kind WHEN 'charge' THEN from_account_id ELSE to_account_id END AS purse,
                coalesce(sum(amount_nano) FILTER (WHERE kind = 'charge'), 0) AS gave,
                coalesce(sum(amount_nano) FILTER (WHERE kind = 'refund'), 0) AS got
            FROM billing_ledgerentry WHERE kind IN ('charge', 'refund')
                AND transaction_id IN (SELECT request_id FROM billing_callrefund)
            GROUP BY 1, 2
        ) x WHERE x.got > x.gave
        UNION ALL
        SELECT 'call ' || coalesce(r.request_id, e.transaction_id), format('acts %s, entries %s', r.given, e.booked) FROM (
            SELECT request_id, sum(amount_nano) AS given FROM billing_callrefund GROUP BY 1
        ) r FULL JOIN (
            SELECT e.transaction_id, sum(e.amount_nano) AS booked FROM billing_ledgerentry e
            JOIN billing_ledgeraccount f ON f.id = e.from_account_id AND f.kind = 'revenue'
            WHERE e.kind = 'refund' GROUP BY 1
        ) e ON e.transaction_id = r.request_id WHERE r.given IS DISTINCT FROM e.booked""",
    ),
)
