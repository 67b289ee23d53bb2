-- Leases: money of one payer that a relay may spend on calls without asking for each. A lease is a hold of one purse, the first
-- of the payer's with money in it, so that a call is paid by the purse that a hold of its own would take. What it has left is
-- part of the purse's held_nano. Payers whose calls a spend limit may concern get none: their calls are held one by one.
--
-- A call that drew on a lease is reported with lease_id and promised_nano (the most it may cost, which the relay kept free for
-- it). Its hold is written then, already of the size of its cost, and closed by billing_record like any other.
--
-- Lock order: leases by id, holds by id, purses by id (ledger_reserve.sql).
-- Answers of open: open, repeated, per_call (money is there, but not for a lease), no_balance, mismatch, refused.
-- Answers of renew: renewed, stopped (draw no more from it: a limit came, the purse was shut, or another purse comes first; less
-- may still be asked for), closed, unknown. Answers of close: closed, repeated, unknown.

DROP FUNCTION IF EXISTS billing_lease_open(jsonb);
DROP FUNCTION IF EXISTS billing_lease_renew(jsonb);
DROP FUNCTION IF EXISTS billing_lease_close(jsonb);
DROP FUNCTION IF EXISTS billing_expire_leases(int, timestamptz);
DROP FUNCTION IF EXISTS billing_end_leases(uuid[], text);
DROP FUNCTION IF EXISTS billing_lease_room(bigint, bigint, boolean, bigint);
DROP TRIGGER IF EXISTS lease_closes_once ON billing_lease;
DROP TRIGGER IF EXISTS purse_calls_leases_back ON billing_ledgeraccount;

-- What a payer has free in all and in its first purse with money, and whether a lease is possible; the purses are locked.
CREATE FUNCTION billing_lease_room(payer_user bigint, payer_group bigint, testing boolean, share bigint,
    OUT available bigint, OUT account bigint, OUT place int, OUT most bigint, OUT limited boolean) LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(sum(x.free), 0)::bigint, coalesce(bool_or(x.has_limits), false),
        (array_agg(x.id ORDER BY x.nth) FILTER (WHERE x.free > 0))[1], (array_agg(x.nth ORDER BY x.nth) FILTER (WHERE x.free > 0))[1],
        (array_agg(x.free ORDER BY x.nth) FILTER (WHERE x.free > 0))[1]
    INTO available, limited, account, place, most
    FROM (
        SELECT a.id, a.has_limits, a.balance_nano - a.held_nano + a.credit_limit_nano AS free,
            row_number() OVER (ORDER BY a.priority, a.id)::int AS nth
        FROM billing_ledgeraccount a
        WHERE a.is_purse AND a.is_spendable AND (a.kind = 'test') = testing
          AND (a.user_id = payer_user OR a.group_id = payer_group)
    ) x;
    -- Debt in one purse counts against the others, and one relay never takes more than a share of what is left.
    most := GREATEST(LEAST(most, div(available::numeric * share, 100)), 0)::bigint;
END $$;

-- [{lease_id, source, key_id, user_id, group_id, wanted_nano, least_nano, share_percent, draw_seconds, keep_seconds}]: the payer
-- is the key's; a request that names another one is refused.
CREATE FUNCTION billing_lease_open(requests jsonb)
RETURNS TABLE (lease_id uuid, status text, granted_nano bigint, available_nano bigint, draw_until timestamptz,
    expires_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    room record;
    known billing_lease;
    amount bigint;
BEGIN
    PERFORM billing_lock_purses(array_agg(CASE WHEN k.team_id IS NULL THEN k.owner_id END), array_agg(k.team_id))
    FROM jsonb_to_recordset(requests) AS x(key_id bigint) JOIN keys_apikey k ON k.id = x.key_id;
    FOR r IN
        SELECT x.*, k.id AS found, CASE WHEN k.team_id IS NULL THEN k.owner_id END AS payer_user, k.team_id AS payer_group,
            k.purpose = 'test' AS testing
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (lease_id uuid, source text, key_id bigint, user_id bigint,
            group_id bigint, wanted_nano bigint, least_nano bigint, share_percent bigint, draw_seconds int, keep_seconds int))
            WITH ORDINALITY x(lease_id, source, key_id, user_id, group_id, wanted_nano, least_nano, share_percent, draw_seconds,
                keep_seconds, ord)
        LEFT JOIN keys_apikey k ON k.id = x.key_id ORDER BY x.ord
    LOOP
        lease_id := r.lease_id; granted_nano := 0; available_nano := 0; draw_until := NULL; expires_at := NULL;
        IF r.found IS NULL OR num_nonnulls(r.payer_user, r.payer_group) <> 1 OR coalesce(r.least_nano <= 0, true)
           OR coalesce(r.wanted_nano < r.least_nano, true) OR coalesce(r.source, '') = '' OR r.lease_id IS NULL
           OR coalesce(r.share_percent NOT BETWEEN 1 AND 100, true) OR coalesce(r.draw_seconds <= 0, true)
           OR coalesce(r.keep_seconds < 0, true) OR (num_nonnulls(r.user_id, r.group_id) > 0
               AND (r.user_id, r.group_id) IS DISTINCT FROM (r.payer_user, r.payer_group)) THEN
            status := 'refused'; RETURN NEXT; CONTINUE;
        END IF;
        SELECT * INTO known FROM billing_lease l WHERE l.id = r.lease_id;
        IF FOUND THEN
            IF known.state = 'open' AND known.source = r.source AND known.is_test = r.testing
               AND (known.user_id, known.group_id) IS NOT DISTINCT FROM (r.payer_user, r.payer_group) THEN
                status := 'repeated'; granted_nano := known.granted_nano; draw_until := known.draw_until;
                expires_at := known.expires_at;
            ELSE
                status := 'mismatch';
            END IF;
            RETURN NEXT; CONTINUE;
        END IF;
        SELECT * INTO room FROM billing_lease_room(r.payer_user, r.payer_group, r.testing, r.share_percent);
        available_nano := room.available;
        amount := LEAST(r.wanted_nano, room.most);
        IF room.limited OR coalesce(amount, 0) < r.least_nano THEN
            status := CASE WHEN NOT room.limited AND room.available < r.least_nano THEN 'no_balance' ELSE 'per_call' END;
            RETURN NEXT; CONTINUE;
        END IF;
        draw_until := clock_timestamp() + make_interval(secs => r.draw_seconds);
        expires_at := draw_until + make_interval(secs => r.keep_seconds);
        INSERT INTO billing_lease (id, source, user_id, group_id, is_test, account_id, granted_nano, spent_nano, state, created_at,
            draw_until, expires_at)
        VALUES (r.lease_id, left(r.source, 100), r.payer_user, r.payer_group, r.testing, room.account, amount, 0, 'open',
            clock_timestamp(), draw_until, expires_at);
        UPDATE billing_ledgeraccount a SET held_nano = a.held_nano + amount, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        WHERE a.id = room.account;
        status := 'open'; granted_nano := amount; available_nano := room.available - amount;
        RETURN NEXT;
    END LOOP;
END $$;

-- [{lease_id, source, granted_nano, share_percent, draw_seconds, keep_seconds}]: brings what the lease was granted in all to
-- granted_nano, as far as the purse allows; less than now gives back what is not spent. Saying it twice is saying it once.
CREATE FUNCTION billing_lease_renew(requests jsonb)
RETURNS TABLE (lease_id uuid, status text, granted_nano bigint, available_nano bigint, draw_until timestamptz,
    expires_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    l billing_lease;
    room record;
    own record;
    change bigint;
    is_over boolean;
BEGIN
    PERFORM 1 FROM billing_lease x WHERE x.id IN (SELECT y.lease_id FROM jsonb_to_recordset(requests) AS y(lease_id uuid))
    ORDER BY x.id FOR NO KEY UPDATE;
    PERFORM billing_lock_purses(array_agg(x.user_id), array_agg(x.group_id)) FROM billing_lease x
    WHERE x.id IN (SELECT y.lease_id FROM jsonb_to_recordset(requests) AS y(lease_id uuid));
    FOR r IN
        SELECT x.* FROM ROWS FROM (jsonb_to_recordset(requests) AS (lease_id uuid, source text, granted_nano bigint,
            share_percent bigint, draw_seconds int, keep_seconds int))
            WITH ORDINALITY x(lease_id, source, granted_nano, share_percent, draw_seconds, keep_seconds, ord) ORDER BY x.ord
    LOOP
        lease_id := r.lease_id; granted_nano := 0; available_nano := 0; draw_until := NULL; expires_at := NULL;
        SELECT * INTO l FROM billing_lease x WHERE x.id = r.lease_id AND x.source = r.source;
        IF NOT FOUND OR coalesce(r.granted_nano < 0, true) OR coalesce(r.share_percent NOT BETWEEN 1 AND 100, true)
           OR coalesce(r.draw_seconds <= 0, true) OR coalesce(r.keep_seconds < 0, true) THEN
            status := 'unknown'; RETURN NEXT; CONTINUE;
        END IF;
        granted_nano := l.granted_nano; draw_until := l.draw_until; expires_at := l.expires_at;
        IF l.state <> 'open' THEN
            status := 'closed'; RETURN NEXT; CONTINUE;
        END IF;
        SELECT * INTO room FROM billing_lease_room(l.user_id, l.group_id, l.is_test, r.share_percent);
        SELECT a.id, a.is_spendable, x.place INTO own FROM billing_ledgeraccount a
        CROSS JOIN LATERAL (SELECT count(*) AS place FROM billing_ledgeraccount b
            WHERE b.is_purse AND b.is_spendable AND (b.kind = 'test') = l.is_test
              AND (b.user_id = l.user_id OR b.group_id = l.group_id) AND (b.priority, b.id) <= (a.priority, a.id)) x
        WHERE a.id = l.account_id;
        available_nano := room.available;
        is_over := coalesce(room.limited OR NOT own.is_spendable OR room.place < own.place, false);
        change := GREATEST(r.granted_nano, l.spent_nano) - l.granted_nano;
        IF change > 0 THEN
            change := CASE WHEN room.account = l.account_id AND NOT is_over THEN LEAST(change, room.most) ELSE 0 END;
        END IF;
        IF NOT is_over THEN
            draw_until := clock_timestamp() + make_interval(secs => r.draw_seconds);
            expires_at := GREATEST(l.expires_at, draw_until + make_interval(secs => r.keep_seconds));
        END IF;
        granted_nano := l.granted_nano + change;
        UPDATE billing_lease x SET granted_nano = l.granted_nano + change, draw_until = billing_lease_renew.draw_until,
            expires_at = billing_lease_renew.expires_at
        WHERE x.id = l.id;
        IF change <> 0 THEN
            UPDATE billing_ledgeraccount a SET held_nano = a.held_nano + change,
                floor_nano = CASE WHEN change > 0 THEN LEAST(a.floor_nano, -a.credit_limit_nano)
                    ELSE LEAST(-a.credit_limit_nano, a.balance_nano - a.held_nano - change) END
            WHERE a.id = l.account_id;
        END IF;
        status := CASE WHEN is_over THEN 'stopped' ELSE 'renewed' END; available_nano := room.available - change;
        RETURN NEXT;
    END LOOP;
END $$;

-- Ends open leases and gives back what they have left; the leases are locked. Gives their number.
CREATE FUNCTION billing_end_leases(ids uuid[], how text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    ended int;
BEGIN
    PERFORM billing_lock_purses(array_agg(l.user_id), array_agg(l.group_id)) FROM billing_lease l
    WHERE l.id = ANY (ids) AND l.state = 'open';
    WITH gone AS (
        UPDATE billing_lease l SET state = how, closed_at = clock_timestamp() WHERE l.id = ANY (ids) AND l.state = 'open'
        RETURNING l.account_id, l.granted_nano - l.spent_nano AS rest
    ), back AS (
        UPDATE billing_ledgeraccount a SET held_nano = a.held_nano - t.rest,
            floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano - a.held_nano + t.rest)
        FROM (SELECT g.account_id, sum(g.rest)::bigint AS rest FROM gone g GROUP BY 1) t WHERE a.id = t.account_id
    )
    SELECT count(*) INTO ended FROM gone;
    RETURN ended;
END $$;

-- [{lease_id, source}]: no more calls will be reported on it. What was spent stays spent.
CREATE FUNCTION billing_lease_close(requests jsonb)
RETURNS TABLE (lease_id uuid, status text, returned_nano bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
    was jsonb;
BEGIN
    SELECT array_agg(l.id), coalesce(jsonb_object_agg(l.id, jsonb_build_array(l.state = 'open', l.granted_nano - l.spent_nano)), '{}')
    INTO ids, was FROM (
        SELECT l.* FROM billing_lease l JOIN jsonb_to_recordset(requests) AS x(lease_id uuid, source text)
            ON x.lease_id = l.id AND x.source = l.source
        ORDER BY l.id FOR NO KEY UPDATE OF l
    ) l;
    PERFORM billing_end_leases(ids, 'closed') WHERE ids IS NOT NULL;
    RETURN QUERY
    SELECT x.lease_id, CASE WHEN was -> x.lease_id::text IS NULL THEN 'unknown' WHEN (was -> x.lease_id::text ->> 0)::boolean
            AND x.nth = 1 THEN 'closed' ELSE 'repeated' END,
        CASE WHEN (was -> x.lease_id::text ->> 0)::boolean AND x.nth = 1 THEN (was -> x.lease_id::text ->> 1)::bigint ELSE 0 END
    FROM (
        SELECT y.lease_id, y.ord, row_number() OVER (PARTITION BY y.lease_id ORDER BY y.ord) AS nth
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (lease_id uuid)) WITH ORDINALITY y(lease_id, ord)
    ) x ORDER BY x.ord;
END $$;

-- Gives back what leases have left whose time is over: of relays that died, or lost the database.
CREATE FUNCTION billing_expire_leases(most int, moment timestamptz DEFAULT now()) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    due uuid[];
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT l.id FROM billing_lease l WHERE l.state = 'open' AND l.expires_at <= moment ORDER BY l.expires_at LIMIT most
    ) d;
    PERFORM 1 FROM billing_lease l WHERE l.id = ANY (due) ORDER BY l.id FOR NO KEY UPDATE;
    -- One may have been renewed while we waited for it.
    due := ARRAY(SELECT l.id FROM billing_lease l WHERE l.id = ANY (due) AND l.expires_at <= moment);
    RETURN billing_end_leases(due, 'expired');
END $$;

-- What a lease lent is never more than it was granted, its payer stays, and it closes once.
CREATE OR REPLACE FUNCTION billing_guard_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state = 'open' THEN
            RAISE EXCEPTION 'an open lease cannot be removed' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.state <> 'open' OR NEW.spent_nano < OLD.spent_nano
       OR (NEW.id, NEW.source, NEW.user_id, NEW.group_id, NEW.is_test, NEW.account_id) IS DISTINCT FROM
          (OLD.id, OLD.source, OLD.user_id, OLD.group_id, OLD.is_test, OLD.account_id) THEN
        RAISE EXCEPTION 'a lease closes once and stays whose it is' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER lease_closes_once BEFORE UPDATE OR DELETE ON billing_lease
    FOR EACH ROW EXECUTE FUNCTION billing_guard_lease();
ALTER TABLE billing_lease SET (fillfactor = 70);

-- Relays that lend money of this payer are told when a limit, a shut purse or a new purse may change what pays for its calls.
CREATE OR REPLACE FUNCTION billing_call_leases_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('portal_config', 'lease:' || coalesce(NEW.user_id, -NEW.group_id));
    RETURN NULL;
END $$;
CREATE TRIGGER purse_calls_leases_back AFTER INSERT OR UPDATE OF has_limits, is_spendable, credit_limit_nano, priority
    ON billing_ledgeraccount FOR EACH ROW WHEN (NEW.is_purse)
    EXECUTE FUNCTION billing_call_leases_back();

ALTER FUNCTION billing_lease_open(jsonb) SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off;
ALTER FUNCTION billing_lease_renew(jsonb) SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off;
ALTER FUNCTION billing_lease_close(jsonb) SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off;
ALTER FUNCTION billing_expire_leases(int, timestamptz) SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
    SET jit = off;
