-- Spend limits in money. A call counts in every window its start (the time in its id) lies in; the counters of a window are
-- written only while the payer's purses are locked, so they need no lock of their own.

DROP FUNCTION IF EXISTS billing_window_start(text, text, timestamptz);
DROP FUNCTION IF EXISTS billing_window_end(text, text, timestamptz);
DROP FUNCTION IF EXISTS billing_open_windows(uuid[], bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION IF EXISTS billing_windows(uuid[], bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION IF EXISTS billing_counting(uuid[], bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION IF EXISTS billing_window_truth(bigint, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS billing_seed_window(bigint, timestamptz);
DROP FUNCTION IF EXISTS billing_lock_limits(bigint, bigint);

CREATE FUNCTION billing_window_start(span text, zone text, moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE span WHEN 'daily' THEN date_trunc('day', moment, zone) WHEN 'monthly' THEN date_trunc('month', moment, zone)
        ELSE timestamptz 'epoch' END
$$;

CREATE FUNCTION billing_window_end(span text, zone text, moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE span WHEN 'daily' THEN (date_trunc('day', moment AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone
        WHEN 'monthly' THEN (date_trunc('month', moment AT TIME ZONE zone) + interval '1 month') AT TIME ZONE zone END
$$;

-- The limits that concern a call, and whether a payer has any.
CREATE OR REPLACE FUNCTION billing_limits_on(call_key bigint, call_member bigint, payer_group bigint, payer_user bigint)
RETURNS SETOF billing_spendlimit LANGUAGE sql STABLE AS $$
    SELECT * FROM billing_spendlimit l WHERE l.key_id = call_key
    UNION ALL SELECT * FROM billing_spendlimit l
        WHERE l.group_id = payer_group AND l.key_id IS NULL AND (l.user_id IS NULL OR l.user_id = call_member)
    UNION ALL SELECT * FROM billing_spendlimit l WHERE l.user_id = payer_user AND l.key_id IS NULL AND l.group_id IS NULL
$$;
CREATE OR REPLACE FUNCTION billing_any_limit(payer_user bigint, payer_group bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM billing_spendlimit l WHERE l.group_id = payer_group)
        OR EXISTS (SELECT 1 FROM billing_spendlimit l WHERE l.user_id = payer_user AND l.group_id IS NULL)
        OR EXISTS (SELECT 1 FROM billing_spendlimit l JOIN keys_apikey k ON k.id = l.key_id
                   WHERE k.owner_id = payer_user OR k.team_id = payer_group)
$$;

-- Makes the windows these calls count in, where missing. A statement of its own, always: one that joins the windows it makes
-- does not see them. Ask only for payers whose purses say has_limits.
CREATE FUNCTION billing_open_windows(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_spendwindow (limit_id, starts_at, ends_at, spent_nano, held_nano)
    SELECT DISTINCT l.id, billing_window_start(l.span, l.time_zone, uuid7_time(c.id)),
        billing_window_end(l.span, l.time_zone, uuid7_time(c.id)), 0, 0
    FROM unnest(ids, keys, members, groups, users) c(id, key_id, member_id, group_id, user_id)
    CROSS JOIN LATERAL billing_limits_on(c.key_id, c.member_id, c.group_id, c.user_id) l
    WHERE billing_window_start(l.span, l.time_zone, uuid7_time(c.id)) >= l.counts_from
      AND NOT EXISTS (SELECT 1 FROM billing_spendwindow w WHERE w.limit_id = l.id
        AND w.starts_at = billing_window_start(l.span, l.time_zone, uuid7_time(c.id)))
    ON CONFLICT DO NOTHING;
END $$;

-- The windows these calls count in, of those there are.
CREATE FUNCTION billing_windows(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[])
RETURNS TABLE (id uuid, window_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, w.id FROM unnest(ids, keys, members, groups, users) c(id, key_id, member_id, group_id, user_id)
    CROSS JOIN LATERAL billing_limits_on(c.key_id, c.member_id, c.group_id, c.user_id) l
    JOIN billing_spendwindow w ON w.limit_id = l.id
        AND w.starts_at = billing_window_start(l.span, l.time_zone, uuid7_time(c.id));
END $$;

-- The same as pairs in two arrays, made where missing, which is at the first call of a day. Ask only for payers whose purses say
-- has_limits.
CREATE FUNCTION billing_counting(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[],
    OUT calls uuid[], OUT window_ids bigint[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    FOR look IN 1 .. 2 LOOP
        SELECT array_agg(c.id), array_agg(w.id) INTO calls, window_ids
        FROM unnest(ids, keys, members, groups, users) c(id, key_id, member_id, group_id, user_id)
        CROSS JOIN LATERAL billing_limits_on(c.key_id, c.member_id, c.group_id, c.user_id) l
        LEFT JOIN billing_spendwindow w ON w.limit_id = l.id
            AND w.starts_at = billing_window_start(l.span, l.time_zone, uuid7_time(c.id))
        WHERE w.id IS NOT NULL OR billing_window_start(l.span, l.time_zone, uuid7_time(c.id)) >= l.counts_from;
        EXIT WHEN array_position(window_ids, NULL) IS NULL;
        PERFORM billing_open_windows(ids, keys, members, groups, users);
    END LOOP;
END $$;

-- What a window must hold: counted anew from the request log, the ledger with its refunds, and the open holds.
CREATE FUNCTION billing_window_truth(wanted bigint, window_start timestamptz, window_end timestamptz,
    OUT spent bigint, OUT held bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    l billing_spendlimit;
    until timestamptz := coalesce(window_end, 'infinity');
BEGIN
    SELECT * INTO l FROM billing_spendlimit x WHERE x.id = wanted;
    IF l.scope = 'key' THEN
        SELECT coalesce(sum(r.cost_nano), 0) INTO spent FROM billing_requestlog r
        WHERE r.key_id = l.key_id AND r.origin = 'relay' AND r.started_at >= window_start AND r.started_at < until;
        SELECT spent - coalesce(sum(f.amount_nano), 0) INTO spent
        FROM billing_callrefund f JOIN billing_requestlog r ON r.id = f.request_id AND r.started_at = uuid7_time(f.request_id)
        WHERE r.key_id = l.key_id AND r.origin = 'relay' AND r.started_at >= window_start AND r.started_at < until;
    ELSIF l.scope = 'member' THEN
        SELECT coalesce(sum(r.cost_nano), 0) INTO spent FROM billing_requestlog r JOIN billing_hold h ON h.id = r.id
        WHERE r.key_id IN (SELECT k.id FROM keys_apikey k WHERE k.team_id = l.group_id) AND r.origin = 'relay'
          AND r.started_at >= window_start AND r.started_at < until
          AND h.group_id = l.group_id AND h.member_id = l.user_id;
        SELECT spent - coalesce(sum(f.amount_nano), 0) INTO spent
        FROM billing_callrefund f JOIN billing_hold h ON h.id = f.request_id
        WHERE h.group_id = l.group_id AND h.member_id = l.user_id
          AND uuid7_time(f.request_id) >= window_start AND uuid7_time(f.request_id) < until;
    ELSE
        SELECT coalesce(sum(e.amount_nano), 0) INTO spent
        FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON e.from_account_id = a.id
        WHERE a.is_purse AND (a.user_id = l.user_id OR a.group_id = l.group_id) AND e.kind = 'charge'
          AND e.effective_at >= window_start AND e.effective_at < until;
        -- What was given back counts where its call counted.
        SELECT spent - coalesce(sum(e.amount_nano), 0) INTO spent
        FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON e.to_account_id = a.id
        WHERE a.is_purse AND (a.user_id = l.user_id OR a.group_id = l.group_id) AND e.kind = 'refund'
          AND uuid7_time(e.transaction_id) >= window_start AND uuid7_time(e.transaction_id) < until;
    END IF;
    SELECT coalesce(sum(h.amount_nano), 0) INTO held FROM billing_hold h
    WHERE h.state = 'open' AND uuid7_time(h.id) >= window_start AND uuid7_time(h.id) < until
      AND CASE l.scope WHEN 'key' THEN h.key_id = l.key_id WHEN 'group' THEN h.group_id = l.group_id
          WHEN 'person' THEN h.user_id = l.user_id ELSE h.group_id = l.group_id AND h.member_id = l.user_id END;
END $$;

-- Opens the window a limit is in at that moment with what it must hold; the payer's purses are locked.
CREATE FUNCTION billing_seed_window(wanted bigint, moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l billing_spendlimit;
    t record;
BEGIN
    SELECT * INTO l FROM billing_spendlimit x WHERE x.id = wanted;
    SELECT * INTO t FROM billing_window_truth(wanted, billing_window_start(l.span, l.time_zone, moment),
        billing_window_end(l.span, l.time_zone, moment));
    INSERT INTO billing_spendwindow (limit_id, starts_at, ends_at, spent_nano, held_nano)
    VALUES (wanted, billing_window_start(l.span, l.time_zone, moment), billing_window_end(l.span, l.time_zone, moment),
        t.spent, t.held);
END $$;

-- Stops the calls of a payer until the end of this transaction, and keeps purses that are just being made out of it.
CREATE FUNCTION billing_lock_limits(payer_user bigint, payer_group bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('billing_limits', coalesce(payer_user, -payer_group)));
    PERFORM billing_lock_purses(ARRAY[payer_user], ARRAY[payer_group]);
END $$;

-- Tells the purses of a payer whether a limit may concern them; called after every change of one.
CREATE OR REPLACE FUNCTION billing_mark_limits(payer_user bigint, payer_group bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE billing_ledgeraccount a SET has_limits = billing_any_limit(payer_user, payer_group)
    WHERE a.is_purse AND (a.user_id = payer_user OR a.group_id = payer_group)
      AND a.has_limits <> billing_any_limit(payer_user, payer_group)
$$;

-- A purse that is made later knows the limits its owner has.
CREATE OR REPLACE FUNCTION billing_new_purse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('billing_limits', coalesce(NEW.user_id, -NEW.group_id)));
    NEW.has_limits := billing_any_limit(NEW.user_id, NEW.group_id);
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS purse_knows_limits ON billing_ledgeraccount;
CREATE TRIGGER purse_knows_limits BEFORE INSERT ON billing_ledgeraccount
    FOR EACH ROW WHEN (NEW.is_purse) EXECUTE FUNCTION billing_new_purse();
ALTER TABLE billing_spendwindow SET (fillfactor = 50);
