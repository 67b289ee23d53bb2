-- Gives back what a call was charged: each purse what it gave, the last one drawn first. Never by today's order of purses.
--
-- An act (request and key) has one effect; all acts of a call together never give back more than it was charged.
-- wanted NULL: all that is left. Answers "refunded" or "repeated", with the amount.
-- PB001 same act with another amount, PB005 nothing left or more than is left.
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
BEGIN
    PERFORM 1 FROM billing_ledgeraccount a WHERE a.is_purse AND a.id IN (
        SELECT e.from_account_id FROM billing_ledgerentry e WHERE e.transaction_id = call AND e.kind = 'charge')
    ORDER BY a.id FOR NO KEY UPDATE;
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
    INTO open_amount, nth FROM billing_ledgerentry e WHERE e.transaction_id = call AND e.kind IN ('charge', 'refund');
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
        FROM billing_ledgerentry c WHERE c.transaction_id = call AND c.kind = 'charge' ORDER BY c.n DESC
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
    status := 'refunded';
END $$;
