-- Sets money aside for calls: [{request_id, user_id, group_id, key_id, amount_nano, expires_at, context}].
--
-- A call needs both the owner's purses and the key's allowance to cover the whole amount. A purse gives
-- balance - held + credit limit; debt in one purse counts against the others, so an owner in debt is refused.
-- Answers: held, repeated (same id, same amount, still open), mismatch (same id, otherwise), no_balance (with what is
-- available), key_limit (with what is left of the allowance), refused (not exactly one owner, or a negative amount).
CREATE FUNCTION billing_lock_payers(users bigint[], groups bigint[], keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM billing_ledgeraccount a
    WHERE a.is_purse AND (a.user_id = ANY (users) OR a.group_id = ANY (groups))
    ORDER BY a.id FOR NO KEY UPDATE;
    INSERT INTO billing_keybudget (key_id, limit_nano, spent_nano, held_nano)
    SELECT k, NULL, 0, 0 FROM unnest(keys) k
    WHERE NOT EXISTS (SELECT 1 FROM billing_keybudget b WHERE b.key_id = k)
    ORDER BY k ON CONFLICT DO NOTHING;
    PERFORM 1 FROM billing_keybudget b WHERE b.key_id = ANY (keys) ORDER BY b.key_id FOR NO KEY UPDATE;
END $$;

-- What an owner has free, and from which purses an amount would be drawn; the purses are locked.
CREATE FUNCTION billing_split(payer_user bigint, payer_group bigint, amount bigint,
    OUT available bigint, OUT account_ids bigint[], OUT part_amounts bigint[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    SELECT coalesce(sum(free), 0)::bigint,
        coalesce(array_agg(id ORDER BY priority, id) FILTER (WHERE part > 0), '{}'),
        coalesce(array_agg(part ORDER BY priority, id) FILTER (WHERE part > 0), '{}')
    INTO available, account_ids, part_amounts
    FROM (
        SELECT id, priority, free,
            LEAST(GREATEST(free, 0), GREATEST(amount - coalesce(sum(GREATEST(free, 0)) OVER before, 0), 0))::bigint AS part
        FROM (
            SELECT a.id, a.priority, a.balance_nano - a.held_nano + a.credit_limit_nano AS free
            FROM billing_ledgeraccount a
            WHERE a.is_purse AND a.is_spendable AND (a.user_id = payer_user OR a.group_id = payer_group)
        ) purse
        WINDOW before AS (ORDER BY priority, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) share;
END $$;

CREATE FUNCTION billing_reserve(requests jsonb)
RETURNS TABLE (request_id uuid, status text, available_nano bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    same boolean;
    room bigint;
    split record;
BEGIN
    PERFORM billing_lock_payers(
        array_agg(DISTINCT (x ->> 'user_id')::bigint), array_agg(DISTINCT (x ->> 'group_id')::bigint),
        array_agg(DISTINCT (x ->> 'key_id')::bigint) FILTER (WHERE x ->> 'key_id' IS NOT NULL))
    FROM jsonb_array_elements(requests) x;

    FOR r IN
        SELECT * FROM jsonb_to_recordset(requests) AS x(request_id uuid, user_id bigint, group_id bigint, key_id bigint,
            amount_nano bigint, expires_at timestamptz, context jsonb) ORDER BY x.request_id
    LOOP
        request_id := r.request_id; available_nano := 0;
        IF num_nonnulls(r.user_id, r.group_id) <> 1 OR r.amount_nano IS NULL OR r.amount_nano < 0 THEN
            status := 'refused'; RETURN NEXT; CONTINUE;
        END IF;
        SELECT h.amount_nano = r.amount_nano AND h.state = 'open' INTO same FROM billing_hold h WHERE h.id = r.request_id;
        IF FOUND THEN
            status := CASE WHEN same THEN 'repeated' ELSE 'mismatch' END; RETURN NEXT; CONTINUE;
        END IF;
        SELECT b.limit_nano - b.spent_nano - b.held_nano INTO room FROM billing_keybudget b WHERE b.key_id = r.key_id;
        IF room < r.amount_nano THEN
            status := 'key_limit'; available_nano := room; RETURN NEXT; CONTINUE;
        END IF;
        SELECT * INTO split FROM billing_split(r.user_id, r.group_id, r.amount_nano);
        IF split.available < r.amount_nano THEN
            status := 'no_balance'; available_nano := split.available; RETURN NEXT; CONTINUE;
        END IF;
        INSERT INTO billing_hold (id, user_id, group_id, key_id, amount_nano, account_ids, part_amounts, state, reason,
            context, created_at, expires_at)
        VALUES (r.request_id, r.user_id, r.group_id, r.key_id, r.amount_nano, split.account_ids, split.part_amounts, 'open',
            '', coalesce(r.context, '{}'), clock_timestamp(), r.expires_at)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            -- Only an owner without purses gets here: nothing was locked that would have made the other one wait.
            SELECT h.amount_nano = r.amount_nano INTO same FROM billing_hold h WHERE h.id = r.request_id;
            status := CASE WHEN same THEN 'repeated' ELSE 'mismatch' END; RETURN NEXT; CONTINUE;
        END IF;
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano + p.part, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        FROM unnest(split.account_ids, split.part_amounts) p(id, part) WHERE a.id = p.id;
        UPDATE billing_keybudget b SET held_nano = b.held_nano + r.amount_nano WHERE b.key_id = r.key_id;
        status := 'held'; available_nano := split.available - r.amount_nano;
        RETURN NEXT;
    END LOOP;
END $$;
