-- Sets money aside for calls: [{request_id, user_id, group_id, key_id, amount_nano, expires_at, context}].
--
-- A call needs its payer's purses and every spend limit that concerns it to cover the whole amount. A purse gives
-- balance - held + credit limit; debt in one purse counts against the others, so an owner in debt is refused. Calls of a key
-- of purpose "test" are paid by test purses and by nothing else, and no other call ever touches those.
-- Answers: held, repeated (same id, same amount, still open), mismatch (same id, otherwise), no_balance (with what is
-- available), key_limit, member_limit, group_limit, person_limit (with what is left, of which window, and when the next
-- begins), refused (not exactly one payer, a negative amount, or a key that is not there).
--
-- One lock order for every function of the ledger: holds by id, purses by id, then nothing that another may hold. Spend
-- windows and the rows of new holds are written by whoever has the payer's purses.

DROP FUNCTION IF EXISTS billing_lock_payers(bigint[], bigint[], bigint[]);
DROP FUNCTION IF EXISTS billing_lock_purses(bigint[], bigint[]);
DROP FUNCTION IF EXISTS billing_split(bigint, bigint, bigint);
DROP FUNCTION IF EXISTS billing_reserve(jsonb);
DROP FUNCTION IF EXISTS billing_reserve_alone(jsonb);
DROP FUNCTION IF EXISTS billing_reserve_batch(jsonb);
DROP FUNCTION IF EXISTS billing_reserve_batch(jsonb, boolean);
DROP FUNCTION IF EXISTS billing_split(bigint, bigint, boolean, bigint);
DROP TYPE IF EXISTS billing_ask CASCADE;

CREATE TYPE billing_ask AS (
    id uuid, user_id bigint, group_id bigint, key_id bigint, member_id bigint, is_test boolean, amount bigint,
    expires_at timestamptz, context jsonb
);

-- The windows that asks count in.
CREATE FUNCTION billing_windows_of(asks billing_ask[]) RETURNS TABLE (id uuid, window_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT w.* FROM (SELECT array_agg(a.id) AS ids, array_agg(a.key_id) AS keys, array_agg(a.member_id) AS members,
        array_agg(a.group_id) AS groups, array_agg(a.user_id) AS users FROM unnest(asks) a) x
    CROSS JOIN LATERAL billing_windows(x.ids, x.keys, x.members, x.groups, x.users) w;
END $$;

-- Locks all purses of these payers; says whether a spend limit may concern any of them.
CREATE FUNCTION billing_lock_purses(users bigint[], groups bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    limited boolean;
BEGIN
    SELECT coalesce(bool_or(x.has_limits), false) INTO limited FROM (
        SELECT a.has_limits FROM billing_ledgeraccount a
        WHERE a.is_purse AND (a.user_id = ANY (users) OR a.group_id = ANY (groups))
        ORDER BY a.id FOR NO KEY UPDATE
    ) x;
    RETURN limited;
END $$;

-- One ask of a payer with one purse and no limits, which is most of them, in one statement: the update of the purse is the
-- decision. Gives no row for everything else.
CREATE FUNCTION billing_reserve_alone(request jsonb)
RETURNS TABLE (request_id uuid, status text, available_nano bigint, span text, resets_at timestamptz, zone text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    wanted uuid := request ->> 'request_id';
    payer_user bigint := request ->> 'user_id';
    payer_group bigint := request ->> 'group_id';
    caller bigint := request ->> 'key_id';
    amount bigint := request ->> 'amount_nano';
    purse bigint;
    made boolean;
BEGIN
    IF num_nonnulls(payer_user, payer_group) <> 1 OR amount IS NULL OR amount <= 0 THEN
        RETURN;
    END IF;
    WITH caller_key AS (
        SELECT k.purpose = 'test' AS is_test, k.member_id FROM keys_apikey k WHERE k.id = caller
        UNION ALL SELECT false, NULL WHERE caller IS NULL
    ), taken AS (
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano + amount, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        FROM caller_key c
        -- With more than one purse to choose from there are two rows, of which this may take neither.
        WHERE a.id = (
            SELECT CASE WHEN count(*) = 1 THEN min(p.id) END FROM (
                SELECT x.id, x.kind FROM billing_ledgeraccount x
                WHERE x.user_id = payer_user AND x.is_purse AND x.is_spendable
                UNION ALL
                SELECT x.id, x.kind FROM billing_ledgeraccount x
                WHERE x.group_id = payer_group AND x.is_purse AND x.is_spendable
            ) p WHERE (p.kind = 'test') = (SELECT is_test FROM caller_key)
          )
          AND a.is_spendable AND NOT a.has_limits AND a.balance_nano - a.held_nano + a.credit_limit_nano >= amount
          AND NOT EXISTS (SELECT 1 FROM billing_hold h WHERE h.id = wanted)
        RETURNING a.id, a.balance_nano - a.held_nano + a.credit_limit_nano AS room, c.is_test, c.member_id
    ), put AS (
        INSERT INTO billing_hold (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids, part_amounts,
            state, reason, context, created_at, expires_at)
        SELECT wanted, payer_user, payer_group, caller, t.member_id, t.is_test, amount, ARRAY[t.id], ARRAY[amount], 'open', '',
            coalesce(request -> 'context', '{}'), clock_timestamp(), (request ->> 'expires_at')::timestamptz
        FROM taken t
        ON CONFLICT DO NOTHING
        RETURNING true
    )
    SELECT t.id, t.room, EXISTS (SELECT 1 FROM put) INTO purse, available_nano, made FROM taken t;
    IF made THEN
        request_id := wanted; status := 'held';
        RETURN NEXT;
    ELSIF purse IS NOT NULL THEN
        -- Its twin came in between: what was taken for this one goes back, and the long way finds the twin's hold.
        UPDATE billing_ledgeraccount a SET held_nano = a.held_nano - amount WHERE a.id = purse;
    END IF;
END $$;

-- What a payer has free, and from which purses an amount would be drawn; the purses are locked.
CREATE FUNCTION billing_split(payer_user bigint, payer_group bigint, testing boolean, amount bigint,
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
            WHERE a.is_purse AND a.is_spendable AND (a.kind = 'test') = testing
              AND (a.user_id = payer_user OR a.group_id = payer_group)
        ) purse
        WINDOW before AS (ORDER BY priority, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) share;
END $$;

-- One ask after the other, for payers that may not afford all they ask for; their purses are locked.
CREATE FUNCTION billing_reserve_one(r billing_ask, limited boolean)
RETURNS TABLE (request_id uuid, status text, available_nano bigint, span text, resets_at timestamptz, zone text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    low record;
    split record;
BEGIN
    request_id := r.id;
    IF limited THEN
        SELECT l.scope, l.span, l.limit_nano - w.spent_nano - w.held_nano AS room, w.ends_at, l.time_zone INTO low
        FROM billing_windows_of(ARRAY[r]) x
        JOIN billing_spendwindow w ON w.id = x.window_id JOIN billing_spendlimit l ON l.id = w.limit_id
        WHERE l.limit_nano - w.spent_nano - w.held_nano < r.amount
        ORDER BY array_position('{key,member,group,person}', l.scope::text), array_position('{total,monthly,daily}', l.span::text)
        LIMIT 1;
        IF FOUND THEN
            status := low.scope || '_limit'; available_nano := low.room; span := low.span; resets_at := low.ends_at;
            zone := low.time_zone;
            RETURN NEXT; RETURN;
        END IF;
    END IF;
    SELECT * INTO split FROM billing_split(r.user_id, r.group_id, r.is_test, r.amount);
    IF split.available < r.amount THEN
        status := 'no_balance'; available_nano := split.available; RETURN NEXT; RETURN;
    END IF;
    INSERT INTO billing_hold (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids, part_amounts,
        state, reason, context, created_at, expires_at)
    VALUES (r.id, r.user_id, r.group_id, r.key_id, r.member_id, r.is_test, r.amount, split.account_ids, split.part_amounts,
        'open', '', r.context, clock_timestamp(), r.expires_at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        -- Its twin came in between, for another payer or one without purses; the caller looks at what it wrote.
        RETURN;
    END IF;
    UPDATE billing_ledgeraccount a
    SET held_nano = a.held_nano + p.part, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
    FROM unnest(split.account_ids, split.part_amounts) p(id, part) WHERE a.id = p.id;
    IF limited THEN
        UPDATE billing_spendwindow w SET held_nano = w.held_nano + r.amount
        FROM billing_windows_of(ARRAY[r]) x
        WHERE w.id = x.window_id;
    END IF;
    status := 'held'; available_nano := split.available - r.amount;
    RETURN NEXT;
END $$;

-- Which purse pays which part, and what is left after each ask, for payers that can afford all they ask for. A payer's asks lie
-- one after the other on a line, its purses on another, in their order; where the two overlap, that purse pays that part.
CREATE FUNCTION billing_parts(asks billing_ask[]) RETURNS TABLE (id uuid, account_ids bigint[], part_amounts bigint[], room bigint)
LANGUAGE plpgsql SET enable_hashjoin = on AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH ask AS (
        SELECT x.id, x.amount, x.is_test, coalesce(x.user_id, -x.group_id) AS payer,
            sum(x.amount) OVER (PARTITION BY coalesce(x.user_id, -x.group_id), x.is_test ORDER BY x.id) AS upto
        FROM unnest(asks) x
    ), purse AS (
        SELECT f.*, GREATEST(f.free, 0) AS gives,
            sum(GREATEST(f.free, 0)) OVER (PARTITION BY f.payer, f.is_test ORDER BY f.priority, f.id) AS upto
        FROM (
            SELECT a.id, coalesce(a.user_id, -a.group_id) AS payer, a.kind = 'test' AS is_test, a.priority,
                a.balance_nano - a.held_nano + a.credit_limit_nano AS free
            FROM billing_ledgeraccount a
            WHERE (a.user_id = ANY (ARRAY(SELECT DISTINCT k.payer FROM ask k WHERE k.payer > 0))
                OR a.group_id = ANY (ARRAY(SELECT DISTINCT -k.payer FROM ask k WHERE k.payer < 0)))
              AND a.is_purse AND a.is_spendable
        ) f
    ), part AS (
        SELECT ask.id AS ask_id, array_agg(p.id ORDER BY p.priority, p.id) AS ids,
            array_agg((LEAST(ask.upto, p.upto) - GREATEST(ask.upto - ask.amount, p.upto - p.gives))::bigint
                ORDER BY p.priority, p.id) AS parts
        FROM ask JOIN purse p ON p.payer = ask.payer AND p.is_test = ask.is_test
        WHERE ask.amount > 0 AND p.gives > 0 AND p.upto - p.gives < ask.upto AND p.upto > ask.upto - ask.amount
        GROUP BY ask.id
    ), total AS (
        SELECT p.payer, p.is_test, sum(p.free) AS free FROM purse p GROUP BY 1, 2
    )
    SELECT ask.id, coalesce(part.ids, '{}'), coalesce(part.parts, '{}'), (coalesce(total.free, 0) - ask.upto)::bigint
    FROM ask LEFT JOIN part ON part.ask_id = ask.id
    LEFT JOIN total ON total.payer = ask.payer AND total.is_test = ask.is_test;
END $$;

-- Holds for asks of payers that can afford all of them: every purse and window is changed once. Pairs of two arrays say which
-- windows the calls count in.
CREATE FUNCTION billing_reserve_easy(asks billing_ask[], counted_calls uuid[], counted_windows bigint[])
RETURNS TABLE (request_id uuid, available_nano bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    drawn jsonb;
    made uuid[];
BEGIN
    SELECT jsonb_object_agg(p.id, to_jsonb(p)) INTO drawn FROM billing_parts(asks) p;
    WITH put AS (
        INSERT INTO billing_hold AS h (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids,
            part_amounts, state, reason, context, created_at, expires_at)
        SELECT x.id, x.user_id, x.group_id, x.key_id, x.member_id, x.is_test, x.amount, d.account_ids, d.part_amounts, 'open',
            '', x.context, clock_timestamp(), x.expires_at
        FROM unnest(asks) x
        CROSS JOIN LATERAL jsonb_to_record(drawn -> x.id::text) AS d(account_ids bigint[], part_amounts bigint[])
        ORDER BY x.id
        ON CONFLICT DO NOTHING
        RETURNING h.id, h.account_ids, h.part_amounts
    ), taken AS (
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano + t.part, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        FROM (
            SELECT p.id, sum(p.part)::bigint AS part
            FROM put CROSS JOIN LATERAL unnest(put.account_ids, put.part_amounts) p(id, part) GROUP BY p.id
        ) t WHERE a.id = t.id
    )
    SELECT array_agg(put.id) INTO made FROM put;
    IF counted_calls IS NOT NULL THEN
        UPDATE billing_spendwindow w SET held_nano = w.held_nano + t.amount
        FROM (
            SELECT x.window_id, sum(y.amount)::bigint AS amount
            FROM unnest(counted_calls, counted_windows) x(id, window_id) JOIN unnest(asks) y ON y.id = x.id
            WHERE x.id = ANY (made) GROUP BY x.window_id ORDER BY x.window_id
        ) t WHERE w.id = t.window_id;
    END IF;
    RETURN QUERY SELECT m.id, (drawn -> m.id::text ->> 'room')::bigint FROM unnest(made) m(id);
END $$;

-- Every ask of a batch on the long way: locks, then what is known already, then who can afford everything, then the rest. Where
-- the purses are locked already, the caller says whether limits may concern any of them.
CREATE FUNCTION billing_reserve_batch(requests jsonb, limited boolean DEFAULT NULL)
RETURNS TABLE (request_id uuid, status text, available_nano bigint, span text, resets_at timestamptz, zone text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fresh billing_ask[];
    counted_calls uuid[];
    counted_windows bigint[];
    hard bigint[];
    easy billing_ask[];
    one billing_ask;
    answers jsonb := '{}';
BEGIN
    IF limited IS NULL THEN
        limited := (
            SELECT billing_lock_purses(array_agg(x.user_id), array_agg(x.group_id))
            FROM jsonb_to_recordset(requests) AS x(user_id bigint, group_id bigint, amount_nano bigint)
            WHERE num_nonnulls(x.user_id, x.group_id) = 1 AND x.amount_nano >= 0
        );
    END IF;
    SELECT coalesce(array_agg(a ORDER BY (a).id), '{}') INTO fresh FROM (
        SELECT DISTINCT ON (x.request_id) ROW(x.request_id, x.user_id, x.group_id, x.key_id, k.member_id,
            coalesce(k.purpose = 'test', false), x.amount_nano, x.expires_at, coalesce(x.context, '{}'))::billing_ask AS a
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (request_id uuid, user_id bigint, group_id bigint, key_id bigint,
            amount_nano bigint, expires_at timestamptz, context jsonb))
            WITH ORDINALITY x(request_id, user_id, group_id, key_id, amount_nano, expires_at, context, ord)
        LEFT JOIN keys_apikey k ON k.id = x.key_id
        WHERE num_nonnulls(x.user_id, x.group_id) = 1 AND x.amount_nano >= 0 AND (x.key_id IS NULL OR k.id IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM billing_hold h WHERE h.id = x.request_id)
        ORDER BY x.request_id, x.ord
    ) sound;

    -- Payers (a team's number is negative) that cannot pay, or may not spend, all they ask for.
    SELECT array_agg(t.payer) INTO hard FROM (
        SELECT coalesce(x.user_id, -x.group_id) AS payer, x.is_test, sum(x.amount) AS amount FROM unnest(fresh) x GROUP BY 1, 2
    ) t WHERE t.amount > coalesce((
        SELECT sum(a.balance_nano - a.held_nano + a.credit_limit_nano) FROM billing_ledgeraccount a
        WHERE (a.user_id = t.payer OR a.group_id = -t.payer) AND a.is_purse AND a.is_spendable AND (a.kind = 'test') = t.is_test
    ), 0);
    IF limited THEN
        SELECT w.calls, w.window_ids INTO counted_calls, counted_windows
        FROM (SELECT array_agg(a.id) AS ids, array_agg(a.key_id) AS keys, array_agg(a.member_id) AS members,
            array_agg(a.group_id) AS groups, array_agg(a.user_id) AS users FROM unnest(fresh) a) x
        CROSS JOIN LATERAL billing_counting(x.ids, x.keys, x.members, x.groups, x.users) w;
        SELECT coalesce(hard, '{}') || coalesce(array_agg(coalesce(x.user_id, -x.group_id)), '{}') INTO hard
        FROM (
            SELECT w.id, l.limit_nano - min(w.spent_nano + w.held_nano) - sum(x.amount) AS room, array_agg(x.id) AS ids
            FROM unnest(counted_calls, counted_windows) y(id, window_id) JOIN unnest(fresh) x ON x.id = y.id
            JOIN billing_spendwindow w ON w.id = y.window_id JOIN billing_spendlimit l ON l.id = w.limit_id
            GROUP BY w.id, l.limit_nano
        ) full_one JOIN unnest(fresh) x ON x.id = ANY (full_one.ids) WHERE full_one.room < 0;
    END IF;
    easy := ARRAY(SELECT x FROM unnest(fresh) x WHERE coalesce(x.user_id, -x.group_id) <> ALL (coalesce(hard, '{}')));
    IF easy <> '{}' THEN
        SELECT coalesce(jsonb_object_agg(e.request_id, jsonb_build_object('status', 'held', 'available_nano', e.available_nano)), '{}')
        INTO answers FROM billing_reserve_easy(easy, counted_calls, counted_windows) e;
    END IF;
    FOR one IN SELECT x.* FROM unnest(fresh) x WHERE coalesce(x.user_id, -x.group_id) = ANY (hard) ORDER BY x.id LOOP
        SELECT answers || coalesce(jsonb_object_agg(e.request_id, to_jsonb(e)), '{}') INTO answers
        FROM billing_reserve_one(one, limited) e;
    END LOOP;

    RETURN QUERY
    SELECT q.request_id,
        CASE WHEN NOT q.sound THEN 'refused'
             WHEN said.was ->> 'status' <> 'held' OR (said.was IS NOT NULL AND q.nth = 1) THEN said.was ->> 'status'
             WHEN h.amount_nano = q.amount_nano AND h.state = 'open' THEN 'repeated' ELSE 'mismatch' END,
        CASE WHEN q.sound AND (q.nth = 1 OR said.was ->> 'status' <> 'held')
            THEN coalesce((said.was ->> 'available_nano')::bigint, 0) ELSE 0 END,
        said.was ->> 'span', (said.was ->> 'resets_at')::timestamptz, said.was ->> 'zone'
    FROM (
        SELECT x.*, row_number() OVER (PARTITION BY x.request_id, x.sound ORDER BY x.ord) AS nth FROM (
            SELECT r.*, num_nonnulls(r.user_id, r.group_id) = 1 AND coalesce(r.amount_nano >= 0, false)
                AND (r.key_id IS NULL OR EXISTS (SELECT 1 FROM keys_apikey k WHERE k.id = r.key_id)) AS sound
            FROM ROWS FROM (jsonb_to_recordset(requests) AS (request_id uuid, user_id bigint, group_id bigint, key_id bigint,
                amount_nano bigint)) WITH ORDINALITY r(request_id, user_id, group_id, key_id, amount_nano, ord)
        ) x
    ) q
    CROSS JOIN LATERAL (SELECT answers -> q.request_id::text AS was) said
    LEFT JOIN billing_hold h ON h.id = q.request_id
    ORDER BY q.ord;
END $$;

-- One ask alone, then what is plain in one statement (reserve_plain.sql), then the rest on the long way.
CREATE FUNCTION billing_reserve(requests jsonb)
RETURNS TABLE (request_id uuid, status text, available_nano bigint, span text, resets_at timestamptz, zone text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    many int := jsonb_array_length(requests);
    plain record;
    others bigint[];
BEGIN
    IF many = 1 THEN
        RETURN QUERY SELECT * FROM billing_reserve_alone(requests -> 0);
        IF NOT FOUND THEN
            RETURN QUERY SELECT * FROM billing_reserve_batch(requests);
        END IF;
        RETURN;
    END IF;
    SELECT * INTO plain FROM billing_reserve_plain(requests);
    IF cardinality(plain.ids) = many THEN
        RETURN QUERY SELECT x.id, 'held', x.room, NULL::text, NULL::timestamptz, NULL::text
        FROM unnest(plain.ids, plain.rooms) x(id, room);
        RETURN;
    END IF;
    -- The purses of everybody whose ask is sound are locked now.
    others := ARRAY(SELECT n FROM generate_series(1, many) n WHERE n <> ALL (coalesce(plain.places, '{}')) ORDER BY n);
    RETURN QUERY
    SELECT x.id, x.status, x.room, x.span, x.resets_at, x.zone FROM (
        SELECT y.place, y.id, 'held' AS status, y.room, NULL::text AS span, NULL::timestamptz AS resets_at, NULL::text AS zone
        FROM unnest(plain.places, plain.ids, plain.rooms) y(place, id, room)
        UNION ALL
        SELECT others[z.nth], z.id, z.status, z.room, z.span, z.resets_at, z.zone
        FROM billing_reserve_batch((SELECT jsonb_agg(requests -> (n - 1)::int ORDER BY n) FROM unnest(others) n), plain.limited)
            WITH ORDINALITY z(id, status, room, span, resets_at, zone, nth)
    ) x ORDER BY x.place;
END $$;
