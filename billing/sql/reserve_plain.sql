-- Holds for a batch in one statement, as far as its payers have one purse to choose from, no limits, and money for all they ask
-- for: that is most of them, and the start of a statement is what a small batch costs. The purses of everybody in the batch are
-- locked in the order of their ids, so the rest can go the long way afterwards (ledger_reserve.sql).

DROP FUNCTION IF EXISTS billing_reserve_plain(jsonb);
DROP TYPE IF EXISTS billing_plain_ask;
CREATE TYPE billing_plain_ask AS (
    ord bigint, id uuid, user_id bigint, group_id bigint, key_id bigint, member_id bigint, amount bigint, expires_at timestamptz,
    context jsonb
);

-- Gives place in the batch, id and what is left afterwards of each that was held, and whether limits may concern the others.
CREATE FUNCTION billing_reserve_plain(requests jsonb, OUT places bigint[], OUT ids uuid[], OUT rooms bigint[],
    OUT limited boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    made uuid[];
BEGIN
    WITH asked AS (
        SELECT coalesce(x.user_id, x.group_id * -1) AS payer, coalesce(k.purpose = 'test', false) AS is_test,
            sum(x.amount_nano)::bigint AS total, min(x.amount_nano) AS least,
            array_agg(ROW(x.ord, x.request_id, x.user_id, x.group_id, x.key_id, k.member_id, x.amount_nano, x.expires_at,
                x.context)::billing_plain_ask) AS asks
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (request_id uuid, user_id bigint, group_id bigint, key_id bigint,
            amount_nano bigint, expires_at timestamptz, context jsonb))
            WITH ORDINALITY x(request_id, user_id, group_id, key_id, amount_nano, expires_at, context, ord)
        LEFT JOIN keys_apikey k ON k.id = x.key_id
        WHERE num_nonnulls(x.user_id, x.group_id) = 1 AND x.amount_nano >= 0 AND (x.key_id IS NULL OR k.id IS NOT NULL)
        GROUP BY 1, 2
    ), purse AS (
        SELECT p.*, a.id, a.has_limits, a.is_spendable AND (a.kind = 'test') = p.is_test AS pays,
            a.balance_nano - a.held_nano + a.credit_limit_nano AS free
        FROM asked p JOIN billing_ledgeraccount a ON coalesce(a.user_id, a.group_id * -1) = p.payer AND a.is_purse
        ORDER BY a.id FOR NO KEY UPDATE OF a
    ), plain AS (
        SELECT c.*, x.id AS purse, x.is_test, (x.free - sum(c.amount) OVER (PARTITION BY x.id ORDER BY c.id))::bigint AS room
        FROM (
            SELECT p.*, count(*) FILTER (WHERE p.pays) OVER (PARTITION BY p.payer, p.is_test) AS choices FROM purse p
        ) x CROSS JOIN LATERAL unnest(x.asks) c
        WHERE x.pays AND x.choices = 1 AND NOT x.has_limits AND x.least > 0 AND x.free >= x.total
    ), put AS (
        INSERT INTO billing_hold AS h (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids,
            part_amounts, state, reason, context, created_at, expires_at)
        SELECT p.id, p.user_id, p.group_id, p.key_id, p.member_id, p.is_test, p.amount, ARRAY[p.purse], ARRAY[p.amount],
            'open', '', coalesce(p.context, '{}'), clock_timestamp(), p.expires_at
        FROM plain p ORDER BY p.id, p.ord
        ON CONFLICT DO NOTHING
        RETURNING h.id, h.amount_nano, h.account_ids[1] AS purse
    ), taken AS (
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano + t.amount, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        FROM (SELECT p.purse, sum(p.amount_nano)::bigint AS amount FROM put p GROUP BY 1) t
        WHERE a.id = t.purse
    )
    SELECT array_agg(p.ord ORDER BY p.ord), array_agg(p.id ORDER BY p.ord), array_agg(p.room ORDER BY p.ord),
        (SELECT array_agg(x.id) FROM put x), (SELECT coalesce(bool_or(x.has_limits), false) FROM purse x)
    INTO places, ids, rooms, made, limited FROM plain p;
    IF cardinality(made) IS DISTINCT FROM cardinality(ids) THEN
        -- Some have a twin: of two in the batch the first was held, and none of which the hold was there before.
        SELECT array_agg(x.place ORDER BY x.place), array_agg(x.id ORDER BY x.place), array_agg(x.room ORDER BY x.place)
        INTO places, ids, rooms FROM (
            SELECT DISTINCT ON (y.id) y.* FROM unnest(places, ids, rooms) y(place, id, room) WHERE y.id = ANY (made)
            ORDER BY y.id, y.place
        ) x;
    END IF;
END $$;
