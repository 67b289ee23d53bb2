-- Ends of calls that come late, or that belong to no call we know: nothing is lost and nothing is counted twice.
--
-- Until the limit (LATE_EVENT_DAYS after the hold ran out) a late event is charged and flagged. After it nobody is charged
-- without being asked: the money waits in suspense (suspense to revenue, so suspense is below zero by what the desk has
-- open) and the desk gets an item "late". An event whose request is unknown becomes an item "unmatched".
-- What failed attempts are known to cost at an upstream is the operator's: operator's loss to upstream cost.

-- Set by the portal's and the relay's connections from LATE_EVENT_DAYS.
CREATE FUNCTION billing_late_limit() RETURNS interval LANGUAGE sql STABLE AS $$
    SELECT make_interval(days => coalesce(nullif(current_setting('portal.late_event_days', true), '')::int, 7))
$$;

-- Puts an event that came too late on the desk and its money into suspense; false when it is there already.
CREATE FUNCTION billing_park_late(event jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    h billing_hold;
    entry bigint;
    item bigint;
    cost bigint := (event ->> 'cost_nano')::bigint;
BEGIN
    SELECT * INTO h FROM billing_hold x WHERE x.id = (event ->> 'request_id')::uuid AND x.state = 'expired'
        AND x.reason = 'expired' AND x.expires_at <= now() - billing_late_limit();
    IF NOT FOUND OR cost = 0 THEN
        RETURN false;
    END IF;
    INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, booked_at,
        effective_at, reason)
    VALUES (h.id, 'late', 0, billing_house_account('suspense', ''), billing_house_account('revenue', ''), cost,
        clock_timestamp(), uuid7_time(h.id), '')
    ON CONFLICT DO NOTHING RETURNING id INTO entry;
    IF entry IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO billing_deskitem (kind, reference, request_id, user_id, group_id, amount_nano, reason, details, state,
        opened_at, entry_id, note)
    VALUES ('late', h.id::text, h.id, h.user_id, h.group_id, cost, 'too_late', event -> 'log', 'open', clock_timestamp(),
        entry, '') ON CONFLICT DO NOTHING RETURNING id INTO item;
    IF item IS NULL THEN
        RAISE EXCEPTION 'call % is on the desk already', h.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN true;
END $$;

-- Puts events of unknown requests on the desk, in the order of their ids so that two batches never wait in a circle.
CREATE FUNCTION billing_park_unmatched(events jsonb[], reasons text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO billing_deskitem (kind, reference, request_id, user_id, group_id, amount_nano, reason, details, state, opened_at,
        note)
    SELECT DISTINCT ON (x.id) 'unmatched', x.id::text, x.id, coalesce(k.owner_id, CASE WHEN k.id IS NULL THEN u.id END), k.team_id,
        x.cost, x.reason, x.log, 'open', clock_timestamp(), ''
    FROM (
        SELECT (e.event ->> 'request_id')::uuid AS id, (e.event ->> 'cost_nano')::bigint AS cost, e.reason,
            e.event -> 'log' AS log
        FROM unnest(events, reasons) e(event, reason)
    ) x
    LEFT JOIN keys_apikey k ON k.id = CASE WHEN jsonb_typeof(x.log -> 'key_id') = 'number' THEN (x.log ->> 'key_id')::bigint END
    LEFT JOIN accounts_user u
        ON u.id = CASE WHEN jsonb_typeof(x.log -> 'user_id') = 'number' THEN (x.log ->> 'user_id')::bigint END
    ORDER BY x.id ON CONFLICT DO NOTHING
$$;

-- Books what the attempts of a call that failed are known to cost at their upstreams, once for each attempt.
CREATE FUNCTION billing_book_losses(event jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, booked_at,
        effective_at, reason)
    SELECT (event ->> 'request_id')::uuid, 'loss', a.nth - 1, billing_house_account('operator_loss', ''),
        billing_house_account('upstream_cost', ''), (a.attempt ->> 'cost_nano')::bigint, clock_timestamp(),
        uuid7_time((event ->> 'request_id')::uuid), left('upstream ' || coalesce(a.attempt ->> 'upstream', ''), 255)
    FROM jsonb_array_elements(CASE jsonb_typeof(event -> 'log' -> 'attempts') WHEN 'array' THEN event -> 'log' -> 'attempts' END) WITH ORDINALITY a(attempt, nth)
    WHERE jsonb_typeof(a.attempt -> 'cost_nano') = 'number' AND a.attempt ->> 'cost_nano' ~ '^[1-9][0-9]{0,17}$'
      AND coalesce(a.attempt ->> 'error', '') <> ''
    ON CONFLICT DO NOTHING
$$;
