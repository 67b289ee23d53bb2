-- The end of calls: [{request_id, cost_nano, hold, reason, log, lease_id, promised_nano}]. One transaction writes the request log
-- (inserting it is what makes an event count once), closes the hold, charges the purses, and adds to spend windows and usage.
-- The last two are for calls that drew on a lease (leases.sql): their hold is made here, out of what the lease has left.
-- Answers: recorded, repeated, late (the hold had expired: charged all the same, the sweeper's log row replaced), refused,
-- and parked (too late to be charged: late_events.sql, which follows up on what a batch could not take).

DROP FUNCTION IF EXISTS billing_record(jsonb);
DROP FUNCTION IF EXISTS billing_record_batch(jsonb);
DROP FUNCTION IF EXISTS billing_record_singly(jsonb);
DROP FUNCTION IF EXISTS billing_record_followed(jsonb);
DROP FUNCTION IF EXISTS billing_record_alone(jsonb);
DROP FUNCTION IF EXISTS billing_draw_leases(jsonb);
DROP FUNCTION IF EXISTS billing_drop_logs(uuid[]);
DROP FUNCTION IF EXISTS billing_refusal(uuid, bigint, boolean, jsonb);
DROP FUNCTION IF EXISTS billing_sound_calls(jsonb);
-- Takes with it every function that has calls among its parameters.
DROP TYPE IF EXISTS billing_call CASCADE;
CREATE TYPE billing_call AS (
    ord bigint, id uuid, cost bigint, reason text, log jsonb, key_id bigint, user_id bigint, group_id bigint, member_id bigint,
    is_test boolean, amount bigint, account_ids bigint[], part_amounts bigint[], is_open boolean, is_late boolean
);

-- A request log row with every column filled, for events that leave some out.
CREATE OR REPLACE FUNCTION billing_blank_log() RETURNS billing_requestlog LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(NULL::billing_requestlog, '{"duration_ms": 0, "key_name": "", "key_tail": "",
        "group_code": "", "endpoint": "", "is_stream": false, "route": "new", "asked_model": "", "billed_model": "",
        "served_model": "", "outcome": "ok", "http_status": 0, "error_code": "", "input_tokens": 0, "cached_tokens": 0,
        "cache_write_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "usage_source": "none", "held_nano": 0,
        "cost_nano": 0, "price_detail": {}, "attempts": [], "client_family": "", "client_network": "", "origin": "relay",
        "source_ref": "", "modality": "text", "audio_input_tokens": 0, "audio_output_tokens": 0, "image_count": 0,
        "media_ms": 0, "character_count": 0, "media_size": "", "media_quality": ""}')
$$;

-- Writes the log rows and their usage; gives the ids that were not there yet.
CREATE FUNCTION billing_write_logs(calls billing_call[]) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    written uuid[];
    blank billing_requestlog := billing_blank_log();
BEGIN
    WITH put AS (
        INSERT INTO billing_requestlog
        SELECT r.* FROM unnest(calls) c
        CROSS JOIN LATERAL jsonb_populate_record(blank, c.log || jsonb_build_object(
            'id', c.id, 'started_at', uuid7_time(c.id), 'cost_nano', c.cost,
            'held_nano', GREATEST(coalesce(c.amount, 0), coalesce((c.log ->> 'held_nano')::bigint, 0)),
            'key_id', CASE WHEN c.amount IS NULL THEN c.log -> 'key_id' ELSE to_jsonb(c.key_id) END,
            'origin', 'relay', 'source_ref', '')) r
        ORDER BY c.id
        ON CONFLICT DO NOTHING
        RETURNING id, started_at, user_id, key_id, group_code, billed_model, asked_model, outcome, modality, input_tokens,
            cached_tokens, output_tokens, cost_nano
    ), counted AS (
        INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
            failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
        SELECT billing_usage_quarter(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
            billing_usage_model(billed_model, asked_model, outcome), modality, 'relay', count(*),
            count(*) FILTER (WHERE outcome <> 'ok'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost_nano)
        FROM put GROUP BY 1, 2, 3, 4, 5, 6
    )
    SELECT coalesce(array_agg(id), '{}') INTO written FROM put;
    RETURN written;
END $$;

-- Takes the sweeper's rows of late calls out of log and usage, so that the real ones can take their place.
CREATE FUNCTION billing_drop_logs(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM billing_requestlog l USING unnest(ids) late(id)
        WHERE l.id = late.id AND l.started_at = uuid7_time(late.id)
        RETURNING l.*
    )
    INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
        failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
    SELECT billing_usage_quarter(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
        billing_usage_model(billed_model, asked_model, outcome), modality, origin, -1,
        CASE WHEN outcome <> 'ok' THEN -1 ELSE 0 END, -input_tokens, -cached_tokens, -output_tokens, -cost_nano
    FROM gone;
END $$;

-- Charges calls that cost no more than they hold: all at once, one change per purse. The purses are locked.
CREATE FUNCTION billing_charge_covered(calls billing_call[], revenue bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH draw AS (
        -- The parts of a call lie one after the other; its cost takes them from the front.
        SELECT c.ord, c.id AS call_id, p.id AS account_id, p.part, p.nth,
            LEAST(p.part, GREATEST(c.cost - (sum(p.part) OVER (PARTITION BY c.id ORDER BY p.nth) - p.part), 0))::bigint AS amount
        FROM unnest(calls) c CROSS JOIN LATERAL unnest(c.account_ids, c.part_amounts) WITH ORDINALITY p(id, part, nth)
    ), put AS (
        INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq,
            from_balance_nano, booked_at, effective_at, reason, draw)
        SELECT d.call_id, 'charge', d.nth - 1, a.id, revenue, d.amount, a.seq + row_number() OVER so_far,
            a.balance_nano - sum(d.amount) OVER so_far, clock_timestamp(), uuid7_time(d.call_id), '', 'held'
        FROM draw d JOIN billing_ledgeraccount a ON a.id = d.account_id
        WHERE d.amount > 0
        WINDOW so_far AS (PARTITION BY a.id ORDER BY d.ord ROWS UNBOUNDED PRECEDING)
        ORDER BY d.ord, d.nth
    )
    UPDATE billing_ledgeraccount a
    SET balance_nano = a.balance_nano - t.cost, held_nano = a.held_nano - t.part, seq = a.seq + t.charges,
        floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - t.cost - a.held_nano + t.part)
    FROM (
        SELECT d.account_id AS id, sum(d.amount)::bigint AS cost, sum(d.part)::bigint AS part,
            count(*) FILTER (WHERE d.amount > 0) AS charges
        FROM draw d GROUP BY 1
    ) t WHERE a.id = t.id;
END $$;

-- The purse that goes into debt: the last one that may be spent, else the last one held, else the last, else a new one.
CREATE FUNCTION billing_debt_purse(c billing_call) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT a.id INTO found_id FROM billing_ledgeraccount a
    WHERE a.is_purse AND a.currency = 'USD' AND (a.kind = 'test') = c.is_test AND (a.user_id = c.user_id OR a.group_id = c.group_id)
    ORDER BY a.is_spendable DESC, a.id = ANY (c.account_ids) DESC, a.priority DESC, a.id DESC LIMIT 1;
    IF found_id IS NULL THEN
        INSERT INTO billing_ledgeraccount (kind, user_id, group_id, currency, origin, is_purse, is_spendable, balance_nano,
            held_nano, floor_nano, credit_limit_nano, priority, seq, created_at)
        VALUES (CASE WHEN c.is_test THEN 'test' ELSE 'prepaid' END, c.user_id, c.group_id, 'USD', '', true, true, 0, 0, 0, 0,
            CASE WHEN c.is_test THEN 5 ELSE 30 END, 0, now())
        RETURNING id INTO found_id;
    END IF;
    RETURN found_id;
END $$;

-- Charges one call over several purses: what was held, then what the owner has free, then debt.
CREATE FUNCTION billing_charge_spread(c billing_call, revenue bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    open_cost bigint := c.cost;
    draws jsonb := '{}';
    why jsonb := '{}';
    p record;
    take bigint;
    debtor bigint;
    moved record;
    nth int := 0;
BEGIN
    IF c.is_open THEN
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano - kept.part,
            floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - a.held_nano + kept.part)
        FROM unnest(c.account_ids, c.part_amounts) kept(id, part) WHERE a.id = kept.id;
        FOR p IN SELECT * FROM unnest(c.account_ids, c.part_amounts) x(id, part) LOOP
            take := LEAST(p.part, open_cost);
            draws := draws || jsonb_build_object(p.id::text, take);
            open_cost := open_cost - take;
        END LOOP;
    END IF;
    FOR p IN
        SELECT a.id, a.balance_nano - a.held_nano + a.credit_limit_nano AS free FROM billing_ledgeraccount a
        WHERE a.is_purse AND a.is_spendable AND (a.kind = 'test') = c.is_test
          AND (a.user_id = c.user_id OR a.group_id = c.group_id)
        ORDER BY a.priority, a.id
    LOOP
        EXIT WHEN open_cost = 0;
        take := coalesce((draws ->> p.id::text)::bigint, 0);
        draws := draws || jsonb_build_object(p.id::text, take + LEAST(GREATEST(p.free - take, 0), open_cost));
        IF p.free > take THEN
            why := why || jsonb_build_object(p.id::text, 'beyond');
        END IF;
        open_cost := open_cost - LEAST(GREATEST(p.free - take, 0), open_cost);
    END LOOP;
    IF open_cost > 0 THEN
        debtor := billing_debt_purse(c);
        draws := draws || jsonb_build_object(debtor::text, coalesce((draws ->> debtor::text)::bigint, 0) + open_cost);
        why := why || jsonb_build_object(debtor::text, 'debt');
    END IF;
    FOR p IN
        SELECT a.id, d.value::bigint AS amount FROM jsonb_each_text(draws) d JOIN billing_ledgeraccount a ON a.id = d.key::bigint
        WHERE d.value::bigint > 0 ORDER BY a.priority, a.id
    LOOP
        SELECT * INTO moved FROM billing_move(p.id, -p.amount);
        INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq,
            from_balance_nano, booked_at, effective_at, reason, draw)
        VALUES (c.id, 'charge', nth, p.id, revenue, p.amount, moved.new_seq, moved.new_balance, clock_timestamp(),
            uuid7_time(c.id), '', CASE WHEN why ->> p.id::text = 'debt' THEN 'debt' WHEN c.is_late THEN 'late'
                ELSE coalesce(why ->> p.id::text, 'held') END);
        nth := nth + 1;
    END LOOP;
END $$;

-- Events whose figures are sound, each with its hold; an id that comes twice is taken once.
CREATE FUNCTION billing_sound_calls(events jsonb) RETURNS billing_call[] LANGUAGE plpgsql AS $$
DECLARE
    calls billing_call[];
BEGIN
    SELECT coalesce(array_agg(call ORDER BY (call).ord), '{}') INTO calls FROM (
        SELECT DISTINCT ON (e.request_id) ROW(e.ord, e.request_id, e.cost_nano, left(coalesce(e.reason, ''), 64),
            CASE WHEN h.state = 'expired' THEN jsonb_set(e.log, '{price_detail}',
                coalesce(nullif(e.log -> 'price_detail', 'null'), '{}') || '{"late": true}') ELSE e.log END,
            h.key_id, h.user_id, h.group_id, h.member_id, coalesce(h.is_test, false), h.amount_nano, h.account_ids, h.part_amounts,
            coalesce(h.state = 'open', false), coalesce(h.state = 'expired', false))::billing_call AS call
        FROM ROWS FROM (jsonb_to_recordset(events) AS (request_id uuid, cost_nano bigint, hold boolean, reason text, log jsonb))
            WITH ORDINALITY e(request_id, cost_nano, hold, reason, log, ord)
        LEFT JOIN billing_hold h ON h.id = e.request_id
        WHERE e.cost_nano >= 0 AND jsonb_typeof(e.log) = 'object'
          AND CASE WHEN h.id IS NULL THEN e.cost_nano = 0 AND NOT coalesce(e.hold, false)
              ELSE h.state = 'open'
                OR (h.state = 'expired' AND h.reason = 'expired' AND h.expires_at > now() - billing_late_limit()) END
        ORDER BY e.request_id, e.ord
    ) sound;
    RETURN calls;
END $$;

-- Why an event was not taken, or that it was taken before.
CREATE FUNCTION billing_refusal(request_id uuid, cost_nano bigint, has_hold boolean, log jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN cost_nano IS NULL OR cost_nano < 0 THEN 'negative_cost'
        WHEN log IS NULL OR jsonb_typeof(log) <> 'object' THEN 'malformed'
        WHEN EXISTS (SELECT 1 FROM billing_requestlog l WHERE l.id = request_id AND l.started_at = uuid7_time(request_id))
            THEN NULL
        WHEN has_hold THEN 'no_hold'
        ELSE 'cost_without_hold' END
$$;

-- Closes what the calls held; their holds are locked and were open under that lock. By id alone: with the state among the
-- conditions the planner reads every open hold for each call. What the hold kept for the sweeper is not needed any more and makes
-- every later copy of the row longer; what a data plane has to know of a call that has ended stays.
CREATE FUNCTION billing_close_holds(calls billing_call[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_hold h
    SET state = CASE WHEN c.cost > 0 THEN 'settled' ELSE 'released' END,
        settled_nano = CASE WHEN c.cost > 0 THEN c.cost END, reason = c.reason, closed_at = clock_timestamp(),
        context = CASE WHEN h.context ? 'plane' THEN h.context ELSE '{}' END
    FROM unnest(calls) c WHERE h.id = c.id AND c.is_open;
END $$;

-- Moves what the calls held to what they cost, in every window they count in. The purses are locked.
CREATE FUNCTION billing_count_spent(calls billing_call[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counting record;
BEGIN
    SELECT w.* INTO counting FROM (SELECT array_agg(y.id) AS ids, array_agg(y.key_id) AS keys, array_agg(y.member_id) AS members,
        array_agg(y.group_id) AS groups, array_agg(y.user_id) AS users FROM unnest(calls) y) y
    CROSS JOIN LATERAL billing_counting(y.ids, y.keys, y.members, y.groups, y.users) w;
    UPDATE billing_spendwindow w SET spent_nano = w.spent_nano + t.cost, held_nano = w.held_nano - t.part
    FROM (
        SELECT x.window_id, sum(c.cost)::bigint AS cost, sum(CASE WHEN c.is_open THEN c.amount ELSE 0 END)::bigint AS part
        FROM unnest(counting.calls, counting.window_ids) x(id, window_id) JOIN unnest(calls) c ON c.id = x.id
        GROUP BY x.window_id ORDER BY x.window_id
    ) t WHERE w.id = t.window_id;
END $$;

-- Makes the holds of calls that drew on leases. An end that comes after its lease was over finds a hold that has expired, with
-- the row the sweeper would have written, so that it is charged as late. A key that is not the payer's gets none.
CREATE FUNCTION billing_draw_leases(events jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    made billing_call[];
    late billing_call[];
BEGIN
    PERFORM 1 FROM billing_lease l
    WHERE l.id IN (SELECT x.lease_id FROM jsonb_to_recordset(events) AS x(lease_id uuid)) ORDER BY l.id FOR NO KEY UPDATE;
    WITH asked AS (
        SELECT DISTINCT ON (e.request_id) e.ord, e.request_id, e.log, GREATEST(LEAST(e.cost_nano, e.promised_nano), 0) AS wanted,
            k.id AS key_id, k.member_id, l AS lease
        FROM ROWS FROM (jsonb_to_recordset(events) AS (request_id uuid, cost_nano bigint, lease_id uuid, promised_nano bigint,
            log jsonb)) WITH ORDINALITY e(request_id, cost_nano, lease_id, promised_nano, log, ord)
        JOIN billing_lease l ON l.id = e.lease_id
        JOIN keys_apikey k ON k.id = CASE WHEN jsonb_typeof(e.log -> 'key_id') = 'number' THEN (e.log ->> 'key_id')::bigint END
            AND (k.purpose = 'test') = l.is_test
            AND CASE WHEN l.group_id IS NULL THEN k.team_id IS NULL AND k.owner_id = l.user_id ELSE k.team_id = l.group_id END
        WHERE e.cost_nano >= 0 AND NOT EXISTS (SELECT 1 FROM billing_hold h WHERE h.id = e.request_id)
        ORDER BY e.request_id, e.ord
    ), share AS (
        SELECT a.*, CASE WHEN (a.lease).state <> 'open' THEN 0 ELSE GREATEST(LEAST(a.wanted, (a.lease).granted_nano
            - (a.lease).spent_nano - (sum(a.wanted) OVER (PARTITION BY (a.lease).id ORDER BY a.ord) - a.wanted)), 0) END::bigint AS part
        FROM asked a
    ), put AS (
        INSERT INTO billing_hold AS h (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids, part_amounts,
            state, reason, context, created_at, expires_at, closed_at, lease_id)
        SELECT s.request_id, (s.lease).user_id, (s.lease).group_id, s.key_id, s.member_id, (s.lease).is_test, s.part,
            CASE WHEN s.part > 0 THEN ARRAY[(s.lease).account_id] ELSE '{}' END,
            CASE WHEN s.part > 0 THEN ARRAY[s.part] ELSE '{}' END,
            CASE WHEN (s.lease).state = 'open' THEN 'open' ELSE 'expired' END,
            CASE WHEN (s.lease).state = 'open' THEN '' ELSE 'expired' END, '{}', uuid7_time(s.request_id), (s.lease).expires_at,
            CASE WHEN (s.lease).state <> 'open' THEN clock_timestamp() END, (s.lease).id
        FROM share s ORDER BY s.request_id
        ON CONFLICT DO NOTHING
        RETURNING h.*
    ), drawn AS (
        UPDATE billing_lease l SET spent_nano = l.spent_nano + t.part
        FROM (SELECT p.lease_id, sum(p.amount_nano)::bigint AS part FROM put p WHERE p.amount_nano > 0 GROUP BY 1) t
        WHERE l.id = t.lease_id
    )
    SELECT array_agg(c) FILTER (WHERE (c).is_open), array_agg(c) FILTER (WHERE NOT (c).is_open) INTO made, late FROM (
        SELECT ROW(s.ord, p.id, 0, 'expired', s.log || '{"outcome": "timeout", "error_code": "hold_expired", "http_status": 504,
            "usage_source": "none", "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0,
            "reasoning_tokens": 0, "image_count": 0, "media_ms": 0, "character_count": 0, "price_detail": {}}',
            p.key_id, p.user_id, p.group_id, p.member_id, p.is_test, p.amount_nano, p.account_ids, p.part_amounts,
            p.state = 'open', false)::billing_call AS c
        FROM put p JOIN share s ON s.request_id = p.id
    ) x;
    IF late IS NOT NULL THEN
        PERFORM billing_write_logs(late);
    END IF;
    -- A limit that came while the lease was open counts its calls from now on, as if each had been held.
    IF made IS NOT NULL AND billing_lock_purses(ARRAY(SELECT DISTINCT c.user_id FROM unnest(made) c),
        ARRAY(SELECT DISTINCT c.group_id FROM unnest(made) c)) THEN
        PERFORM billing_count_held(made);
    END IF;
END $$;

-- Adds what calls hold to every window they count in. The purses are locked.
CREATE FUNCTION billing_count_held(calls billing_call[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    counting record;
BEGIN
    SELECT w.* INTO counting FROM (SELECT array_agg(y.id) AS ids, array_agg(y.key_id) AS keys, array_agg(y.member_id) AS members,
        array_agg(y.group_id) AS groups, array_agg(y.user_id) AS users FROM unnest(calls) y) y
    CROSS JOIN LATERAL billing_counting(y.ids, y.keys, y.members, y.groups, y.users) w;
    UPDATE billing_spendwindow w SET held_nano = w.held_nano + t.part
    FROM (
        SELECT x.window_id, sum(c.amount)::bigint AS part
        FROM unnest(counting.calls, counting.window_ids) x(id, window_id) JOIN unnest(calls) c ON c.id = x.id
        GROUP BY x.window_id ORDER BY x.window_id
    ) t WHERE w.id = t.window_id;
END $$;

CREATE FUNCTION billing_record_batch(events jsonb)
RETURNS TABLE (request_id uuid, status text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    calls billing_call[];
    held billing_call[];
    covered billing_call[];
    late uuid[];
    fresh uuid[];
    revenue bigint;
    all_fresh boolean;
    limited boolean;
    c billing_call;
BEGIN
    SELECT array_agg(DISTINCT (x ->> 'request_id')::uuid) INTO ids FROM jsonb_array_elements(events) x;
    IF events @? '$[*].lease_id ? (@ != null)' THEN
        PERFORM billing_draw_leases(events);
    END IF;
    PERFORM 1 FROM billing_hold h WHERE h.id = ANY (ids) ORDER BY h.id FOR NO KEY UPDATE;

    calls := billing_sound_calls(events);
    SELECT coalesce(array_agg(x.id), '{}') INTO late FROM unnest(calls) x WHERE x.is_late;
    IF late <> '{}' THEN
        PERFORM billing_drop_logs(late);
        UPDATE billing_hold h SET reason = 'late' WHERE h.id = ANY (late);
    END IF;
    fresh := billing_write_logs(calls);

    all_fresh := cardinality(fresh) = cardinality(calls);
    SELECT array_agg(x) INTO held FROM unnest(calls) x WHERE x.amount IS NOT NULL AND (all_fresh OR x.id = ANY (fresh));
    IF held IS NOT NULL THEN
        PERFORM billing_close_holds(held);
        -- Purses last: what many calls wait for is kept for the shortest time.
        limited := billing_lock_purses(ARRAY(SELECT DISTINCT x.user_id FROM unnest(held) x),
            ARRAY(SELECT DISTINCT x.group_id FROM unnest(held) x));
        revenue := billing_house_account('revenue', '');
        covered := ARRAY(SELECT x FROM unnest(held) x WHERE x.is_open AND x.cost <= x.amount ORDER BY x.ord);
        PERFORM billing_charge_covered(covered, revenue) WHERE covered <> '{}';
        FOR c IN
            SELECT x.* FROM unnest(held) x WHERE x.cost > 0 AND (NOT x.is_open OR x.cost > x.amount) ORDER BY x.ord
        LOOP
            PERFORM billing_charge_spread(c, revenue);
        END LOOP;
        IF limited THEN
            PERFORM billing_count_spent(held);
        END IF;
    END IF;

    IF all_fresh AND cardinality(calls) = jsonb_array_length(events) THEN
        RETURN QUERY SELECT x.id, CASE WHEN x.is_late THEN 'late' ELSE 'recorded' END, '' FROM unnest(calls) x ORDER BY x.ord;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT e.request_id,
        CASE WHEN took.id IS NULL THEN CASE WHEN e.why IS NULL THEN 'repeated' ELSE 'refused' END
             WHEN took.is_late THEN 'late' ELSE 'recorded' END,
        coalesce(CASE WHEN took.id IS NULL THEN e.why END, '')
    FROM (
        SELECT x.*, CASE WHEN s.id IS NULL AND h.closed_at IS NULL
            THEN billing_refusal(x.request_id, x.cost_nano, coalesce(x.hold, false), x.log)
            WHEN x.cost_nano IS NULL OR x.cost_nano < 0 THEN 'negative_cost' END AS why
        FROM ROWS FROM (jsonb_to_recordset(events) AS (request_id uuid, cost_nano bigint, hold boolean, log jsonb))
            WITH ORDINALITY x(request_id, cost_nano, hold, log, ord)
        LEFT JOIN unnest(calls) s ON s.id = x.request_id
        LEFT JOIN billing_hold h ON h.id = x.request_id
    ) e
    LEFT JOIN unnest(calls) took ON took.id = e.request_id AND took.ord = e.ord AND took.id = ANY (fresh)
    ORDER BY e.ord;
END $$;

-- Records a batch and follows up on what it could not take (late_events.sql). Answers as billing_record_batch does, and "parked".
CREATE FUNCTION billing_record_followed(events jsonb)
RETURNS TABLE (request_id uuid, status text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    said text[];
    whys text[];
    unmatched jsonb[];
    why text[];
    has_losses boolean := events @? '$[*].log.attempts[*].cost_nano';
BEGIN
    SELECT array_agg(a.request_id), array_agg(a.status), array_agg(a.reason) INTO ids, said, whys
    FROM billing_record_batch(events) a;
    IF has_losses OR said && '{repeated,refused}' THEN
        FOR nth IN 1 .. cardinality(said) LOOP
            IF said[nth] = 'repeated' THEN
                IF billing_park_late(events -> (nth - 1)) THEN
                    said[nth] := 'parked'; whys[nth] := 'too_late';
                END IF;
            ELSIF said[nth] = 'refused' THEN
                IF whys[nth] IN ('no_hold', 'cost_without_hold') THEN
                    unmatched := array_append(unmatched, events -> (nth - 1)); why := array_append(why, whys[nth]);
                END IF;
            ELSIF has_losses THEN
                PERFORM billing_book_losses(events -> (nth - 1));
            END IF;
        END LOOP;
    END IF;
    IF unmatched IS NOT NULL THEN
        PERFORM billing_park_unmatched(unmatched, why);
    END IF;
    RETURN QUERY SELECT * FROM unnest(ids, said, whys);
END $$;

-- The end of one call that its hold covers from one purse, which is most of them. Gives nothing for everything else, and has
-- written nothing then. Holds before purses; what many calls wait for is kept for the shortest time.
CREATE FUNCTION billing_record_alone(event jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wanted uuid := event ->> 'request_id';
    cost bigint := event ->> 'cost_nano';
    h record;
    l billing_requestlog;
    purse record;
BEGIN
    IF cost IS NULL OR cost < 0 OR jsonb_typeof(event -> 'log') IS DISTINCT FROM 'object' THEN
        RETURN NULL;
    END IF;
    UPDATE billing_hold x
    SET state = CASE WHEN cost > 0 THEN 'settled' ELSE 'released' END, settled_nano = CASE WHEN cost > 0 THEN cost END,
        reason = left(coalesce(event ->> 'reason', ''), 64), closed_at = clock_timestamp(),
        context = CASE WHEN x.context ? 'plane' THEN x.context ELSE '{}' END
    WHERE x.id = wanted AND x.closed_at IS NULL AND x.amount_nano >= cost AND cardinality(x.account_ids) = 1
    RETURNING x.amount_nano, x.key_id, x.user_id, x.group_id, x.member_id, x.is_test, x.account_ids, x.part_amounts INTO h;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    l := jsonb_populate_record(billing_blank_log(), event -> 'log');
    l.id := wanted; l.started_at := uuid7_time(wanted); l.held_nano := h.amount_nano; l.cost_nano := cost;
    l.key_id := h.key_id; l.origin := 'relay'; l.source_ref := '';
    WITH logged AS (
        INSERT INTO billing_requestlog SELECT l.* ON CONFLICT DO NOTHING RETURNING true
    ), counted AS (
        INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
            failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
        VALUES (billing_usage_quarter(l.started_at), coalesce(l.user_id, 0), coalesce(l.key_id, 0), l.group_code,
            billing_usage_model(l.billed_model, l.asked_model, l.outcome), l.modality, 'relay', 1,
            CASE WHEN l.outcome <> 'ok' THEN 1 ELSE 0 END, l.input_tokens, l.cached_tokens, l.output_tokens, cost)
    ), paid AS (
        UPDATE billing_ledgeraccount a
        SET balance_nano = a.balance_nano - cost, held_nano = a.held_nano - h.part_amounts[1],
            seq = a.seq + CASE WHEN cost > 0 THEN 1 ELSE 0 END,
            floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - cost - a.held_nano + h.part_amounts[1])
        WHERE a.id = h.account_ids[1]
        RETURNING a.id, a.seq, a.balance_nano, a.has_limits
    ), charged AS (
        -- Without the house's account this is refused, and the long way makes it.
        INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq,
            from_balance_nano, booked_at, effective_at, reason, draw)
        SELECT wanted, 'charge', 0, p.id, (
                SELECT r.id FROM billing_ledgeraccount r WHERE r.user_id IS NULL AND r.group_id IS NULL AND r.kind = 'revenue'
                  AND r.currency = 'USD' AND r.origin = ''
            ), cost, p.seq, p.balance_nano, clock_timestamp(), l.started_at, '', 'held'
        FROM paid p WHERE cost > 0
    )
    SELECT p.has_limits, EXISTS (SELECT 1 FROM logged) AS is_new INTO purse FROM paid p;
    IF NOT purse.is_new THEN
        -- A log row without its hold's end: taken back, and looked at on the long way.
        RAISE EXCEPTION 'call % is logged already', wanted USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF purse.has_limits THEN
        PERFORM billing_count_spent(ARRAY[ROW(1, wanted, cost, '', '{}', h.key_id, h.user_id, h.group_id, h.member_id, h.is_test,
            h.amount_nano, h.account_ids, h.part_amounts, true, false)::billing_call]);
    END IF;
    RETURN 'recorded';
END $$;

-- A batch is taken as a whole: in one statement when every end is plain (record_plain.sql), else on the long way. Only when one
-- event breaks that too is each tried on its own, so that the others stand.
CREATE FUNCTION billing_record(events jsonb)
RETURNS TABLE (request_id uuid, status text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
BEGIN
    BEGIN
        IF NOT events @? '$[*].log.attempts[*].cost_nano' THEN
            IF jsonb_array_length(events) > 1 OR events #>> '{0,lease_id}' IS NOT NULL THEN
                ids := billing_record_plain(events);
            ELSIF billing_record_alone(events -> 0) IS NOT NULL THEN
                ids := ARRAY[events -> 0 ->> 'request_id'];
            END IF;
        END IF;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        ids := NULL;
    END;
    IF ids IS NOT NULL THEN
        RETURN QUERY SELECT x, 'recorded', '' FROM unnest(ids) x;
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT * FROM billing_record_followed(events);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        RETURN QUERY SELECT * FROM billing_record_singly(events);
    END;
END $$;

CREATE FUNCTION billing_record_singly(events jsonb)
RETURNS TABLE (request_id uuid, status text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    e record;
    said record;
    broken text;
    answers jsonb := '{}';
BEGIN
    ids := ARRAY(SELECT (x ->> 'request_id')::uuid FROM jsonb_array_elements(events) x
        WHERE x ->> 'request_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$');
    PERFORM 1 FROM billing_lease l WHERE l.id = ANY (ARRAY(SELECT (x ->> 'lease_id')::uuid FROM jsonb_array_elements(events) x
        WHERE x ->> 'lease_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')) ORDER BY l.id FOR NO KEY UPDATE;
    PERFORM 1 FROM billing_hold h WHERE h.id = ANY (ids) ORDER BY h.id FOR NO KEY UPDATE;
    -- Events without a hold first, by id: while they wait for a twin of theirs, nobody waits for a purse of ours.
    FOR e IN
        SELECT x.doc, x.ord, h.id IS NOT NULL AS is_held FROM jsonb_array_elements(events) WITH ORDINALITY x(doc, ord)
        LEFT JOIN billing_hold h ON h.id = ANY (ids) AND h.id::text = lower(x.doc ->> 'request_id')
        ORDER BY h.id IS NOT NULL, x.doc ->> 'request_id', x.ord
    LOOP
        BEGIN
            SELECT * INTO said FROM billing_record_followed(jsonb_build_array(e.doc));
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
            SELECT CASE WHEN lower(e.doc ->> 'request_id') = ANY (ids::text[]) THEN (e.doc ->> 'request_id')::uuid END AS request_id,
                'refused' AS status, left('malformed ' || SQLSTATE || ' ' || coalesce(broken, ''), 120) AS reason INTO said;
        END;
        answers := answers || jsonb_build_object(e.ord::text, to_jsonb(said));
    END LOOP;
    RETURN QUERY SELECT a.request_id, a.status, a.reason
    FROM generate_series(1, jsonb_array_length(events)) n
    CROSS JOIN LATERAL jsonb_to_record(answers -> n::text) AS a(request_id uuid, status text, reason text) ORDER BY n;
END $$;
