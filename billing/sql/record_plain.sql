-- The ends of a batch in one statement, when each is plain: it closes an open hold of one purse that covers it, or draws on an
-- open lease that does, or has no hold and costs nothing. That is nearly every batch, and the start of a statement and each pass
-- over the events is what it costs. All or nothing: what is not plain breaks it, and the whole batch goes the long way
-- (ledger_record.sql). Order of locks: leases by id, holds by id, log rows of calls without a hold by id, purses by id.

DROP FUNCTION IF EXISTS billing_record_plain(jsonb);
DROP FUNCTION IF EXISTS billing_blank_event();
DROP TYPE IF EXISTS billing_event;
CREATE TYPE billing_event AS (
    request_id uuid, cost_nano bigint, hold boolean, reason text, log billing_requestlog, lease_id uuid, promised_nano bigint
);
CREATE FUNCTION billing_blank_event() RETURNS billing_event LANGUAGE sql STABLE AS $$
    SELECT ROW(NULL, NULL, NULL, NULL, billing_blank_log(), NULL, NULL)::billing_event
$$;

-- Gives the ids in the order of the events.
CREATE FUNCTION billing_record_plain(events jsonb) RETURNS uuid[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    is_whole boolean;
    limited billing_call[];
BEGIN
    WITH event AS (
        SELECT x.* FROM ROWS FROM (jsonb_populate_recordset(billing_blank_event(), events)) WITH ORDINALITY
            x(id, cost, hold, reason, log, lease_id, promised, ord)
    ), lent AS (
        UPDATE billing_lease l SET spent_nano = l.spent_nano + t.cost
        FROM (
            SELECT e.lease_id, sum(e.cost)::bigint AS cost, count(*) AS calls FROM event e
            WHERE e.lease_id IS NOT NULL AND e.cost BETWEEN 0 AND e.promised GROUP BY 1 ORDER BY 1
        ) t
        WHERE l.id = t.lease_id AND l.state = 'open' AND l.granted_nano - l.spent_nano >= t.cost
        RETURNING t.calls
    ), drawn AS (
        SELECT e.id, k.id AS key_id, l.user_id, l.group_id, k.member_id, l.is_test, e.cost, e.reason, e.log, e.ord,
            CASE WHEN e.cost > 0 THEN l.account_id END AS purse, l.id AS lease_id, l.expires_at
        FROM event e
        JOIN billing_lease l ON l.id = e.lease_id
        JOIN keys_apikey k ON k.id = (e.log).key_id AND (k.purpose = 'test') = l.is_test
            AND CASE WHEN l.group_id IS NULL THEN k.team_id IS NULL AND k.owner_id = l.user_id ELSE k.team_id = l.group_id END
        -- Nothing of it before all leases are locked and cover their calls.
        WHERE (SELECT sum(l.calls) FROM lent l) = (SELECT count(e.lease_id) FROM event e)
    ), made AS (
        INSERT INTO billing_hold AS h (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids, part_amounts,
            state, settled_nano, reason, context, created_at, expires_at, closed_at, lease_id)
        SELECT d.id, d.user_id, d.group_id, d.key_id, d.member_id, d.is_test, d.cost,
            CASE WHEN d.cost > 0 THEN ARRAY[d.purse] ELSE '{}' END, CASE WHEN d.cost > 0 THEN ARRAY[d.cost] ELSE '{}' END,
            CASE WHEN d.cost > 0 THEN 'settled' ELSE 'released' END, CASE WHEN d.cost > 0 THEN d.cost END,
            left(coalesce(d.reason, ''), 64), '{}', uuid7_time(d.id), d.expires_at, clock_timestamp(), d.lease_id
        FROM drawn d
        ON CONFLICT DO NOTHING
        RETURNING true
    ), closed AS (
        UPDATE billing_hold h
        SET state = CASE WHEN x.cost > 0 THEN 'settled' ELSE 'released' END, settled_nano = CASE WHEN x.cost > 0 THEN x.cost END,
            reason = left(coalesce(x.reason, ''), 64), closed_at = clock_timestamp(),
            context = CASE WHEN h.context ? 'plane' THEN h.context ELSE '{}' END
        FROM (SELECT e.id, e.cost, e.reason, e.log, e.ord FROM event e WHERE e.lease_id IS NULL ORDER BY e.id) x
        WHERE h.id = x.id AND h.closed_at IS NULL AND x.cost BETWEEN 0 AND h.amount_nano AND cardinality(h.account_ids) <= 1
        RETURNING h.id, h.key_id, h.user_id, h.group_id, h.member_id, h.is_test, h.amount_nano AS amount, h.account_ids[1] AS purse,
            h.part_amounts[1] AS part, x.cost, x.log, x.ord
    ), ended AS (
        SELECT d.id, d.cost AS amount, d.key_id, d.cost, d.log FROM drawn d
        UNION ALL SELECT c.id, c.amount, c.key_id, c.cost, c.log FROM closed c
        UNION ALL (
            SELECT e.id, 0, (e.log).key_id, 0, e.log FROM event e
            WHERE NOT coalesce(e.hold, false) AND e.cost = 0 AND e.lease_id IS NULL ORDER BY e.id
        )
    ), logged AS (
        INSERT INTO billing_requestlog (id, started_at, duration_ms, first_token_ms, key_name, key_tail, group_code, endpoint,
            is_stream, route, asked_model, billed_model, served_model, outcome, http_status, error_code, input_tokens,
            cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_source, held_nano, cost_nano,
            price_version_id, price_detail, attempts, client_family, client_network, origin, source_ref, key_id, user_id,
            audio_input_tokens, audio_output_tokens, character_count, image_count, media_ms, media_quality, media_size, modality,
            fallback_rule_id, body_digest)
        SELECT e.id, uuid7_time(e.id), (e.log).duration_ms, (e.log).first_token_ms, (e.log).key_name, (e.log).key_tail,
            (e.log).group_code, (e.log).endpoint, (e.log).is_stream, (e.log).route, (e.log).asked_model, (e.log).billed_model,
            (e.log).served_model, (e.log).outcome, (e.log).http_status, (e.log).error_code, (e.log).input_tokens,
            (e.log).cached_tokens, (e.log).cache_write_tokens, (e.log).output_tokens, (e.log).reasoning_tokens,
            (e.log).usage_source, GREATEST(e.amount, (e.log).held_nano), e.cost, (e.log).price_version_id, (e.log).price_detail,
            (e.log).attempts, (e.log).client_family, (e.log).client_network, 'relay', '', e.key_id, (e.log).user_id,
            (e.log).audio_input_tokens, (e.log).audio_output_tokens, (e.log).character_count, (e.log).image_count,
            (e.log).media_ms, (e.log).media_quality, (e.log).media_size, (e.log).modality, (e.log).fallback_rule_id,
            (e.log).body_digest
        FROM ended e
        ON CONFLICT DO NOTHING
        RETURNING started_at, user_id, key_id, group_code, billed_model, asked_model, outcome, modality, input_tokens,
            cached_tokens, output_tokens, cost_nano
    ), counted AS (
        INSERT INTO billing_usagedelta (quarter_at, user_id, key_id, group_code, model_name, modality, origin, call_count,
            failed_count, input_tokens, cached_tokens, output_tokens, cost_nano)
        SELECT billing_usage_quarter(started_at), coalesce(user_id, 0), coalesce(key_id, 0), group_code,
            billing_usage_model(billed_model, asked_model, outcome), modality, 'relay', count(*),
            count(*) FILTER (WHERE outcome <> 'ok'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost_nano)
        FROM logged GROUP BY 1, 2, 3, 4, 5, 6
    ), paid AS (
        UPDATE billing_ledgeraccount a
        SET balance_nano = a.balance_nano - t.cost, held_nano = a.held_nano - t.part, seq = a.seq + cardinality(t.ids),
            floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - t.cost - a.held_nano + t.part)
        FROM (
            SELECT s.purse, sum(s.cost)::bigint AS cost, sum(s.part)::bigint AS part,
                coalesce(array_agg(s.id) FILTER (WHERE s.cost > 0), '{}') AS ids,
                array_agg(s.cost) FILTER (WHERE s.cost > 0) AS costs,
                array_agg(s.upto) FILTER (WHERE s.cost > 0) AS uptos
            FROM (
                SELECT c.purse, c.id, c.cost, c.part,
                    sum(c.cost) OVER (PARTITION BY c.purse ORDER BY c.ord ROWS UNBOUNDED PRECEDING) AS upto
                FROM (
                    SELECT d.purse, d.id, d.cost, d.cost AS part, d.ord FROM drawn d WHERE d.cost > 0
                    UNION ALL SELECT c.purse, c.id, c.cost, c.part, c.ord FROM closed c WHERE c.purse IS NOT NULL
                ) c
            ) s GROUP BY s.purse ORDER BY s.purse
        ) t WHERE a.id = t.purse
        RETURNING a.id, a.seq - cardinality(t.ids) AS seq_before, a.balance_nano + t.cost AS balance_before, a.has_limits,
            t.ids, t.costs, t.uptos
    ), charged AS (
        INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, from_seq,
            from_balance_nano, booked_at, effective_at, reason, draw)
        SELECT x.id, 'charge', 0, p.id, (
                SELECT r.id FROM billing_ledgeraccount r WHERE r.user_id IS NULL AND r.group_id IS NULL AND r.kind = 'revenue'
                  AND r.currency = 'USD' AND r.origin = ''
            ), x.cost, p.seq_before + x.nth, p.balance_before - x.upto, clock_timestamp(), uuid7_time(x.id), '', 'held'
        FROM paid p CROSS JOIN LATERAL unnest(p.ids, p.costs, p.uptos) WITH ORDINALITY x(id, cost, upto, nth)
    )
    SELECT array_agg(e.id ORDER BY e.ord), (SELECT count(*) FROM logged) = count(*) AND (SELECT count(*) FROM made) = count(e.lease_id),
        CASE WHEN EXISTS (SELECT 1 FROM paid p WHERE p.has_limits) THEN (
            SELECT array_agg(ROW(c.ord, c.id, c.cost, '', '{}', c.key_id, c.user_id, c.group_id, c.member_id, c.is_test, c.amount,
                ARRAY[c.purse], ARRAY[c.amount], c.is_open, false)::billing_call) FROM (
                    SELECT d.ord, d.id, d.cost, d.key_id, d.user_id, d.group_id, d.member_id, d.is_test, d.cost AS amount, d.purse,
                        false AS is_open FROM drawn d
                    UNION ALL SELECT c.ord, c.id, c.cost, c.key_id, c.user_id, c.group_id, c.member_id, c.is_test, c.amount,
                        c.purse, true FROM closed c
                ) c
        ) END
    INTO ids, is_whole, limited FROM event e;
    IF NOT is_whole THEN
        RAISE EXCEPTION 'not every end of this batch is plain' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF limited IS NOT NULL THEN
        PERFORM billing_count_spent(limited);
    END IF;
    RETURN ids;
END $$;
