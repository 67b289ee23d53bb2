-- Money between two accounts, by hand or by import. Calls are charged by billing_record.
--
-- Every function of the ledger locks in one order, so that none waits for another in a circle:
-- holds by id, then purses by id (see ledger_reserve.sql). What may be posted at all: check_posting.sql.
-- SQLSTATEs that services translate: PB001 same act with other figures, PB002 purse too low, PB003 already reversed,
-- PB004 not a posting that may be made.

-- The account of the house for a kind and origin; made when missing, safe to call twice at once.
CREATE FUNCTION billing_house_account(wanted_kind text, wanted_origin text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    LOOP
        SELECT a.id INTO found_id FROM billing_ledgeraccount a
        WHERE a.user_id IS NULL AND a.group_id IS NULL AND a.kind = wanted_kind AND a.currency = 'USD'
          AND a.origin = wanted_origin;
        IF FOUND THEN
            RETURN found_id;
        END IF;
        INSERT INTO billing_ledgeraccount (kind, currency, origin, is_purse, is_spendable, balance_nano, held_nano,
            floor_nano, credit_limit_nano, priority, seq, created_at)
        VALUES (wanted_kind, 'USD', wanted_origin, false, false, 0, 0, 0, 0, 50, 0, now())
        ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Adds an amount (negative: takes it) to a purse whose row is locked, and gives its new number and balance.
-- A house account has neither. The floor follows: it is the credit limit, or the debt when that is deeper.
CREATE FUNCTION billing_move(account bigint, change bigint, OUT new_seq bigint, OUT new_balance bigint)
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_ledgeraccount a
    SET balance_nano = a.balance_nano + change,
        seq = a.seq + 1,
        floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano + change - a.held_nano)
    WHERE a.id = account AND a.is_purse
    RETURNING a.seq, a.balance_nano INTO new_seq, new_balance;
END $$;

-- Posts all of [{transaction_id, kind, n, from_account_id, to_account_id, amount_nano, reason, effective_at, actor_id,
-- reverses_id, allow_debt}] or none of it. An act that is there already is answered "repeated".
CREATE FUNCTION billing_post_entries(postings jsonb)
RETURNS TABLE (transaction_id uuid, kind text, n int, status text, entry_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p record;
    known billing_ledgerentry;
    low record;
    high record;
BEGIN
    PERFORM 1 FROM billing_ledgeraccount a
    WHERE a.is_purse AND a.id IN (
        SELECT unnest(ARRAY[(x ->> 'from_account_id')::bigint, (x ->> 'to_account_id')::bigint])
        FROM jsonb_array_elements(postings) x)
    ORDER BY a.id FOR NO KEY UPDATE;

    FOR p IN
        SELECT x.doc, (x.doc ->> 'transaction_id')::uuid AS tx, x.doc ->> 'kind' AS what,
            coalesce((x.doc ->> 'n')::int, 0) AS nth, (x.doc ->> 'from_account_id')::bigint AS source,
            (x.doc ->> 'to_account_id')::bigint AS target, (x.doc ->> 'amount_nano')::bigint AS amount,
            (x.doc ->> 'reverses_id')::bigint AS original
        FROM jsonb_array_elements(postings) WITH ORDINALITY x(doc, ord) ORDER BY x.ord
    LOOP
        transaction_id := p.tx; kind := p.what; n := p.nth;
        SELECT * INTO known FROM billing_ledgerentry e WHERE e.transaction_id = p.tx AND e.kind = p.what AND e.n = p.nth;
        IF NOT FOUND THEN
            PERFORM billing_check_posting(p.doc);
            -- The row is written first, without figures of its own, so that of two equal acts at once one waits and sees it.
            SELECT a.seq + 1 AS seq, a.balance_nano - p.amount AS balance INTO low
            FROM billing_ledgeraccount a WHERE a.id = p.source AND a.is_purse;
            SELECT a.seq + 1 AS seq, a.balance_nano + p.amount AS balance INTO high
            FROM billing_ledgeraccount a WHERE a.id = p.target AND a.is_purse;
            INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq,
                from_balance_nano, to_seq, to_balance_nano, booked_at, effective_at, actor_id, reason, reverses_id)
            VALUES (p.tx, p.what, p.nth, p.source, p.target, p.amount, low.seq, low.balance, high.seq, high.balance,
                clock_timestamp(), coalesce((p.doc ->> 'effective_at')::timestamptz, now()), (p.doc ->> 'actor_id')::bigint,
                coalesce(p.doc ->> 'reason', ''), p.original)
            ON CONFLICT DO NOTHING RETURNING id INTO entry_id;
            IF FOUND THEN
                PERFORM billing_move(p.source, -p.amount);
                PERFORM billing_move(p.target, p.amount);
                status := 'posted';
                RETURN NEXT;
                CONTINUE;
            END IF;
            SELECT * INTO known FROM billing_ledgerentry e
            WHERE e.transaction_id = p.tx AND e.kind = p.what AND e.n = p.nth;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'entry % is reversed already', p.original USING ERRCODE = 'PB003';
            END IF;
        END IF;
        IF known.from_account_id <> p.source OR known.to_account_id <> p.target OR known.amount_nano <> p.amount
           OR known.reverses_id IS DISTINCT FROM p.original THEN
            RAISE EXCEPTION '% % % was posted with other figures', p.tx, p.what, p.nth USING ERRCODE = 'PB001';
        END IF;
        status := 'repeated'; entry_id := known.id;
        RETURN NEXT;
    END LOOP;
END $$;
