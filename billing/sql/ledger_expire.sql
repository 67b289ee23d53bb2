-- Gives back what calls held whose end was never reported, and logs each as timed out, at no cost. A report that comes
-- later is still charged (billing_record answers "late") and its log row takes the place of this one.
DROP FUNCTION IF EXISTS billing_expire_holds(int, timestamptz);
CREATE FUNCTION billing_expire_holds(most int, moment timestamptz DEFAULT now()) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    due uuid[];
    calls billing_call[];
    c billing_call;
    limited boolean;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT h.id FROM billing_hold h WHERE h.state = 'open' AND h.expires_at <= moment ORDER BY h.expires_at LIMIT most
    ) d;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM billing_hold h WHERE h.id = ANY (due) ORDER BY h.id FOR NO KEY UPDATE;
    limited := billing_lock_purses(ARRAY(SELECT DISTINCT h.user_id FROM billing_hold h WHERE h.id = ANY (due)),
        ARRAY(SELECT DISTINCT h.group_id FROM billing_hold h WHERE h.id = ANY (due)));

    SELECT array_agg(ROW(0, h.id, 0, 'expired', h.context || jsonb_build_object('outcome', 'timeout', 'error_code',
            'hold_expired', 'http_status', 504, 'usage_source', 'none', 'user_id', coalesce(to_jsonb(h.user_id), h.context -> 'user_id'),
            'duration_ms', LEAST(extract(epoch FROM clock_timestamp() - h.created_at) * 1000, 2147483647)::int),
        h.key_id, h.user_id, h.group_id, h.member_id, h.is_test, h.amount_nano, h.account_ids, h.part_amounts, true, false)::billing_call)
    INTO calls FROM billing_hold h WHERE h.id = ANY (due) AND h.state = 'open';
    IF calls IS NULL THEN
        RETURN 0;
    END IF;

    UPDATE billing_ledgeraccount a
    SET held_nano = a.held_nano - t.part, floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - a.held_nano + t.part)
    FROM (
        SELECT p.id, sum(p.part)::bigint AS part
        FROM unnest(calls) x CROSS JOIN LATERAL unnest(x.account_ids, x.part_amounts) p(id, part) GROUP BY p.id
    ) t WHERE a.id = t.id;
    IF limited THEN
        PERFORM billing_count_spent(calls);
    END IF;
    UPDATE billing_hold h SET state = 'expired', reason = 'expired', closed_at = clock_timestamp()
    FROM unnest(calls) x WHERE h.id = x.id;

    BEGIN
        PERFORM billing_write_logs(calls);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        -- A context that cannot be written must not keep money held: that call is logged with what the hold knows.
        FOREACH c IN ARRAY calls LOOP
            BEGIN
                PERFORM billing_write_logs(ARRAY[c]);
            EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                BEGIN
                    c.log := '{"outcome": "timeout", "error_code": "hold_expired", "http_status": 504}';
                    PERFORM billing_write_logs(ARRAY[c]);
                EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                    -- The id names a time that the log has no room for (a clock years off, an id that is no UUIDv7). The money
                    -- goes back all the same, and the desk hears of the call.
                    INSERT INTO billing_deskitem (kind, reference, request_id, user_id, group_id, amount_nano, reason, details,
                        state, opened_at, note)
                    VALUES ('unmatched', c.id::text, c.id, c.user_id, c.group_id, 0, 'no_place_in_log', '{}', 'open',
                        clock_timestamp(), '') ON CONFLICT DO NOTHING;
                END;
            END;
        END LOOP;
    END;
    RETURN cardinality(calls);
END $$;
