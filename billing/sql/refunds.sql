-- Gives back what a call was charged: each purse what it gave, the last one drawn first. Never by today's order of purses.
--
-- What comes back also leaves the spend windows the call counted in, and the roll-ups at the hour of the call (as a pending
-- count of no calls), so that a limit has that room again and every breakdown equals the ledger: charges less refunds.
--
-- An act (request and key) has one effect; all acts of a call together never give back more than it was charged.
-- wanted NULL: all that is left. Answers "refunded" or "repeated", with the amount.
-- PB001 same act with another amount, PB005 nothing left or more than is left.
DROP FUNCTION IF EXISTS billing_refund_call(uuid, text, bigint, bigint, text);
CREATE FUNCTION billing_refund_call(call uuid, act text, wanted bigint, who bigint, why text,
    OUT status text, OUT amount bigint, OUT refund_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    known billing_callrefund;
    open_amount bigint;
    nth int;
    p record;
    place record;
    part bigint;
    payer_users bigint[];
    payer_groups bigint[];
    limited boolean;
BEGIN
    -- Every purse of the payer: who holds them may write the spend windows.
    SELECT array_agg(DISTINCT a.user_id), array_agg(DISTINCT a.group_id) INTO payer_users, payer_groups
    FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.from_account_id
    WHERE e.transaction_id = call AND e.kind = 'charge';
    limited := billing_lock_purses(payer_users, payer_groups);
    SELECT * INTO known FROM billing_callrefund r WHERE r.request_id = call AND r.key = act;
    IF FOUND THEN
        IF wanted IS NOT NULL AND wanted <> known.amount_nano THEN
            RAISE EXCEPTION 'call % was refunded by act % with another amount', call, act USING ERRCODE = 'PB001';
        END IF;
        status := 'repeated'; amount := known.amount_nano; refund_id := known.id;
        RETURN;
    END IF;
    SELECT coalesce(sum(CASE e.kind WHEN 'charge' THEN e.amount_nano ELSE -e.amount_nano END), 0),
        count(*) FILTER (WHERE e.kind = 'refund')
    INTO open_amount, nth FROM billing_ledgerentry e WHERE e.transaction_id = call AND e.kind IN ('charge', 'refund')
      AND NOT EXISTS (SELECT 1 FROM billing_ledgerentry v WHERE v.reverses_id = e.id);
    amount := coalesce(wanted, open_amount);
    IF amount <= 0 OR amount > open_amount THEN
        RAISE EXCEPTION 'call % has % nano-USD to refund, % wanted', call, open_amount, amount USING ERRCODE = 'PB005';
    END IF;
    INSERT INTO billing_callrefund (request_id, key, amount_nano, reason, actor_id, created_at)
    VALUES (call, act, amount, why, who, clock_timestamp()) RETURNING id INTO refund_id;

    open_amount := amount;
    FOR p IN
        SELECT c.from_account_id AS purse, c.to_account_id AS house, c.amount_nano - coalesce((
            SELECT sum(r.amount_nano) FROM billing_ledgerentry r
            WHERE r.transaction_id = call AND r.kind = 'refund' AND r.to_account_id = c.from_account_id), 0) AS taken
        FROM billing_ledgerentry c WHERE c.transaction_id = call AND c.kind = 'charge'
          AND NOT EXISTS (SELECT 1 FROM billing_ledgerentry v WHERE v.reverses_id = c.id) ORDER BY c.n DESC
    LOOP
        part := LEAST(p.taken, open_amount);
        CONTINUE WHEN part <= 0;
        SELECT * INTO place FROM billing_move(p.purse, part);
        INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, to_seq,
            to_balance_nano, booked_at, effective_at, actor_id, reason)
        VALUES (call, 'refund', nth, p.house, p.purse, part, place.new_seq, place.new_balance, clock_timestamp(), now(), who, why);
        nth := nth + 1;
        open_amount := open_amount - part;
    END LOOP;
    INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
        failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
    SELECT billing_usage_quarter(l.started_at), coalesce(l.user_id, 0), coalesce(l.key_id, 0), l.group_code,
        billing_usage_model(l.billed_model, l.asked_model, l.outcome), l.modality, l.origin, 0, 0, 0, 0, 0, -amount
    FROM billing_requestlog l WHERE l.id = call AND l.started_at = uuid7_time(call);
    IF limited THEN
        UPDATE billing_spendwindow w SET spent_nano = w.spent_nano - amount
        FROM billing_hold h CROSS JOIN LATERAL billing_limits_on(h.key_id, h.member_id, h.group_id, h.user_id) x
        WHERE h.id = call AND w.limit_id = x.id AND w.starts_at = billing_window_start(x.span, x.time_zone, uuid7_time(call));
    END IF;
    status := 'refunded';
END $$;
