CREATE TYPE public.billing_ask AS (
	id uuid,
	user_id bigint,
	group_id bigint,
	key_id bigint,
	member_id bigint,
	is_test boolean,
	amount bigint,
	expires_at timestamp with time zone,
	context jsonb
);
CREATE TYPE public.billing_call AS (
	ord bigint,
	id uuid,
	cost bigint,
	reason text,
	log jsonb,
	key_id bigint,
	user_id bigint,
	group_id bigint,
	member_id bigint,
	is_test boolean,
	amount bigint,
	account_ids bigint[],
	part_amounts bigint[],
	is_open boolean,
	is_late boolean
);
CREATE FUNCTION public.uuid7_time(id uuid) RETURNS timestamp with time zone
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
BEGIN
    RETURN to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0::float8);
END $$;
CREATE TABLE public.billing_requestlog (
    id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    first_token_ms integer,
    key_name character varying(191) NOT NULL,
    key_tail character varying(4) NOT NULL,
    group_code character varying(191) NOT NULL,
    endpoint character varying(64) NOT NULL,
    is_stream boolean NOT NULL,
    route character varying(8) NOT NULL,
    asked_model character varying(255) NOT NULL,
    billed_model character varying(255) NOT NULL,
    served_model character varying(255) NOT NULL,
    outcome character varying(24) NOT NULL,
    http_status smallint NOT NULL,
    error_code character varying(64) NOT NULL,
    input_tokens integer NOT NULL,
    cached_tokens integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    output_tokens integer NOT NULL,
    reasoning_tokens integer NOT NULL,
    usage_source character varying(10) NOT NULL,
    held_nano bigint NOT NULL,
    cost_nano bigint NOT NULL,
    price_version_id bigint,
    price_detail jsonb NOT NULL,
    attempts jsonb NOT NULL,
    client_family character varying(32) NOT NULL,
    client_network character varying(48) NOT NULL,
    origin character varying(10) NOT NULL,
    source_ref character varying(64) NOT NULL,
    key_id bigint,
    user_id bigint,
    audio_input_tokens integer DEFAULT 0 NOT NULL,
    audio_output_tokens integer DEFAULT 0 NOT NULL,
    character_count integer DEFAULT 0 NOT NULL,
    image_count integer DEFAULT 0 NOT NULL,
    media_ms bigint DEFAULT 0 NOT NULL,
    media_quality character varying(16) DEFAULT ''::character varying NOT NULL,
    media_size character varying(32) DEFAULT ''::character varying NOT NULL,
    modality character varying(16) DEFAULT 'text'::character varying NOT NULL,
    fallback_rule_id bigint,
    body_digest bigint,
    CONSTRAINT request_log_cost_not_negative CHECK ((cost_nano >= 0)),
    CONSTRAINT request_log_time_is_in_id CHECK ((started_at = public.uuid7_time(id)))
)
PARTITION BY RANGE (started_at);
CREATE TYPE public.billing_event AS (
	request_id uuid,
	cost_nano bigint,
	hold boolean,
	reason text,
	log public.billing_requestlog,
	lease_id uuid,
	promised_nano bigint
);
CREATE TYPE public.billing_plain_ask AS (
	ord bigint,
	id uuid,
	user_id bigint,
	group_id bigint,
	key_id bigint,
	member_id bigint,
	amount bigint,
	expires_at timestamp with time zone,
	context jsonb
);
CREATE FUNCTION public.accounts_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION public.billing_any_limit(payer_user bigint, payer_group bigint) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT 1 FROM billing_spendlimit l WHERE l.group_id = payer_group)
        OR EXISTS (SELECT 1 FROM billing_spendlimit l WHERE l.user_id = payer_user AND l.group_id IS NULL)
        OR EXISTS (SELECT 1 FROM billing_spendlimit l JOIN keys_apikey k ON k.id = l.key_id
                   WHERE k.owner_id = payer_user OR k.team_id = payer_group)
$$;
CREATE FUNCTION public.billing_blank_event() RETURNS public.billing_event
    LANGUAGE sql STABLE
    AS $$
    SELECT ROW(NULL, NULL, NULL, NULL, billing_blank_log(), NULL, NULL)::billing_event
$$;
CREATE FUNCTION public.billing_blank_log() RETURNS public.billing_requestlog
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_populate_record(NULL::billing_requestlog, '{"duration_ms": 0, "key_name": "", "key_tail": "",
        "group_code": "", "endpoint": "", "is_stream": false, "route": "new", "asked_model": "", "billed_model": "",
        "served_model": "", "outcome": "ok", "http_status": 0, "error_code": "", "input_tokens": 0, "cached_tokens": 0,
        "cache_write_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "usage_source": "none", "held_nano": 0,
        "cost_nano": 0, "price_detail": {}, "attempts": [], "client_family": "", "client_network": "", "origin": "relay",
        "source_ref": "", "modality": "text", "audio_input_tokens": 0, "audio_output_tokens": 0, "image_count": 0,
        "media_ms": 0, "character_count": 0, "media_size": "", "media_quality": ""}')
$$;
CREATE FUNCTION public.billing_book_losses(event jsonb) RETURNS void
    LANGUAGE sql
    AS $_$
    INSERT INTO billing_ledgerentry (transaction_id, kind, n, from_account_id, to_account_id, amount_nano, booked_at,
        effective_at, reason)
    SELECT (event ->> 'request_id')::uuid, 'loss', a.nth - 1, billing_house_account('operator_loss', ''),
        billing_house_account('upstream_cost', ''), (a.attempt ->> 'cost_nano')::bigint, clock_timestamp(),
        uuid7_time((event ->> 'request_id')::uuid), left('upstream ' || coalesce(a.attempt ->> 'upstream', ''), 255)
    FROM jsonb_array_elements(CASE jsonb_typeof(event -> 'log' -> 'attempts') WHEN 'array' THEN event -> 'log' -> 'attempts' END) WITH ORDINALITY a(attempt, nth)
    WHERE jsonb_typeof(a.attempt -> 'cost_nano') = 'number' AND a.attempt ->> 'cost_nano' ~ '^[1-9][0-9]{0,17}$'
      AND coalesce(a.attempt ->> 'error', '') <> ''
    ON CONFLICT DO NOTHING
$_$;
CREATE FUNCTION public.billing_call_leases_back() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('portal_config', 'lease:' || coalesce(NEW.user_id, -NEW.group_id));
    RETURN NULL;
END $$;
CREATE FUNCTION public.billing_charge_covered(calls public.billing_call[], revenue bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_charge_spread(c public.billing_call, revenue bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_check_posting(posting jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    source billing_ledgeraccount;
    target billing_ledgeraccount;
    original billing_ledgerentry;
    amount bigint := (posting ->> 'amount_nano')::bigint;
BEGIN
    IF posting ->> 'kind' = 'charge' THEN
        RAISE EXCEPTION 'calls are charged by billing_record' USING ERRCODE = 'PB004';
    END IF;
    IF posting ->> 'reverses_id' IS NOT NULL THEN
        SELECT * INTO original FROM billing_ledgerentry e WHERE e.id = (posting ->> 'reverses_id')::bigint;
        IF NOT FOUND OR original.amount_nano <> amount OR original.kind = 'reversal'
           OR original.from_account_id <> (posting ->> 'to_account_id')::bigint
           OR original.to_account_id <> (posting ->> 'from_account_id')::bigint THEN
            RAISE EXCEPTION 'a reversal mirrors its original' USING ERRCODE = 'PB004';
        END IF;
    ELSIF posting ->> 'kind' = 'reversal' THEN
        RAISE EXCEPTION 'a reversal names its original' USING ERRCODE = 'PB004';
    END IF;
    SELECT * INTO source FROM billing_ledgeraccount a WHERE a.id = (posting ->> 'from_account_id')::bigint;
    SELECT * INTO target FROM billing_ledgeraccount a WHERE a.id = (posting ->> 'to_account_id')::bigint;
    IF source.id IS NULL OR target.id IS NULL THEN
        RAISE EXCEPTION 'an entry is between two accounts that are there' USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF target.currency <> source.currency THEN
        RAISE EXCEPTION 'an entry stays within one currency' USING ERRCODE = 'PB004';
    END IF;
    IF source.is_purse AND NOT coalesce((posting ->> 'allow_debt')::boolean, false)
       AND source.balance_nano - source.held_nano - amount < source.floor_nano THEN
        RAISE EXCEPTION 'account % has % nano-units free, % wanted', source.id,
            source.balance_nano - source.held_nano - source.floor_nano, amount USING ERRCODE = 'PB002';
    END IF;
END $$;
CREATE FUNCTION public.billing_close_holds(calls public.billing_call[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE billing_hold h
    SET state = CASE WHEN c.cost > 0 THEN 'settled' ELSE 'released' END,
        settled_nano = CASE WHEN c.cost > 0 THEN c.cost END, reason = c.reason, closed_at = clock_timestamp(),
        context = CASE WHEN h.context ? 'plane' THEN h.context ELSE '{}' END
    FROM unnest(calls) c WHERE h.id = c.id AND c.is_open;
END $$;
CREATE FUNCTION public.billing_count_held(calls public.billing_call[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_count_spent(calls public.billing_call[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_counting(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[], OUT calls uuid[], OUT window_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_debt_purse(c public.billing_call) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_draw_leases(events jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_drop_logs(ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_end_leases(ids uuid[], how text) RETURNS integer
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_ensure_partitions(first date, last date) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    month date := date_trunc('month', first);
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('billing_ensure_partitions'));
    WHILE month <= last LOOP
        name := 'billing_requestlog_' || to_char(month, 'YYYYMM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF billing_requestlog FOR VALUES FROM (%L) TO (%L)',
                name, to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00'
            );
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;
CREATE TABLE public.billing_ledgerentry (
    id bigint NOT NULL,
    transaction_id uuid NOT NULL,
    kind character varying(20) NOT NULL,
    n smallint NOT NULL,
    amount_nano bigint NOT NULL,
    from_seq bigint,
    from_balance_nano bigint,
    to_seq bigint,
    to_balance_nano bigint,
    booked_at timestamp with time zone NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    reason character varying(255) NOT NULL,
    actor_id bigint,
    from_account_id bigint NOT NULL,
    reverses_id bigint,
    to_account_id bigint NOT NULL,
    draw character varying(8) DEFAULT ''::character varying NOT NULL,
    CONSTRAINT billing_ledgerentry_n_check CHECK ((n >= 0)),
    CONSTRAINT entry_positive CHECK ((amount_nano > 0)),
    CONSTRAINT entry_two_accounts CHECK ((NOT (from_account_id = to_account_id)))
);
CREATE FUNCTION public.billing_entry_mark(e public.billing_ledgerentry) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT sha256(convert_to(ROW(e.id, e.transaction_id, e.kind, e.n, e.from_account_id, e.to_account_id, e.amount_nano,
        e.from_seq, e.from_balance_nano, e.to_seq, e.to_balance_nano, (extract(epoch FROM e.booked_at) * 1000000)::bigint,
        (extract(epoch FROM e.effective_at) * 1000000)::bigint, e.actor_id, e.reason, e.reverses_id)::text, 'UTF8'))
$$;
CREATE FUNCTION public.billing_entry_mark(e public.billing_ledgerentry, version smallint) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT CASE version WHEN 1 THEN billing_entry_mark(e)
        ELSE sha256(billing_entry_mark(e) || convert_to(e.draw, 'UTF8')) END
$$;
CREATE FUNCTION public.billing_expire_holds(most integer, moment timestamp with time zone DEFAULT now()) RETURNS integer
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_expire_leases(most integer, moment timestamp with time zone DEFAULT now()) RETURNS integer
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_guard_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.user_id IS NOT NULL AND NEW.group_id IS NOT NULL THEN
        RAISE EXCEPTION 'an account has one owner' USING ERRCODE = 'check_violation', CONSTRAINT = 'account_one_owner';
    END IF;
    IF (NEW.is_purse AND NEW.kind NOT IN ('test', 'bonus', 'subscription', 'prepaid', 'postpaid'))
       OR (NOT NEW.is_purse AND num_nonnulls(NEW.user_id, NEW.group_id) > 0) THEN
        RAISE EXCEPTION 'a purse has a kind of purse, an account of the house has no owner'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_purse_or_house';
    END IF;
    -- Calls are charged in USD.
    IF NEW.is_spendable AND NEW.currency <> 'USD' THEN
        RAISE EXCEPTION 'only purses in USD can be spent' USING ERRCODE = 'check_violation', CONSTRAINT = 'account_spent_in_usd';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_book() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.formula, NEW.quota_per_unit) IS DISTINCT FROM (OLD.formula, OLD.quota_per_unit) AND EXISTS (
        SELECT 1 FROM billing_priceversion v WHERE v.book_id = OLD.id AND v.published_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the formula of a published price book cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_closed_hold() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state <> OLD.state OR NEW.settled_nano IS DISTINCT FROM OLD.settled_nano THEN
        RAISE EXCEPTION 'a hold closes once' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_currency() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.currency <> OLD.currency THEN
        RAISE EXCEPTION 'the currency of an account cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_hold_terms() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.id, NEW.amount_nano, NEW.account_ids, NEW.part_amounts) IS DISTINCT FROM
       (OLD.id, OLD.amount_nano, OLD.account_ids, OLD.part_amounts)
       OR (NEW.user_id, NEW.group_id, NEW.key_id) IS DISTINCT FROM (OLD.user_id, OLD.group_id, OLD.key_id) THEN
        RAISE EXCEPTION 'what a hold set aside cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_lease() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_guard_statement() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    before billing_statement;
BEGIN
    SELECT s.* INTO before FROM billing_statement s
    WHERE s.user_id IS NOT DISTINCT FROM NEW.user_id AND s.group_id IS NOT DISTINCT FROM NEW.group_id
      AND s.currency = NEW.currency ORDER BY s.month_on DESC LIMIT 1;
    IF before.id IS DISTINCT FROM NEW.previous_id THEN
        RAISE EXCEPTION 'a statement follows the newest one' USING ERRCODE = 'restrict_violation';
    END IF;
    IF before.id IS NOT NULL AND (NEW.opening_nano <> before.closing_nano OR NEW.month_on <= before.month_on
       OR NEW.starts_at < before.ends_at) THEN
        RAISE EXCEPTION 'a statement opens where the one before closed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_statement_purse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    before billing_statementpurse;
BEGIN
    SELECT p.* INTO before FROM billing_statementpurse p WHERE p.account_id = NEW.account_id ORDER BY p.id DESC LIMIT 1;
    IF before.id IS NOT NULL AND (NEW.first_seq <> before.last_seq + 1 OR NEW.opening_nano <> before.closing_nano) THEN
        RAISE EXCEPTION 'a purse goes on where the statement before left it' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.opening_nano IS DISTINCT FROM billing_purse_balance_at(NEW.account_id, NEW.first_seq - 1,
        NEW.opening_entry_id)
       OR NEW.closing_nano IS DISTINCT FROM billing_purse_balance_at(NEW.account_id, NEW.last_seq, NEW.last_entry_id) THEN
        RAISE EXCEPTION 'a statement says what the ledger says' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_guard_version() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'a published price version cannot change' USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION public.billing_guard_version_part() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM billing_priceversion v WHERE v.published_at IS NOT NULL
          AND (v.id = CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END OR v.id = CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END)
    ) THEN
        RAISE EXCEPTION 'a published price version cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION public.billing_house_account(wanted_kind text, wanted_origin text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_house_account(wanted_kind text, wanted_origin text, wanted_currency text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    model billing_ledgeraccount;
    found_id bigint;
    usd_id bigint := billing_house_account(wanted_kind, wanted_origin);
BEGIN
    IF wanted_currency = 'USD' THEN
        RETURN usd_id;
    END IF;
    LOOP
        SELECT a.id INTO found_id FROM billing_ledgeraccount a
        WHERE a.user_id IS NULL AND a.group_id IS NULL AND a.kind = wanted_kind AND a.currency = wanted_currency
          AND a.origin = wanted_origin;
        IF FOUND THEN
            RETURN found_id;
        END IF;
        SELECT * INTO model FROM billing_ledgeraccount a WHERE a.id = usd_id;
        model.id := nextval(pg_get_serial_sequence('billing_ledgeraccount', 'id'));
        model.currency := wanted_currency;
        model.created_at := now();
        INSERT INTO billing_ledgeraccount SELECT model.* ON CONFLICT DO NOTHING;
    END LOOP;
END $$;
CREATE FUNCTION public.billing_keep_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.id <> OLD.id THEN
            RAISE EXCEPTION 'the number of an account cannot change' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT 1 FROM billing_ledgerentry e WHERE e.from_account_id = OLD.id)
       OR EXISTS (SELECT 1 FROM billing_ledgerentry e WHERE e.to_account_id = OLD.id)
       OR OLD.held_nano <> 0 OR NOT OLD.is_purse THEN
        RAISE EXCEPTION 'account % has a history and stays', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE FUNCTION public.billing_late_limit() RETURNS interval
    LANGUAGE sql STABLE
    AS $$
    SELECT make_interval(days => coalesce(nullif(current_setting('portal.late_event_days', true), '')::int, 7))
$$;
CREATE FUNCTION public.billing_lease_close(requests jsonb) RETURNS TABLE(lease_id uuid, status text, returned_nano bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_lease_open(requests jsonb) RETURNS TABLE(lease_id uuid, status text, granted_nano bigint, available_nano bigint, draw_until timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_lease_renew(requests jsonb) RETURNS TABLE(lease_id uuid, status text, granted_nano bigint, available_nano bigint, draw_until timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_lease_room(payer_user bigint, payer_group bigint, testing boolean, share bigint, OUT available bigint, OUT account bigint, OUT place integer, OUT most bigint, OUT limited boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE TABLE public.billing_spendlimit (
    id bigint NOT NULL,
    scope character varying(8) NOT NULL,
    span character varying(8) NOT NULL,
    limit_nano bigint NOT NULL,
    time_zone character varying(64) NOT NULL,
    counts_from timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    group_id bigint,
    key_id bigint,
    user_id bigint,
    CONSTRAINT spend_limit_not_negative CHECK ((limit_nano >= 0)),
    CONSTRAINT spend_limit_scope CHECK ((((group_id IS NULL) AND (key_id IS NOT NULL) AND ((scope)::text = 'key'::text) AND (user_id IS NULL)) OR ((group_id IS NOT NULL) AND (key_id IS NULL) AND ((scope)::text = 'member'::text) AND (user_id IS NOT NULL)) OR ((group_id IS NOT NULL) AND (key_id IS NULL) AND ((scope)::text = 'group'::text) AND (user_id IS NULL)) OR ((group_id IS NULL) AND (key_id IS NULL) AND ((scope)::text = 'person'::text) AND (user_id IS NOT NULL))))
);
CREATE FUNCTION public.billing_limits_on(call_key bigint, call_member bigint, payer_group bigint, payer_user bigint) RETURNS SETOF public.billing_spendlimit
    LANGUAGE sql STABLE
    AS $$
    SELECT * FROM billing_spendlimit l WHERE l.key_id = call_key
    UNION ALL SELECT * FROM billing_spendlimit l
        WHERE l.group_id = payer_group AND l.key_id IS NULL AND (l.user_id IS NULL OR l.user_id = call_member)
    UNION ALL SELECT * FROM billing_spendlimit l WHERE l.user_id = payer_user AND l.key_id IS NULL AND l.group_id IS NULL
$$;
CREATE FUNCTION public.billing_lock_limits(payer_user bigint, payer_group bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('billing_limits', coalesce(payer_user, -payer_group)));
    PERFORM billing_lock_purses(ARRAY[payer_user], ARRAY[payer_group]);
END $$;
CREATE FUNCTION public.billing_lock_purses(users bigint[], groups bigint[]) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_mark_limits(payer_user bigint, payer_group bigint) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE billing_ledgeraccount a SET has_limits = billing_any_limit(payer_user, payer_group)
    WHERE a.is_purse AND (a.user_id = payer_user OR a.group_id = payer_group)
      AND a.has_limits <> billing_any_limit(payer_user, payer_group)
$$;
CREATE FUNCTION public.billing_move(account bigint, change bigint, OUT new_seq bigint, OUT new_balance bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE billing_ledgeraccount a
    SET balance_nano = a.balance_nano + change,
        seq = a.seq + 1,
        floor_nano = LEAST(-a.credit_limit_nano, a.balance_nano + change - a.held_nano)
    WHERE a.id = account AND a.is_purse
    RETURNING a.seq, a.balance_nano INTO new_seq, new_balance;
END $$;
CREATE FUNCTION public.billing_new_purse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('billing_limits', coalesce(NEW.user_id, -NEW.group_id)));
    NEW.has_limits := billing_any_limit(NEW.user_id, NEW.group_id);
    RETURN NEW;
END $$;
CREATE FUNCTION public.billing_open_windows(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_park_late(event jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_park_unmatched(events jsonb[], reasons text[]) RETURNS void
    LANGUAGE sql
    AS $$
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
CREATE FUNCTION public.billing_parts(asks public.billing_ask[]) RETURNS TABLE(id uuid, account_ids bigint[], part_amounts bigint[], room bigint)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'on'
    AS $$
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
CREATE TABLE public.billing_pricerule (
    id bigint NOT NULL,
    model_name character varying(255) NOT NULL,
    basis character varying(12) NOT NULL,
    input_nano bigint NOT NULL,
    cached_nano bigint,
    cache_write_nano bigint,
    output_nano bigint NOT NULL,
    call_nano bigint NOT NULL,
    item_nano bigint NOT NULL,
    minimum_nano bigint NOT NULL,
    source_figures jsonb NOT NULL,
    version_id bigint NOT NULL,
    audio_input_nano bigint,
    audio_output_nano bigint,
    character_nano bigint,
    reasoning_nano bigint,
    rounding character varying(12) NOT NULL,
    rounding_step_nano bigint NOT NULL,
    unit_prices jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT price_rule_rounding_step CHECK ((rounding_step_nano > 0))
);
CREATE FUNCTION public.billing_portal_cost(p public.billing_pricerule, multiplier numeric, l public.billing_requestlog) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN used AND multiplier <> 0 AND cost < p.minimum_nano THEN p.minimum_nano ELSE cost END FROM (
        SELECT billing_rounded((tokens + units + p.call_nano * 1000000::numeric) * multiplier * 10::numeric ^ 12,
                1000000 * 10::numeric ^ 12, p.rounding, p.rounding_step_nano) AS cost,
            p.call_nano > 0 OR l.input_tokens + l.output_tokens + l.image_count + l.media_ms + l.character_count > 0 AS used
        FROM (
            SELECT CASE WHEN p.basis = 'call' THEN 0::numeric ELSE
                GREATEST(l.input_tokens::numeric - l.cached_tokens - l.cache_write_tokens - l.audio_input_tokens, 0) * p.input_nano
                + l.cached_tokens::numeric * coalesce(p.cached_nano, p.input_nano)
                + l.cache_write_tokens::numeric * coalesce(p.cache_write_nano, p.input_nano)
                + CASE WHEN l.audio_input_tokens = 0 THEN 0 ELSE l.audio_input_tokens::numeric * p.audio_input_nano END
                + CASE WHEN l.audio_output_tokens = 0 THEN 0 ELSE l.audio_output_tokens::numeric * p.audio_output_nano END
                + GREATEST(l.output_tokens::numeric - l.audio_output_tokens
                    - CASE WHEN p.reasoning_nano IS NULL THEN 0 ELSE l.reasoning_tokens END, 0) * p.output_nano
                + l.reasoning_tokens::numeric * coalesce(p.reasoning_nano, 0) END AS tokens,
            CASE WHEN l.image_count = 0 THEN 0 ELSE l.image_count * 1000000::numeric * coalesce(
                billing_unit_price(p.unit_prices, 'image:' || size || ':' || quality, 'image:' || size || ':*',
                    'image:*:' || quality, 'image:*:*'),
                CASE WHEN NOT names_images AND p.item_nano > 0 THEN p.item_nano END,
                CASE WHEN NOT names_images AND covered THEN 0 END) END
            + CASE WHEN l.media_ms = 0 THEN 0 ELSE l.media_ms * 1000::numeric * coalesce(
                CASE WHEN l.modality = 'video' THEN billing_unit_price(p.unit_prices, 'video:' || size, 'video:*')
                    ELSE billing_unit_price(p.unit_prices, 'audio') END,
                CASE WHEN covered AND NOT (l.modality = 'video' AND names_video) THEN 0 END) END
            + CASE WHEN l.character_count = 0 THEN 0 ELSE l.character_count::numeric
                * coalesce(p.character_nano, CASE WHEN covered THEN 0 END) END AS units
            FROM (
                SELECT coalesce(nullif(lower(btrim(l.media_size)), ''), '*') AS size,
                    coalesce(nullif(lower(btrim(l.media_quality)), ''), '*') AS quality,
                    p.basis = 'call' OR (l.output_tokens > 0 AND (p.output_nano > 0 OR coalesce(p.audio_output_nano, 0) > 0))
                        AS covered,
                    EXISTS (SELECT 1 FROM jsonb_object_keys(p.unit_prices) k WHERE k LIKE 'image:%') AS names_images,
                    EXISTS (SELECT 1 FROM jsonb_object_keys(p.unit_prices) k WHERE k LIKE 'video:%') AS names_video
            ) named
        ) parts
    ) sums
$$;
CREATE FUNCTION public.billing_post_entries(postings jsonb) RETURNS TABLE(transaction_id uuid, kind text, n integer, status text, entry_id bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_purse_balance_at(account bigint, place bigint, entry bigint) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN place = 0 THEN 0 ELSE (
        SELECT CASE WHEN e.from_account_id = account AND e.from_seq = place THEN e.from_balance_nano
                    WHEN e.to_account_id = account AND e.to_seq = place THEN e.to_balance_nano END
        FROM billing_ledgerentry e WHERE e.id = entry) END
$$;
CREATE FUNCTION public.billing_record(events jsonb) RETURNS TABLE(request_id uuid, status text, reason text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $_$
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
END $_$;
CREATE FUNCTION public.billing_record_alone(event jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_record_batch(events jsonb) RETURNS TABLE(request_id uuid, status text, reason text)
    LANGUAGE plpgsql
    AS $_$
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
END $_$;
CREATE FUNCTION public.billing_record_followed(events jsonb) RETURNS TABLE(request_id uuid, status text, reason text)
    LANGUAGE plpgsql
    AS $_$
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
END $_$;
CREATE FUNCTION public.billing_record_plain(events jsonb) RETURNS uuid[]
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_record_singly(events jsonb) RETURNS TABLE(request_id uuid, status text, reason text)
    LANGUAGE plpgsql
    AS $_$
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
END $_$;
CREATE FUNCTION public.billing_refund_call(call uuid, act text, wanted bigint, who bigint, why text, OUT status text, OUT amount bigint, OUT refund_id bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_refusal(request_id uuid, cost_nano bigint, has_hold boolean, log jsonb) RETURNS text
    LANGUAGE sql
    AS $$
    SELECT CASE
        WHEN cost_nano IS NULL OR cost_nano < 0 THEN 'negative_cost'
        WHEN log IS NULL OR jsonb_typeof(log) <> 'object' THEN 'malformed'
        WHEN EXISTS (SELECT 1 FROM billing_requestlog l WHERE l.id = request_id AND l.started_at = uuid7_time(request_id))
            THEN NULL
        WHEN has_hold THEN 'no_hold'
        ELSE 'cost_without_hold' END
$$;
CREATE FUNCTION public.billing_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION public.billing_refuse_open_hold() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'an open hold cannot be removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION public.billing_reserve(requests jsonb) RETURNS TABLE(request_id uuid, status text, available_nano bigint, span text, resets_at timestamp with time zone, zone text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.billing_reserve_alone(request jsonb) RETURNS TABLE(request_id uuid, status text, available_nano bigint, span text, resets_at timestamp with time zone, zone text)
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_reserve_batch(requests jsonb, limited boolean DEFAULT NULL::boolean) RETURNS TABLE(request_id uuid, status text, available_nano bigint, span text, resets_at timestamp with time zone, zone text)
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_reserve_easy(asks public.billing_ask[], counted_calls uuid[], counted_windows bigint[]) RETURNS TABLE(request_id uuid, available_nano bigint)
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_reserve_one(r public.billing_ask, limited boolean) RETURNS TABLE(request_id uuid, status text, available_nano bigint, span text, resets_at timestamp with time zone, zone text)
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_reserve_plain(requests jsonb, OUT places bigint[], OUT ids uuid[], OUT rooms bigint[], OUT limited boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    made uuid[];
BEGIN
    WITH asked AS (
        SELECT coalesce(x.user_id, x.group_id * -1) AS payer, coalesce(k.purpose = 'test', false) AS is_test,
            sum(x.amount_nano)::bigint AS total, min(x.amount_nano) AS least,
            array_agg(ROW(x.ord, x.request_id, x.user_id, x.group_id, x.key_id, k.member_id, x.amount_nano, x.expires_at,
                x.context)::billing_plain_ask) AS asks
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (request_id uuid, user_id bigint, group_id bigint, key_id bigint,
            amount_nano bigint, expires_at timestamptz, context jsonb))
            WITH ORDINALITY x(request_id, user_id, group_id, key_id, amount_nano, expires_at, context, ord)
        LEFT JOIN keys_apikey k ON k.id = x.key_id
        WHERE num_nonnulls(x.user_id, x.group_id) = 1 AND x.amount_nano >= 0 AND (x.key_id IS NULL OR k.id IS NOT NULL)
        GROUP BY 1, 2
    ), purse AS (
        SELECT p.*, a.id, a.has_limits, a.is_spendable AND (a.kind = 'test') = p.is_test AS pays,
            a.balance_nano - a.held_nano + a.credit_limit_nano AS free
        FROM asked p JOIN billing_ledgeraccount a ON coalesce(a.user_id, a.group_id * -1) = p.payer AND a.is_purse
        ORDER BY a.id FOR NO KEY UPDATE OF a
    ), plain AS (
        SELECT c.*, x.id AS purse, x.is_test, (x.free - sum(c.amount) OVER (PARTITION BY x.id ORDER BY c.id))::bigint AS room
        FROM (
            SELECT p.*, count(*) FILTER (WHERE p.pays) OVER (PARTITION BY p.payer, p.is_test) AS choices FROM purse p
        ) x CROSS JOIN LATERAL unnest(x.asks) c
        WHERE x.pays AND x.choices = 1 AND NOT x.has_limits AND x.least > 0 AND x.free >= x.total
    ), put AS (
        INSERT INTO billing_hold AS h (id, user_id, group_id, key_id, member_id, is_test, amount_nano, account_ids,
            part_amounts, state, reason, context, created_at, expires_at)
        SELECT p.id, p.user_id, p.group_id, p.key_id, p.member_id, p.is_test, p.amount, ARRAY[p.purse], ARRAY[p.amount],
            'open', '', coalesce(p.context, '{}'), clock_timestamp(), p.expires_at
        FROM plain p ORDER BY p.id, p.ord
        ON CONFLICT DO NOTHING
        RETURNING h.id, h.amount_nano, h.account_ids[1] AS purse
    ), taken AS (
        UPDATE billing_ledgeraccount a
        SET held_nano = a.held_nano + t.amount, floor_nano = LEAST(a.floor_nano, -a.credit_limit_nano)
        FROM (SELECT p.purse, sum(p.amount_nano)::bigint AS amount FROM put p GROUP BY 1) t
        WHERE a.id = t.purse
    )
    SELECT array_agg(p.ord ORDER BY p.ord), array_agg(p.id ORDER BY p.ord), array_agg(p.room ORDER BY p.ord),
        (SELECT array_agg(x.id) FROM put x), (SELECT coalesce(bool_or(x.has_limits), false) FROM purse x)
    INTO places, ids, rooms, made, limited FROM plain p;
    IF cardinality(made) IS DISTINCT FROM cardinality(ids) THEN
        -- Some have a twin: of two in the batch the first was held, and none of which the hold was there before.
        SELECT array_agg(x.place ORDER BY x.place), array_agg(x.id ORDER BY x.place), array_agg(x.room ORDER BY x.place)
        INTO places, ids, rooms FROM (
            SELECT DISTINCT ON (y.id) y.* FROM unnest(places, ids, rooms) y(place, id, room) WHERE y.id = ANY (made)
            ORDER BY y.id, y.place
        ) x;
    END IF;
END $$;
CREATE FUNCTION public.billing_rounded(numerator numeric, denominator numeric, rounding text, step bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT step * CASE rounding
        WHEN 'up' THEN q + (r > 0)::int
        WHEN 'half_up' THEN q + (2 * r >= denominator * step)::int
        ELSE q + (2 * r > denominator * step OR (2 * r = denominator * step AND mod(q, 2) = 1))::int END
    FROM (SELECT div(numerator, denominator * step) AS q, mod(numerator, denominator * step) AS r) x
$$;
CREATE FUNCTION public.billing_seal_entries(most_accounts integer, block_size integer) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    sealed bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('billing_seal_entries')) THEN
        RETURN 0;
    END IF;
    WITH due AS MATERIALIZED (
        SELECT a.id, coalesce(h.last_seq, 0) AS last_seq, coalesce(h.digest, billing_seal_genesis(a.id)) AS digest
        FROM billing_ledgeraccount a LEFT JOIN billing_ledgersealhead h ON h.account_id = a.id
        WHERE a.is_purse AND a.seq > coalesce(h.last_seq, 0) ORDER BY a.id LIMIT most_accounts
    ), lines AS (
        SELECT d.id AS account_id, d.last_seq AS sealed_to, d.digest AS before, x.seq, x.mark,
            d.last_seq + row_number() OVER (PARTITION BY d.id ORDER BY x.seq) AS due_seq
        FROM due d CROSS JOIN LATERAL (
            SELECT e.from_seq AS seq, billing_entry_mark(e, billing_seal_version()) AS mark FROM billing_ledgerentry e
            WHERE e.from_account_id = d.id AND e.from_seq > d.last_seq AND e.from_seq <= d.last_seq + block_size
            UNION ALL
            SELECT e.to_seq, billing_entry_mark(e, billing_seal_version()) FROM billing_ledgerentry e
            WHERE e.to_account_id = d.id AND e.to_seq > d.last_seq AND e.to_seq <= d.last_seq + block_size
        ) x
    ), blocks AS (
        -- Where a number is missing the block ends: what is not whole is not sealed, and ledger_check names it.
        SELECT l.account_id, l.sealed_to + 1 AS first_seq, max(l.seq) AS last_seq, l.before,
            string_agg(l.mark, ''::bytea ORDER BY l.seq) AS marks
        FROM lines l WHERE l.seq = l.due_seq GROUP BY l.account_id, l.sealed_to, l.before
    ), made AS (
        INSERT INTO billing_ledgerseal (account_id, first_seq, last_seq, marks, digest, sealed_at, version)
        SELECT b.account_id, b.first_seq, b.last_seq, b.marks, sha256(b.before || b.marks), clock_timestamp(), billing_seal_version()
        FROM blocks b ORDER BY b.account_id
        RETURNING account_id, first_seq, last_seq, digest
    ), heads AS (
        INSERT INTO billing_ledgersealhead (account_id, last_seq, digest)
        SELECT m.account_id, m.last_seq, m.digest FROM made m
        ON CONFLICT (account_id) DO UPDATE SET last_seq = EXCLUDED.last_seq, digest = EXCLUDED.digest
    )
    SELECT coalesce(sum(m.last_seq - m.first_seq + 1), 0) INTO sealed FROM made m;
    RETURN sealed;
END $$;
CREATE FUNCTION public.billing_seal_genesis(account bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT sha256(convert_to('purse ' || account, 'UTF8'))
$$;
CREATE FUNCTION public.billing_seal_version() RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 2::smallint $$;
CREATE FUNCTION public.billing_seed_window(wanted bigint, moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_sound_calls(events jsonb) RETURNS public.billing_call[]
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_split(payer_user bigint, payer_group bigint, testing boolean, amount bigint, OUT available bigint, OUT account_ids bigint[], OUT part_amounts bigint[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.billing_unit_price(prices jsonb, VARIADIC names text[]) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (prices ->> name)::numeric FROM unnest(names) WITH ORDINALITY n(name, place) WHERE prices ? name
    ORDER BY place LIMIT 1
$$;
CREATE FUNCTION public.billing_usage_model(billed text, asked text, outcome text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN billed <> '' THEN billed WHEN outcome = 'ok' THEN asked ELSE '' END $$;
CREATE FUNCTION public.billing_usage_quarter(moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT date_bin('15 minutes', moment, timestamptz 'epoch') $$;
CREATE FUNCTION public.billing_window_end(span text, zone text, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE span WHEN 'daily' THEN (date_trunc('day', moment AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone
        WHEN 'monthly' THEN (date_trunc('month', moment AT TIME ZONE zone) + interval '1 month') AT TIME ZONE zone END
$$;
CREATE FUNCTION public.billing_window_start(span text, zone text, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE span WHEN 'daily' THEN date_trunc('day', moment, zone) WHEN 'monthly' THEN date_trunc('month', moment, zone)
        ELSE timestamptz 'epoch' END
$$;
CREATE FUNCTION public.billing_window_truth(wanted bigint, window_start timestamp with time zone, window_end timestamp with time zone, OUT spent bigint, OUT held bigint) RETURNS record
    LANGUAGE plpgsql STABLE
    AS $$
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
CREATE FUNCTION public.billing_windows(ids uuid[], keys bigint[], members bigint[], groups bigint[], users bigint[]) RETURNS TABLE(id uuid, window_id bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, w.id FROM unnest(ids, keys, members, groups, users) c(id, key_id, member_id, group_id, user_id)
    CROSS JOIN LATERAL billing_limits_on(c.key_id, c.member_id, c.group_id, c.user_id) l
    JOIN billing_spendwindow w ON w.limit_id = l.id
        AND w.starts_at = billing_window_start(l.span, l.time_zone, uuid7_time(c.id));
END $$;
CREATE FUNCTION public.billing_windows_of(asks public.billing_ask[]) RETURNS TABLE(id uuid, window_id bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT w.* FROM (SELECT array_agg(a.id) AS ids, array_agg(a.key_id) AS keys, array_agg(a.member_id) AS members,
        array_agg(a.group_id) AS groups, array_agg(a.user_id) AS users FROM unnest(asks) a) x
    CROSS JOIN LATERAL billing_windows(x.ids, x.keys, x.members, x.groups, x.users) w;
END $$;
CREATE FUNCTION public.billing_write_logs(calls public.billing_call[]) RETURNS uuid[]
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.gateway_call_limit_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[OLD.key_id, NEW.key_id]);
    IF OLD.user_id IS NOT NULL OR NEW.user_id IS NOT NULL OR OLD.group_id IS NOT NULL OR NEW.group_id IS NOT NULL THEN
        PERFORM gateway_note_keys(gateway_keys_of(ARRAY[OLD.user_id, NEW.user_id], ARRAY[OLD.group_id, NEW.group_id]));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_config_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM nextval('gateway_config_version');
    IF TG_TABLE_NAME NOT IN (
        'keys_apikey', 'keys_keysecret', 'accounts_user', 'gateway_keyoldentry', 'keys_calllimit', 'keys_useprofile'
    ) THEN
        PERFORM nextval('gateway_catalogue_version');
    END IF;
    PERFORM pg_notify('portal_config', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_group_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(gateway_keys_of('{}', ARRAY[NEW.id]));
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_key_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[coalesce(NEW.id, OLD.id)]);
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_key_part_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY[OLD.key_id, NEW.key_id]);
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_keys_of(persons bigint[], groups bigint[]) RETURNS bigint[]
    LANGUAGE sql STABLE
    AS $$
    SELECT array_agg(k.id) FROM keys_apikey k LEFT JOIN accounts_user u ON u.id = k.owner_id
    WHERE k.owner_id = ANY (persons) OR k.member_id = ANY (persons) OR k.team_id = ANY (groups) OR k.group_id = ANY (groups)
       OR u.billing_group_id = ANY (groups)
       OR k.auto_group_codes && ARRAY(SELECT g.code::varchar FROM accounts_group g WHERE g.id = ANY (groups))
$$;
CREATE FUNCTION public.gateway_note_keys(ids bigint[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO gateway_keychange (key_id, changed_xid, changed_at)
    SELECT DISTINCT i.id, pg_current_xact_id()::text::bigint, clock_timestamp() FROM unnest(ids) i(id) WHERE i.id IS NOT NULL
$$;
CREATE FUNCTION public.gateway_person_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(gateway_keys_of(ARRAY[NEW.id], '{}'));
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_profile_limit_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY(
        SELECT k.id FROM keys_apikey k WHERE k.profile_id = OLD.profile_id OR k.profile_id = NEW.profile_id));
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_task_begin(doc jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO gateway_mediatask
    SELECT (jsonb_populate_record(jsonb_populate_record(NULL::gateway_mediatask, '{"key_name": "", "key_tail": "",
        "group_code": "", "endpoint": "", "asked_model": "", "billed_model": "", "served_model": "", "upstream_name": "",
        "upstream_task_id": "", "parameters": {}, "parameters_hash": "", "reference_count": 0, "callback_url": "",
        "price_multiplier": "", "held_nano": 0, "cost_nano": 0, "progress": 0, "item_count": 0, "delivered_ms": 0,
        "delivered_size": "", "failure_code": "", "failure_reason": "", "doubt": "", "assets": [], "check_count": 0,
        "failed_checks": 0, "decision_note": ""}'), doc || jsonb_build_object('created_at', uuid7_time((doc ->> 'id')::uuid)))).*
    ON CONFLICT (id) DO NOTHING;
END $$;
CREATE FUNCTION public.gateway_task_logged() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    is_good boolean := NEW.outcome = 'ok';
    ended timestamptz := NEW.started_at + NEW.duration_ms * interval '1 ms';
    pieces jsonb := CASE WHEN NEW.modality = 'image' AND NEW.outcome = 'ok'
        THEN jsonb_build_array(jsonb_build_object('variant', 'image', 'count', NEW.image_count, 'kept', false)) ELSE '[]' END;
BEGIN
    UPDATE gateway_mediatask t
    SET state = CASE WHEN is_good THEN 'completed' ELSE 'failed' END,
        cost_nano = NEW.cost_nano, held_nano = GREATEST(t.held_nano, NEW.held_nano), finished_at = ended, next_check_at = NULL,
        progress = CASE WHEN is_good THEN 100 ELSE t.progress END,
        billed_model = NEW.billed_model, served_model = NEW.served_model, price_version_id = NEW.price_version_id,
        item_count = CASE WHEN NOT is_good THEN 0 WHEN t.kind = 'image' THEN NEW.image_count ELSE 1 END,
        delivered_ms = NEW.media_ms,
        delivered_size = coalesce(nullif(t.delivered_size, ''), NEW.media_size),
        assets = CASE WHEN t.kind = 'image' THEN pieces ELSE t.assets END,
        doubt = '',
        failure_code = CASE WHEN is_good THEN '' ELSE coalesce(nullif(t.failure_code, ''), nullif(NEW.error_code, ''), NEW.outcome) END,
        failure_reason = CASE WHEN is_good THEN '' ELSE t.failure_reason END
    WHERE t.id = NEW.id;
    -- Pictures made through another engine have no row yet. What was refused before any cost is no task.
    IF NOT FOUND AND NEW.endpoint LIKE '/v1/images/%' AND (is_good OR NEW.held_nano > 0) THEN
        PERFORM gateway_task_begin(jsonb_build_object('id', NEW.id, 'kind', 'image',
            'state', CASE WHEN is_good THEN 'completed' ELSE 'failed' END,
            'user_id', CASE WHEN k.team_id IS NULL THEN NEW.user_id END, 'team_id', k.team_id, 'key_id', NEW.key_id,
            'key_name', NEW.key_name, 'key_tail', NEW.key_tail, 'group_code', NEW.group_code, 'endpoint', NEW.endpoint,
            'asked_model', NEW.asked_model, 'billed_model', NEW.billed_model, 'served_model', NEW.served_model,
            'parameters', jsonb_strip_nulls(jsonb_build_object('size', nullif(NEW.media_size, ''),
                'quality', nullif(NEW.media_quality, ''))),
            'price_version_id', NEW.price_version_id, 'held_nano', NEW.held_nano, 'cost_nano', NEW.cost_nano,
            'progress', CASE WHEN is_good THEN 100 ELSE 0 END, 'item_count', CASE WHEN is_good THEN NEW.image_count ELSE 0 END,
            'delivered_size', NEW.media_size, 'finished_at', ended, 'assets', pieces,
            'failure_code', CASE WHEN is_good THEN '' ELSE coalesce(nullif(NEW.error_code, ''), NEW.outcome) END))
        FROM (SELECT 1) one LEFT JOIN keys_apikey k ON k.id = NEW.key_id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_task_seen(task uuid, seen jsonb, event jsonb DEFAULT NULL::jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    t gateway_mediatask;
    said record;
BEGIN
    PERFORM 1 FROM billing_hold h WHERE h.id = task FOR NO KEY UPDATE;
    SELECT * INTO t FROM gateway_mediatask x WHERE x.id = task FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'missing';
    ELSIF t.state IN ('completed', 'failed') THEN
        RETURN 'closed';
    END IF;
    t := jsonb_populate_record(t, seen);
    UPDATE gateway_mediatask x
    SET state = CASE WHEN event IS NULL THEN t.state ELSE x.state END, progress = t.progress,
        upstream_id = t.upstream_id, upstream_name = t.upstream_name, upstream_task_id = t.upstream_task_id,
        assets = t.assets, assets_expire_at = t.assets_expire_at, failure_code = t.failure_code,
        failure_reason = t.failure_reason, 
        doubt = CASE WHEN event IS NOT NULL THEN x.doubt WHEN t.state = 'unknown' THEN t.doubt ELSE '' END,
        next_check_at = t.next_check_at, checked_at = t.checked_at,
        check_count = x.check_count + CASE WHEN seen ? 'checked_at' THEN 1 ELSE 0 END, failed_checks = t.failed_checks,
        decided_by_id = t.decided_by_id, decision_note = t.decision_note, served_model = t.served_model, delivered_size = t.delivered_size
    WHERE x.id = task;
    IF event IS NULL THEN
        RETURN 'noted';
    END IF;
    SELECT r.status, r.reason INTO said FROM billing_record(jsonb_build_array(event)) r;
    IF said.status IN ('recorded', 'late') THEN
        RETURN 'ended';
    END IF;
    -- Already in the log without this row knowing, or not taken: somebody has to look.
    UPDATE gateway_mediatask x SET state = 'unknown', doubt = left('not_settled ' || said.status, 64), failure_code = '',
        failure_reason = '', next_check_at = NULL
    WHERE x.id = task;
    RETURN 'refused';
END $$;
CREATE FUNCTION public.gateway_task_tell() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    event_id uuid := md5(NEW.id::text || ':' || NEW.state)::uuid;
    public_id text := NEW.kind || '_' || replace(NEW.id::text, '-', '');
BEGIN
    INSERT INTO billing_hookdelivery (id, endpoint_id, sent_id, kind, subject_id, url, body, state, attempts, created_at,
        next_attempt_at)
    SELECT gen_random_uuid(), e.id, event_id, NEW.kind || '.' || NEW.state, NEW.id, NEW.callback_url,
        jsonb_build_object('id', replace(event_id::text, '-', ''), 'object', 'event', 'type', NEW.kind || '.' || NEW.state,
            'created_at', extract(epoch FROM NEW.finished_at)::bigint,
            'data', jsonb_build_object('id', public_id, 'status', NEW.state, 'model', NEW.asked_model,
                'cost_usd', trim_scale(NEW.cost_nano / 1000000000::numeric)::text, 'progress', NEW.progress,
                'size', NEW.delivered_size)
                || CASE NEW.kind WHEN 'image' THEN jsonb_build_object('count', NEW.item_count)
                    ELSE jsonb_build_object('seconds', trim_scale(NEW.delivered_ms / 1000::numeric)::text) END
                || jsonb_build_object('error', CASE WHEN NEW.state = 'failed' THEN jsonb_build_object('code', NEW.failure_code,
                    'message', NEW.failure_reason) END))::text,
        'queued', 0, clock_timestamp(), clock_timestamp()
    FROM billing_hookendpoint e
    WHERE e.purpose = 'tasks' AND e.is_active AND (e.user_id = NEW.user_id OR e.group_id = NEW.team_id)
      AND (NEW.callback_url = '' OR e.id = (SELECT min(f.id) FROM billing_hookendpoint f
          WHERE f.purpose = 'tasks' AND f.is_active AND (f.user_id = NEW.user_id OR f.group_id = NEW.team_id)))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION public.gateway_use_profile_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM gateway_note_keys(ARRAY(SELECT k.id FROM keys_apikey k WHERE k.profile_id = NEW.id));
    RETURN NULL;
END $$;
CREATE AGGREGATE public.billing_sum(bigint) (
    SFUNC = int8pl,
    STYPE = bigint,
    INITCOND = '0',
    COMBINEFUNC = int8pl,
    PARALLEL = safe
);
CREATE TABLE public.account_emailaddress (
    id integer NOT NULL,
    email character varying(254) NOT NULL,
    verified boolean NOT NULL,
    "primary" boolean NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.account_emailaddress ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.account_emailaddress_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.account_emailconfirmation (
    id integer NOT NULL,
    created timestamp with time zone NOT NULL,
    sent timestamp with time zone,
    key character varying(64) NOT NULL,
    email_address_id integer NOT NULL
);
ALTER TABLE public.account_emailconfirmation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.account_emailconfirmation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_auditevent (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor_name character varying(191) NOT NULL,
    action character varying(64) NOT NULL,
    object_type character varying(64) NOT NULL,
    object_id character varying(64) NOT NULL,
    object_label character varying(255) NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    reason text NOT NULL,
    request_id character varying(64) NOT NULL,
    actor_id bigint
);
ALTER TABLE public.accounts_auditevent ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_auditevent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_group (
    id bigint NOT NULL,
    code character varying(191) NOT NULL,
    name character varying(191) NOT NULL,
    kind character varying(16) NOT NULL,
    description text NOT NULL,
    is_active boolean NOT NULL,
    usable_codes jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL
);
ALTER TABLE public.accounts_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_groupmembership (
    id bigint NOT NULL,
    team_role character varying(16) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    group_id bigint NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.accounts_groupmembership ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_groupmembership_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_invitation (
    id bigint NOT NULL,
    email character varying(254) NOT NULL,
    role character varying(16) NOT NULL,
    team_role character varying(16) NOT NULL,
    language character varying(16) NOT NULL,
    token_digest bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    accepted_by_id bigint,
    group_id bigint,
    invited_by_id bigint NOT NULL
);
ALTER TABLE public.accounts_invitation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_invitation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_outboundmail (
    id uuid NOT NULL,
    to_address character varying(254) NOT NULL,
    kind character varying(64) NOT NULL,
    language character varying(16) NOT NULL,
    subject character varying(255) NOT NULL,
    text text NOT NULL,
    html text NOT NULL,
    dedupe_key character varying(191) NOT NULL,
    state character varying(16) NOT NULL,
    attempts smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    sent_at timestamp with time zone,
    last_error character varying(500) NOT NULL,
    user_id bigint,
    CONSTRAINT accounts_outboundmail_attempts_check CHECK ((attempts >= 0))
);
CREATE TABLE public.accounts_user (
    id bigint NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL,
    username character varying(191) NOT NULL,
    email character varying(254) NOT NULL,
    display_name character varying(191) NOT NULL,
    role character varying(16) NOT NULL,
    state character varying(16) NOT NULL,
    language character varying(16) NOT NULL,
    time_zone character varying(64) NOT NULL,
    billing_group_id bigint,
    CONSTRAINT user_active_follows_state CHECK (((is_active AND ((state)::text = 'enabled'::text)) OR ((NOT is_active) AND (NOT ((state)::text = 'enabled'::text))))),
    CONSTRAINT user_staff_follows_role CHECK (((is_staff AND ((role)::text = ANY ((ARRAY['admin'::character varying, 'ops'::character varying, 'support'::character varying, 'finance'::character varying])::text[]))) OR ((NOT is_staff) AND (NOT ((role)::text = ANY ((ARRAY['admin'::character varying, 'ops'::character varying, 'support'::character varying, 'finance'::character varying])::text[]))))))
);
CREATE TABLE public.accounts_user_groups (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    group_id integer NOT NULL
);
ALTER TABLE public.accounts_user_groups ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_user_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.accounts_user ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_user_user_permissions (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    permission_id integer NOT NULL
);
ALTER TABLE public.accounts_user_user_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_user_user_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);
ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);
ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);
ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_adjustmentrequest (
    id bigint NOT NULL,
    kind character varying(16) NOT NULL,
    state character varying(10) NOT NULL,
    transaction_id uuid NOT NULL,
    amount_nano bigint NOT NULL,
    details jsonb NOT NULL,
    reason character varying(255) NOT NULL,
    evidence_url character varying(500) NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    is_alone boolean NOT NULL,
    decided_at timestamp with time zone,
    decision_note character varying(255) NOT NULL,
    decided_by_id bigint,
    entry_id bigint,
    purse_id bigint,
    requested_by_id bigint NOT NULL,
    override_id bigint,
    batch_id uuid,
    CONSTRAINT request_decided_has_time CHECK (((((state)::text = 'open'::text) OR (decided_at IS NOT NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'open'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (decided_at IS NOT NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT request_has_reason CHECK ((NOT ((reason)::text = ''::text))),
    CONSTRAINT request_two_people CHECK (((NOT ((state)::text = ANY ((ARRAY['done'::character varying, 'refused'::character varying])::text[]))) OR is_alone OR (override_id IS NOT NULL) OR ((decided_by_id IS NOT NULL) AND (NOT ((decided_by_id = requested_by_id) AND (decided_by_id IS NOT NULL))))))
);
ALTER TABLE public.billing_adjustmentrequest ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_adjustmentrequest_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_alertchoice (
    id bigint NOT NULL,
    kind character varying(20) NOT NULL,
    by_mail boolean NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.billing_alertchoice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_alertchoice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_alertevent (
    id uuid NOT NULL,
    kind character varying(20) NOT NULL,
    phase character varying(12) NOT NULL,
    subject character varying(191) NOT NULL,
    period character varying(32) NOT NULL,
    epoch integer NOT NULL,
    threshold bigint NOT NULL,
    value bigint NOT NULL,
    figures jsonb NOT NULL,
    fired_at timestamp with time zone NOT NULL,
    rule_id bigint NOT NULL,
    CONSTRAINT billing_alertevent_epoch_check CHECK ((epoch >= 0))
);
CREATE TABLE public.billing_alertrule (
    id bigint NOT NULL,
    kind character varying(20) NOT NULL,
    thresholds bigint[] NOT NULL,
    channels character varying(8)[] NOT NULL,
    is_enabled boolean NOT NULL,
    pauses_key boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    group_id bigint,
    key_id bigint,
    user_id bigint,
    CONSTRAINT alert_rule_has_thresholds CHECK ((NOT (thresholds = '{}'::bigint[]))),
    CONSTRAINT alert_rule_one_scope CHECK ((((group_id IS NULL) AND (user_id IS NULL)) OR ((key_id IS NULL) AND (user_id IS NULL)) OR ((group_id IS NULL) AND (key_id IS NULL))))
);
ALTER TABLE public.billing_alertrule ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_alertrule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_alertstate (
    id bigint NOT NULL,
    subject character varying(191) NOT NULL,
    period character varying(32) NOT NULL,
    crossed bigint[] NOT NULL,
    epoch integer NOT NULL,
    version bigint NOT NULL,
    last_value bigint,
    told_at timestamp with time zone,
    checked_at timestamp with time zone NOT NULL,
    rule_id bigint NOT NULL,
    CONSTRAINT billing_alertstate_epoch_check CHECK ((epoch >= 0)),
    CONSTRAINT billing_alertstate_version_check CHECK ((version >= 0))
);
ALTER TABLE public.billing_alertstate ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_alertstate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_breakglass (
    id bigint NOT NULL,
    reason character varying(255) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    reviewed_at timestamp with time zone,
    review_note character varying(255) NOT NULL,
    reviewed_by_id bigint,
    user_id bigint NOT NULL,
    CONSTRAINT override_ends CHECK ((expires_at > opened_at)),
    CONSTRAINT override_reviewed_by_another CHECK (((reviewed_by_id IS NULL) OR (NOT ((reviewed_by_id = user_id) AND (reviewed_by_id IS NOT NULL)))))
);
ALTER TABLE public.billing_breakglass ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_breakglass_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_callrefund (
    id bigint NOT NULL,
    request_id uuid NOT NULL,
    key character varying(64) NOT NULL,
    amount_nano bigint NOT NULL,
    reason character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_id bigint,
    CONSTRAINT call_refund_positive CHECK ((amount_nano > 0))
);
ALTER TABLE public.billing_callrefund ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_callrefund_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_codebatch (
    id uuid NOT NULL,
    name character varying(120) NOT NULL,
    purse_kind character varying(10) NOT NULL,
    amount_nano bigint NOT NULL,
    code_count integer NOT NULL,
    expires_at timestamp with time zone,
    max_per_person smallint,
    note character varying(255) NOT NULL,
    sealed_codes bytea,
    created_at timestamp with time zone NOT NULL,
    exported_at timestamp with time zone,
    created_by_id bigint NOT NULL,
    exported_by_id bigint,
    CONSTRAINT batch_amount_positive CHECK ((amount_nano > 0)),
    CONSTRAINT batch_codes_gone_after_download CHECK (((exported_at IS NULL) OR (sealed_codes IS NULL))),
    CONSTRAINT batch_not_empty CHECK ((code_count > 0)),
    CONSTRAINT billing_codebatch_code_count_check CHECK ((code_count >= 0)),
    CONSTRAINT billing_codebatch_max_per_person_check CHECK ((max_per_person >= 0))
);
CREATE TABLE public.billing_codeguesses (
    user_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    count integer NOT NULL,
    CONSTRAINT billing_codeguesses_count_check CHECK ((count >= 0))
);
CREATE TABLE public.billing_currencyconversion (
    id uuid NOT NULL,
    from_currency character varying(3) NOT NULL,
    to_currency character varying(3) NOT NULL,
    from_nano bigint NOT NULL,
    to_nano bigint NOT NULL,
    residue_nano bigint NOT NULL,
    rate_numerator bigint NOT NULL,
    rate_denominator bigint NOT NULL,
    reason character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_id bigint NOT NULL,
    group_id bigint,
    user_id bigint,
    CONSTRAINT conversion_one_owner CHECK ((((user_id IS NULL) OR (group_id IS NULL)) AND (1 = (
CASE
    WHEN (user_id IS NULL) THEN 1
    ELSE 0
END +
CASE
    WHEN (group_id IS NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT conversion_positive CHECK (((from_nano > 0) AND (rate_denominator > 0) AND (rate_numerator > 0) AND (to_nano > 0))),
    CONSTRAINT conversion_two_currencies CHECK ((NOT ((from_currency)::text = (to_currency)::text)))
);
CREATE TABLE public.billing_deskitem (
    id bigint NOT NULL,
    kind character varying(10) NOT NULL,
    reference character varying(191) NOT NULL,
    request_id uuid,
    amount_nano bigint NOT NULL,
    reason character varying(64) NOT NULL,
    details jsonb NOT NULL,
    state character varying(12) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    settled_nano bigint,
    closed_at timestamp with time zone,
    note character varying(255) NOT NULL,
    closing_id uuid,
    closed_by_id bigint,
    entry_id bigint,
    group_id bigint,
    user_id bigint,
    CONSTRAINT desk_item_closed_has_time CHECK (((((state)::text = 'open'::text) OR (closed_at IS NOT NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'open'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (closed_at IS NOT NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT desk_item_not_negative CHECK ((amount_nano >= 0)),
    CONSTRAINT desk_item_one_payer CHECK (((user_id IS NULL) OR (group_id IS NULL))),
    CONSTRAINT desk_item_settled_has_amount CHECK (((((state)::text = 'settled'::text) OR (settled_nano IS NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'settled'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (settled_nano IS NULL) THEN 1
    ELSE 0
END))))
);
ALTER TABLE public.billing_deskitem ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_deskitem_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_difference (
    id bigint NOT NULL,
    check_code character varying(32) NOT NULL,
    thing character varying(255) NOT NULL,
    detail character varying(500) NOT NULL,
    state character varying(12) NOT NULL,
    found_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    reason character varying(255) NOT NULL,
    decided_by_id bigint,
    entry_id bigint,
    first_run_id uuid NOT NULL,
    last_run_id uuid NOT NULL,
    CONSTRAINT difference_decided_has_reason CHECK (((NOT ((state)::text = ANY ((ARRAY['explained'::character varying, 'written_off'::character varying])::text[]))) OR (NOT ((reason)::text = ''::text)))),
    CONSTRAINT difference_decided_has_time CHECK ((((decided_at IS NULL) AND ((state)::text = 'open'::text)) OR ((NOT ((state)::text = 'open'::text)) AND (decided_at IS NOT NULL)))),
    CONSTRAINT difference_fixed_has_entry CHECK (((entry_id IS NOT NULL) OR (NOT ((state)::text = 'fixed'::text))))
);
ALTER TABLE public.billing_difference ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_difference_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_exportjob (
    id uuid NOT NULL,
    name character varying(40) NOT NULL,
    query text NOT NULL,
    language character varying(16) NOT NULL,
    time_zone character varying(64) NOT NULL,
    state character varying(8) NOT NULL,
    row_count bigint NOT NULL,
    byte_count bigint NOT NULL,
    error character varying(191) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    touched_at timestamp with time zone,
    finished_at timestamp with time zone,
    user_id bigint NOT NULL,
    CONSTRAINT export_ended_has_time CHECK ((((finished_at IS NULL) AND ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[]))) OR ((finished_at IS NOT NULL) AND ((state)::text = ANY ((ARRAY['done'::character varying, 'failed'::character varying])::text[])))))
);
CREATE TABLE public.billing_exportpart (
    id bigint NOT NULL,
    n integer NOT NULL,
    content bytea NOT NULL,
    job_id uuid NOT NULL,
    CONSTRAINT billing_exportpart_n_check CHECK ((n >= 0))
);
ALTER TABLE public.billing_exportpart ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_exportpart_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_groupbook (
    group_id bigint NOT NULL,
    book_id bigint NOT NULL
);
CREATE TABLE public.billing_groupfence (
    group_id bigint NOT NULL,
    highest_tier smallint NOT NULL,
    also_allowed character varying(255)[] NOT NULL,
    CONSTRAINT billing_groupfence_highest_tier_check CHECK ((highest_tier >= 0)),
    CONSTRAINT group_fence_number CHECK (((highest_tier >= 1) AND (highest_tier <= 9)))
);
CREATE TABLE public.billing_groupmultiplier (
    id bigint NOT NULL,
    group_code character varying(191) NOT NULL,
    payer_group_code character varying(191) NOT NULL,
    multiplier numeric(24,12) NOT NULL,
    version_id bigint NOT NULL
);
ALTER TABLE public.billing_groupmultiplier ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_groupmultiplier_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_hold (
    id uuid NOT NULL,
    amount_nano bigint NOT NULL,
    account_ids bigint[] NOT NULL,
    part_amounts bigint[] NOT NULL,
    state character varying(10) NOT NULL,
    reason character varying(64) NOT NULL,
    settled_nano bigint,
    context jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    group_id bigint,
    key_id bigint,
    user_id bigint,
    is_test boolean DEFAULT false NOT NULL,
    member_id bigint,
    lease_id uuid,
    CONSTRAINT hold_closed_has_time CHECK ((((state)::text = 'open'::text) = (closed_at IS NULL))),
    CONSTRAINT hold_not_negative CHECK ((amount_nano >= 0)),
    CONSTRAINT hold_settled_has_amount CHECK ((((state)::text = 'settled'::text) = (settled_nano IS NOT NULL)))
)
WITH (fillfactor='70');
CREATE TABLE public.billing_hookattempt (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    http_status smallint NOT NULL,
    duration_ms integer NOT NULL,
    error character varying(64) NOT NULL,
    delivery_id uuid NOT NULL
);
ALTER TABLE public.billing_hookattempt ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_hookattempt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_hookdelivery (
    id uuid NOT NULL,
    body text NOT NULL,
    state character varying(8) NOT NULL,
    attempts smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    sent_at timestamp with time zone,
    event_id uuid,
    endpoint_id bigint NOT NULL,
    sent_id uuid NOT NULL,
    kind character varying(64) NOT NULL,
    subject_id uuid,
    url character varying(500) NOT NULL,
    CONSTRAINT billing_hookdelivery_attempts_check CHECK ((attempts >= 0))
);
CREATE TABLE public.billing_hookendpoint (
    id bigint NOT NULL,
    url character varying(500) NOT NULL,
    secret_sealed bytea NOT NULL,
    secret_tail character varying(4) NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by_id bigint,
    group_id bigint,
    user_id bigint,
    purpose character varying(8) NOT NULL,
    CONSTRAINT hook_one_scope CHECK (((user_id IS NULL) OR (group_id IS NULL)))
);
ALTER TABLE public.billing_hookendpoint ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_hookendpoint_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_incomingpayment (
    id uuid NOT NULL,
    source character varying(10) NOT NULL,
    provider character varying(20) NOT NULL,
    reference character varying(191) NOT NULL,
    why character varying(16) NOT NULL,
    amount_minor bigint NOT NULL,
    currency character varying(3) NOT NULL,
    booked_nano bigint,
    payer character varying(191) NOT NULL,
    received_at timestamp with time zone NOT NULL,
    state character varying(10) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    reason character varying(255) NOT NULL,
    closed_by_id bigint,
    created_by_id bigint,
    group_id bigint,
    user_id bigint,
    payment_id uuid,
    CONSTRAINT incoming_closed_has_time CHECK (((((state)::text = 'open'::text) OR (closed_at IS NOT NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'open'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (closed_at IS NOT NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT incoming_one_owner CHECK (((user_id IS NULL) OR (group_id IS NULL))),
    CONSTRAINT incoming_positive CHECK ((amount_minor > 0))
);
CREATE TABLE public.billing_keyspend (
    id bigint NOT NULL,
    key_id bigint NOT NULL,
    window_at timestamp with time zone NOT NULL,
    call_count integer NOT NULL,
    cost_nano bigint NOT NULL
);
ALTER TABLE public.billing_keyspend ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_keyspend_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_lease (
    id uuid NOT NULL,
    source character varying(100) NOT NULL,
    is_test boolean DEFAULT false NOT NULL,
    granted_nano bigint NOT NULL,
    spent_nano bigint NOT NULL,
    state character varying(10) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    draw_until timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    account_id bigint NOT NULL,
    group_id bigint,
    user_id bigint,
    CONSTRAINT lease_closed_has_time CHECK (((((state)::text = 'open'::text) OR (closed_at IS NOT NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'open'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (closed_at IS NOT NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT lease_expires_last CHECK ((expires_at >= draw_until)),
    CONSTRAINT lease_one_payer CHECK ((((user_id IS NULL) OR (group_id IS NULL)) AND (1 = (
CASE
    WHEN (user_id IS NULL) THEN 1
    ELSE 0
END +
CASE
    WHEN (group_id IS NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT lease_within_grant CHECK (((spent_nano >= 0) AND (granted_nano >= spent_nano)))
)
WITH (fillfactor='70');
CREATE TABLE public.billing_ledgeraccount (
    id bigint NOT NULL,
    kind character varying(20) NOT NULL,
    currency character varying(3) NOT NULL,
    origin character varying(64) NOT NULL,
    is_purse boolean NOT NULL,
    is_spendable boolean NOT NULL,
    balance_nano bigint NOT NULL,
    held_nano bigint NOT NULL,
    floor_nano bigint NOT NULL,
    credit_limit_nano bigint NOT NULL,
    priority smallint NOT NULL,
    seq bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    group_id bigint,
    user_id bigint,
    has_limits boolean DEFAULT false NOT NULL,
    CONSTRAINT account_above_floor CHECK (((balance_nano >= (floor_nano + held_nano)) OR (NOT is_purse))),
    CONSTRAINT account_credit_not_negative CHECK ((credit_limit_nano >= 0)),
    CONSTRAINT account_held_not_negative CHECK ((held_nano >= 0)),
    CONSTRAINT account_house_is_empty CHECK ((is_purse OR ((balance_nano = 0) AND (held_nano = 0))))
)
WITH (fillfactor='50');
ALTER TABLE public.billing_ledgeraccount ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_ledgeraccount_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.billing_ledgerentry ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_ledgerentry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_ledgerseal (
    id bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    marks bytea NOT NULL,
    digest bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    account_id bigint NOT NULL,
    version smallint DEFAULT 1 NOT NULL,
    CONSTRAINT seal_has_entries CHECK (((first_seq >= 1) AND (last_seq >= first_seq)))
);
ALTER TABLE ONLY public.billing_ledgerseal ALTER COLUMN marks SET STORAGE EXTERNAL;
ALTER TABLE public.billing_ledgerseal ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_ledgerseal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_ledgersealhead (
    account_id bigint NOT NULL,
    last_seq bigint NOT NULL,
    digest bytea NOT NULL
);
CREATE TABLE public.billing_modeltier (
    model_id bigint NOT NULL,
    number smallint NOT NULL,
    CONSTRAINT billing_modeltier_number_check CHECK ((number >= 0)),
    CONSTRAINT model_tier_number CHECK (((number >= 1) AND (number <= 9)))
);
CREATE TABLE public.billing_outcomerule (
    id bigint NOT NULL,
    event character varying(32) NOT NULL,
    reported character varying(8) NOT NULL,
    counted character varying(8) NOT NULL,
    rules_id bigint NOT NULL,
    CONSTRAINT outcome_rule_promises CHECK (((NOT ((event)::text = ANY ((ARRAY['failed_before_output'::character varying, 'timeout_before_output'::character varying, 'refused'::character varying, 'complete'::character varying])::text[]))) OR (((counted)::text = 'all'::text) AND ((event)::text = 'complete'::text) AND ((reported)::text = 'all'::text)) OR ((NOT ((event)::text = 'complete'::text)) AND ((counted)::text = 'nothing'::text) AND ((reported)::text = 'nothing'::text))))
);
ALTER TABLE public.billing_outcomerule ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_outcomerule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_outcomeruleset (
    id bigint NOT NULL,
    group_code character varying(191) NOT NULL,
    number integer NOT NULL,
    is_withdrawn boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(191) NOT NULL,
    note text NOT NULL,
    CONSTRAINT billing_outcomeruleset_number_check CHECK ((number >= 0))
);
ALTER TABLE public.billing_outcomeruleset ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_outcomeruleset_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_payment (
    id uuid NOT NULL,
    provider character varying(20) NOT NULL,
    session_id character varying(191) NOT NULL,
    provider_payment_id character varying(191) NOT NULL,
    checkout_url text NOT NULL,
    amount_nano bigint NOT NULL,
    currency character varying(3) NOT NULL,
    refunded_nano bigint NOT NULL,
    state character varying(10) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    paid_at timestamp with time zone,
    closed_at timestamp with time zone,
    entry_id bigint,
    user_id bigint NOT NULL,
    CONSTRAINT payment_paid_has_entry CHECK (((NOT ((state)::text = ANY ((ARRAY['paid'::character varying, 'refunded'::character varying])::text[]))) OR (entry_id IS NOT NULL))),
    CONSTRAINT payment_positive CHECK ((amount_nano > 0)),
    CONSTRAINT payment_refund_not_more CHECK (((refunded_nano >= 0) AND (refunded_nano <= amount_nano)))
);
CREATE TABLE public.billing_paymentdispute (
    id uuid NOT NULL,
    provider_dispute_id character varying(191) NOT NULL,
    amount_nano bigint NOT NULL,
    reason character varying(80) NOT NULL,
    provider_state character varying(40) NOT NULL,
    state character varying(8) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone,
    closed_at timestamp with time zone,
    note character varying(255) NOT NULL,
    closing_entry_id bigint,
    entry_id bigint NOT NULL,
    payment_id uuid NOT NULL,
    CONSTRAINT dispute_closed_has_entry CHECK ((((closed_at IS NULL) AND (closing_entry_id IS NULL) AND ((state)::text = 'open'::text)) OR ((NOT ((state)::text = 'open'::text)) AND (closed_at IS NOT NULL) AND (closing_entry_id IS NOT NULL)))),
    CONSTRAINT dispute_positive CHECK ((amount_nano > 0))
);
CREATE TABLE public.billing_paymentevent (
    id bigint NOT NULL,
    provider character varying(20) NOT NULL,
    event_id character varying(191) NOT NULL,
    event_type character varying(80) NOT NULL,
    payload text NOT NULL,
    state character varying(10) NOT NULL,
    attempts integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    processed_at timestamp with time zone,
    payment_id uuid,
    CONSTRAINT billing_paymentevent_attempts_check CHECK ((attempts >= 0))
);
ALTER TABLE public.billing_paymentevent ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_paymentevent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_paymentrefund (
    id uuid NOT NULL,
    provider_refund_id character varying(191) NOT NULL,
    amount_nano bigint NOT NULL,
    state character varying(8) NOT NULL,
    reason character varying(255) NOT NULL,
    attempts integer NOT NULL,
    error character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    asked_by_id bigint,
    entry_id bigint,
    incoming_id uuid,
    payment_id uuid,
    CONSTRAINT billing_paymentrefund_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT refund_of_one CHECK ((((payment_id IS NULL) OR (incoming_id IS NULL)) AND (1 = (
CASE
    WHEN (payment_id IS NULL) THEN 1
    ELSE 0
END +
CASE
    WHEN (incoming_id IS NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT refund_positive CHECK ((amount_nano > 0))
);
CREATE TABLE public.billing_pricebook (
    id bigint NOT NULL,
    code character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    formula character varying(16) NOT NULL,
    quota_per_unit numeric(24,6) NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamp with time zone NOT NULL
);
ALTER TABLE public.billing_pricebook ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_pricebook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.billing_pricerule ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_pricerule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_pricetier (
    number smallint NOT NULL,
    from_nano bigint NOT NULL,
    CONSTRAINT billing_pricetier_number_check CHECK ((number >= 0)),
    CONSTRAINT price_tier_number CHECK (((number >= 2) AND (number <= 9))),
    CONSTRAINT price_tier_positive CHECK ((from_nano > 0))
);
CREATE TABLE public.billing_priceversion (
    id bigint NOT NULL,
    number integer NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    published_at timestamp with time zone,
    created_by character varying(191) NOT NULL,
    content_digest character varying(64) NOT NULL,
    note text NOT NULL,
    book_id bigint NOT NULL,
    CONSTRAINT billing_priceversion_number_check CHECK ((number >= 0))
);
ALTER TABLE public.billing_priceversion ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_priceversion_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_reconcilerun (
    id uuid NOT NULL,
    scope character varying(8) NOT NULL,
    state character varying(8) NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    heartbeat_at timestamp with time zone NOT NULL,
    since timestamp with time zone,
    checks_done smallint NOT NULL,
    checks_total smallint NOT NULL,
    difference_count integer NOT NULL,
    results jsonb NOT NULL,
    error character varying(191) NOT NULL,
    started_by_id bigint,
    CONSTRAINT billing_reconcilerun_checks_done_check CHECK ((checks_done >= 0)),
    CONSTRAINT billing_reconcilerun_checks_total_check CHECK ((checks_total >= 0)),
    CONSTRAINT billing_reconcilerun_difference_count_check CHECK ((difference_count >= 0))
);
CREATE TABLE public.billing_redemptioncode (
    id bigint NOT NULL,
    digest bytea NOT NULL,
    pepper_number smallint NOT NULL,
    tail character varying(4) NOT NULL,
    batch_name character varying(191) NOT NULL,
    amount_nano bigint NOT NULL,
    state character varying(10) NOT NULL,
    origin character varying(64) NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    used_by_id bigint,
    purse_kind character varying(10) NOT NULL,
    batch_id uuid,
    CONSTRAINT billing_redemptioncode_pepper_number_check CHECK ((pepper_number >= 0)),
    CONSTRAINT code_not_negative CHECK ((amount_nano >= 0))
);
ALTER TABLE public.billing_redemptioncode ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_redemptioncode_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.billing_spendlimit ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_spendlimit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_spendwindow (
    id bigint NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    spent_nano bigint NOT NULL,
    held_nano bigint NOT NULL,
    limit_id bigint NOT NULL,
    CONSTRAINT spend_window_held_not_negative CHECK ((held_nano >= 0)),
    CONSTRAINT spend_window_spent_not_negative CHECK ((spent_nano >= 0))
)
WITH (fillfactor='50');
ALTER TABLE public.billing_spendwindow ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_spendwindow_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_statement (
    id bigint NOT NULL,
    currency character varying(3) NOT NULL,
    month_on date NOT NULL,
    time_zone character varying(64) NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    opening_nano bigint NOT NULL,
    credits_nano bigint NOT NULL,
    usage_nano bigint NOT NULL,
    expiry_nano bigint NOT NULL,
    adjustments_nano bigint NOT NULL,
    earlier_nano bigint NOT NULL,
    closing_nano bigint NOT NULL,
    first_entry_id bigint,
    last_entry_id bigint,
    entry_count bigint NOT NULL,
    figures jsonb NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    group_id bigint,
    issued_by_id bigint,
    previous_id bigint,
    user_id bigint,
    CONSTRAINT statement_adds_up CHECK ((closing_nano = (((((opening_nano + credits_nano) + usage_nano) + expiry_nano) + adjustments_nano) + earlier_nano))),
    CONSTRAINT statement_has_length CHECK ((ends_at > starts_at)),
    CONSTRAINT statement_one_owner CHECK ((((user_id IS NULL) OR (group_id IS NULL)) AND (1 = (
CASE
    WHEN (user_id IS NULL) THEN 1
    ELSE 0
END +
CASE
    WHEN (group_id IS NULL) THEN 1
    ELSE 0
END))))
);
ALTER TABLE public.billing_statement ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_statement_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_statementfile (
    id bigint NOT NULL,
    format character varying(4) NOT NULL,
    language character varying(16) NOT NULL,
    content bytea NOT NULL,
    sha256 character varying(64) NOT NULL,
    byte_count integer NOT NULL,
    statement_id bigint NOT NULL
);
ALTER TABLE public.billing_statementfile ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_statementfile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_statementpurse (
    id bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    opening_entry_id bigint NOT NULL,
    last_entry_id bigint NOT NULL,
    opening_nano bigint NOT NULL,
    closing_nano bigint NOT NULL,
    account_id bigint NOT NULL,
    statement_id bigint NOT NULL,
    CONSTRAINT statement_purse_forward CHECK ((last_seq >= (first_seq - 1)))
);
ALTER TABLE public.billing_statementpurse ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_statementpurse_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_statementrun (
    id bigint NOT NULL,
    month_on date NOT NULL,
    time_zone character varying(64) NOT NULL,
    cursor character varying(32) NOT NULL,
    owner_count integer NOT NULL,
    issued_count integer NOT NULL,
    present_count integer NOT NULL,
    empty_count integer NOT NULL,
    failed_count integer NOT NULL,
    problems jsonb NOT NULL,
    started_at timestamp with time zone NOT NULL,
    touched_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    started_by_id bigint
);
ALTER TABLE public.billing_statementrun ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_statementrun_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_usageaccount (
    call_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    minutes integer NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    origin character varying(10) NOT NULL,
    user_id bigint NOT NULL,
    key_id bigint NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.billing_usagecube (
    call_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    day_on date NOT NULL,
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    group_code character varying(191) NOT NULL,
    model_name character varying(255) NOT NULL,
    modality character varying(16) NOT NULL,
    origin character varying(10) NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.billing_usagedelta (
    id bigint NOT NULL,
    quarter_at timestamp with time zone NOT NULL,
    user_id bigint NOT NULL,
    key_id bigint NOT NULL,
    group_code character varying(191) NOT NULL,
    model_name character varying(255) NOT NULL,
    origin character varying(10) NOT NULL,
    call_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    modality character varying(16) DEFAULT 'text'::character varying NOT NULL
);
ALTER TABLE public.billing_usagedelta ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.billing_usagedelta_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.billing_usagehouse (
    call_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    minutes integer NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    origin character varying(10) NOT NULL,
    cut character varying(8) NOT NULL,
    value character varying(255) NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.billing_usagekeydaily (
    call_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano bigint NOT NULL,
    day_on date NOT NULL,
    key_id bigint NOT NULL,
    origin character varying(10) NOT NULL
)
WITH (fillfactor='70');
CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_time timestamp with time zone NOT NULL,
    object_id text,
    object_repr character varying(200) NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    content_type_id integer,
    user_id bigint NOT NULL,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);
ALTER TABLE public.django_admin_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_admin_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);
ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);
ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_session (
    session_key character varying(40) NOT NULL,
    session_data text NOT NULL,
    expire_date timestamp with time zone NOT NULL
);
CREATE TABLE public.gateway_accesscheck (
    id uuid NOT NULL,
    profile character varying(32) NOT NULL,
    model_name character varying(255) NOT NULL,
    state character varying(10) NOT NULL,
    results jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    asked_by_id bigint NOT NULL,
    key_id bigint NOT NULL
);
CREATE SEQUENCE public.gateway_catalogue_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE SEQUENCE public.gateway_config_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.gateway_dataplane (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    kind character varying(16) NOT NULL,
    state character varying(16) NOT NULL,
    digest bytea NOT NULL,
    tail character varying(4) NOT NULL,
    old_digest bytea,
    old_valid_until timestamp with time zone,
    may_read_secrets boolean NOT NULL,
    wanted character varying(8) NOT NULL,
    wanted_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    rotated_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    created_by_id bigint,
    CONSTRAINT data_plane_old_token_ends CHECK ((((old_digest IS NULL) AND (old_valid_until IS NULL)) OR ((old_digest IS NOT NULL) AND (old_valid_until IS NOT NULL)))),
    CONSTRAINT data_plane_revoked_has_time CHECK (((((state)::text = 'revoked'::text) OR (revoked_at IS NULL)) AND (1 = (
CASE
    WHEN ((state)::text = 'revoked'::text) THEN 1
    ELSE 0
END +
CASE
    WHEN (revoked_at IS NULL) THEN 1
    ELSE 0
END))))
);
ALTER TABLE public.gateway_dataplane ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_dataplane_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_dataplaneinstance (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    version character varying(64) NOT NULL,
    config_version character varying(64) NOT NULL,
    key_cursor character varying(64) NOT NULL,
    spool_depth bigint NOT NULL,
    oldest_unacked_s bigint NOT NULL,
    inflight integer NOT NULL,
    lease_count integer NOT NULL,
    clock_ms bigint NOT NULL,
    acked_seq bigint NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    plane_id bigint NOT NULL
);
ALTER TABLE public.gateway_dataplaneinstance ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_dataplaneinstance_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_entrypoint (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    url character varying(500) NOT NULL,
    host character varying(260) NOT NULL,
    address character varying(500) NOT NULL,
    family character varying(16) NOT NULL,
    environment character varying(16) NOT NULL,
    side character varying(8) NOT NULL,
    state character varying(16) NOT NULL,
    note character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    owner_id bigint NOT NULL
);
ALTER TABLE public.gateway_entrypoint ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_entrypoint_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_entrysighting (
    id bigint NOT NULL,
    day_on date NOT NULL,
    route character varying(8) NOT NULL,
    client_family character varying(32) NOT NULL,
    call_count bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    entry_id bigint,
    key_id bigint NOT NULL
);
ALTER TABLE public.gateway_entrysighting ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_entrysighting_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_errorprofile (
    id bigint NOT NULL,
    profile character varying(12) NOT NULL,
    group_id bigint,
    key_id bigint,
    CONSTRAINT error_profile_group_or_key CHECK (((group_id IS NULL) OR (key_id IS NULL)))
);
ALTER TABLE public.gateway_errorprofile ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_errorprofile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_fallbackrule (
    id bigint NOT NULL,
    triggers character varying(24)[] NOT NULL,
    is_price_protected boolean NOT NULL,
    reason character varying(255) NOT NULL,
    state character varying(12) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    approved_at timestamp with time zone,
    ended_at timestamp with time zone,
    approved_by_id bigint,
    from_model_id bigint NOT NULL,
    proposed_by_id bigint,
    to_model_id bigint NOT NULL,
    CONSTRAINT fallback_active_is_approved CHECK (((NOT ((state)::text = 'active'::text)) OR (approved_at IS NOT NULL))),
    CONSTRAINT fallback_to_another CHECK ((NOT (from_model_id = to_model_id))),
    CONSTRAINT fallback_two_people CHECK (((approved_by_id IS NULL) OR (proposed_by_id IS NULL) OR (NOT ((approved_by_id = proposed_by_id) AND (approved_by_id IS NOT NULL) AND (proposed_by_id IS NOT NULL)))))
);
ALTER TABLE public.gateway_fallbackrule ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_fallbackrule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_featureuse (
    id bigint NOT NULL,
    model_name character varying(255) NOT NULL,
    feature character varying(8) NOT NULL,
    source character varying(8) NOT NULL,
    call_count bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    note character varying(255) NOT NULL
);
ALTER TABLE public.gateway_featureuse ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_featureuse_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_keychange (
    id bigint NOT NULL,
    key_id bigint NOT NULL,
    changed_xid bigint NOT NULL,
    changed_at timestamp with time zone NOT NULL
);
ALTER TABLE public.gateway_keychange ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_keychange_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_keyconfirmation (
    relay character varying(128) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    withheld character varying(16) NOT NULL,
    config_version bigint NOT NULL,
    confirmed_at timestamp with time zone NOT NULL,
    key_id bigint NOT NULL
);
CREATE TABLE public.gateway_keyoldentry (
    key_id bigint NOT NULL,
    old_entry_id bigint NOT NULL
);
CREATE TABLE public.gateway_keywatch (
    key_id bigint NOT NULL,
    asked_at timestamp with time zone NOT NULL
);
CREATE TABLE public.gateway_mediatask (
    id uuid NOT NULL,
    kind character varying(8) NOT NULL,
    state character varying(12) NOT NULL,
    key_name character varying(191) NOT NULL,
    key_tail character varying(4) NOT NULL,
    group_code character varying(191) NOT NULL,
    endpoint character varying(64) NOT NULL,
    asked_model character varying(255) NOT NULL,
    billed_model character varying(255) NOT NULL,
    served_model character varying(255) NOT NULL,
    upstream_name character varying(255) NOT NULL,
    upstream_task_id character varying(255) NOT NULL,
    parameters jsonb NOT NULL,
    parameters_hash character varying(64) NOT NULL,
    reference_count smallint NOT NULL,
    template_id bigint,
    template_number integer,
    callback_url character varying(500) NOT NULL,
    price_version_id bigint,
    price_multiplier character varying(40) NOT NULL,
    held_nano bigint NOT NULL,
    cost_nano bigint NOT NULL,
    progress smallint NOT NULL,
    item_count integer NOT NULL,
    delivered_ms bigint NOT NULL,
    delivered_size character varying(32) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    failure_code character varying(64) NOT NULL,
    failure_reason character varying(500) NOT NULL,
    doubt character varying(64) NOT NULL,
    assets jsonb NOT NULL,
    assets_expire_at timestamp with time zone,
    deleted_at timestamp with time zone,
    next_check_at timestamp with time zone,
    checked_at timestamp with time zone,
    check_count integer NOT NULL,
    failed_checks integer NOT NULL,
    decision_note character varying(255) NOT NULL,
    decided_by_id bigint,
    key_id bigint,
    team_id bigint,
    upstream_id bigint,
    user_id bigint,
    CONSTRAINT gateway_mediatask_check_count_check CHECK ((check_count >= 0)),
    CONSTRAINT gateway_mediatask_failed_checks_check CHECK ((failed_checks >= 0)),
    CONSTRAINT gateway_mediatask_item_count_check CHECK ((item_count >= 0)),
    CONSTRAINT gateway_mediatask_progress_check CHECK ((progress >= 0)),
    CONSTRAINT gateway_mediatask_reference_count_check CHECK ((reference_count >= 0)),
    CONSTRAINT gateway_mediatask_template_number_check CHECK ((template_number >= 0)),
    CONSTRAINT task_failed_has_reason CHECK (((NOT ((state)::text = 'failed'::text)) OR (NOT ((failure_code)::text = ''::text)))),
    CONSTRAINT task_one_payer CHECK (((user_id IS NULL) OR (team_id IS NULL))),
    CONSTRAINT task_over_has_time CHECK (((((state)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[])) OR (finished_at IS NULL)) AND (1 = (
CASE
    WHEN ((state)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[])) THEN 1
    ELSE 0
END +
CASE
    WHEN (finished_at IS NULL) THEN 1
    ELSE 0
END)))),
    CONSTRAINT task_unknown_has_doubt CHECK (((NOT ((state)::text = 'unknown'::text)) OR (NOT ((doubt)::text = ''::text))))
);
CREATE TABLE public.gateway_oldentry (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    base_url character varying(500) NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamp with time zone NOT NULL
);
ALTER TABLE public.gateway_oldentry ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_oldentry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_planeevent (
    id bigint NOT NULL,
    source character varying(128) NOT NULL,
    event_id character varying(128) NOT NULL,
    fingerprint bytea NOT NULL,
    request_id uuid,
    attempt smallint NOT NULL,
    is_final boolean NOT NULL,
    status character varying(10) NOT NULL,
    reason character varying(64) NOT NULL,
    attempt_log jsonb,
    received_at timestamp with time zone NOT NULL,
    plane_id bigint NOT NULL,
    CONSTRAINT gateway_planeevent_attempt_check CHECK ((attempt >= 0))
);
ALTER TABLE public.gateway_planeevent ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_planeevent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_planetally (
    id bigint NOT NULL,
    source character varying(128) NOT NULL,
    hour_at timestamp with time zone NOT NULL,
    upstream_id bigint NOT NULL,
    told_calls bigint NOT NULL,
    told_input bigint NOT NULL,
    told_output bigint NOT NULL,
    our_calls bigint NOT NULL,
    our_input bigint NOT NULL,
    our_output bigint NOT NULL,
    told_at timestamp with time zone NOT NULL,
    plane_id bigint NOT NULL
);
ALTER TABLE public.gateway_planetally ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_planetally_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_proofresult (
    id bigint NOT NULL,
    name character varying(255) NOT NULL,
    called_name character varying(255) NOT NULL,
    feature character varying(8) NOT NULL,
    state character varying(8) NOT NULL,
    cause character varying(32) NOT NULL,
    http_status smallint NOT NULL,
    error_code character varying(64) NOT NULL,
    answered_as character varying(255) NOT NULL,
    request_id character varying(64) NOT NULL,
    took_ms integer NOT NULL,
    run_id uuid NOT NULL
);
ALTER TABLE public.gateway_proofresult ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_proofresult_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_proofrun (
    id uuid NOT NULL,
    map_version integer NOT NULL,
    with_called_names boolean NOT NULL,
    state character varying(10) NOT NULL,
    error character varying(64) NOT NULL,
    beat_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    key_id bigint NOT NULL,
    started_by_id bigint NOT NULL,
    CONSTRAINT gateway_proofrun_map_version_check CHECK ((map_version >= 0))
);
CREATE TABLE public.gateway_relayinstance (
    name character varying(128) NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    config_version bigint NOT NULL,
    open_calls integer NOT NULL,
    spool_depth bigint DEFAULT 0 NOT NULL,
    oldest_unacked_s bigint DEFAULT 0 NOT NULL,
    lease_count integer DEFAULT 0 NOT NULL
);
CREATE TABLE public.gateway_tasktemplate (
    id bigint NOT NULL,
    name character varying(64) NOT NULL,
    kind character varying(8) NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    team_id bigint NOT NULL
);
ALTER TABLE public.gateway_tasktemplate ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_tasktemplate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_tasktemplateversion (
    id bigint NOT NULL,
    number integer NOT NULL,
    model_name character varying(255) NOT NULL,
    parameters jsonb NOT NULL,
    note character varying(255) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by_id bigint,
    template_id bigint NOT NULL,
    CONSTRAINT gateway_tasktemplateversion_number_check CHECK ((number >= 0))
);
ALTER TABLE public.gateway_tasktemplateversion ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_tasktemplateversion_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_trialitem (
    id bigint NOT NULL,
    code character varying(12) NOT NULL,
    state character varying(8) NOT NULL,
    cause character varying(32) NOT NULL,
    error_code character varying(64) NOT NULL,
    request_id character varying(64) NOT NULL,
    checked_at timestamp with time zone,
    trial_id bigint NOT NULL
);
ALTER TABLE public.gateway_trialitem ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.gateway_trialitem_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gateway_triallist (
    team_id bigint NOT NULL,
    kind character varying(8) NOT NULL,
    state character varying(12) NOT NULL,
    check_state character varying(8) NOT NULL,
    beat_at timestamp with time zone,
    model_name character varying(255) NOT NULL,
    resolution character varying(16) NOT NULL,
    wide_size character varying(16) NOT NULL,
    money_before character varying(16) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    produced_at timestamp with time zone,
    asked_by_id bigint,
    key_id bigint,
    CONSTRAINT trial_production_has_a_time CHECK (((NOT ((state)::text = 'production'::text)) OR (produced_at IS NOT NULL)))
);
CREATE TABLE public.gateway_upstreamhealth (
    relay character varying(128) NOT NULL,
    upstream_name character varying(255) NOT NULL,
    reason character varying(64) NOT NULL,
    failure_count integer NOT NULL,
    since_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    upstream_id bigint NOT NULL
);
CREATE TABLE public.keys_accesspolicy (
    id bigint NOT NULL,
    issuers character varying(16) NOT NULL,
    team_money character varying(16) NOT NULL,
    text text NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT access_policy_one CHECK ((id = 1))
);
ALTER TABLE public.keys_accesspolicy ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_accesspolicy_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_accesspolicy_named_issuers (
    id bigint NOT NULL,
    accesspolicy_id bigint NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.keys_accesspolicy_named_issuers ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_accesspolicy_named_issuers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_apikey (
    id bigint NOT NULL,
    name character varying(191) NOT NULL,
    purpose character varying(16) NOT NULL,
    state character varying(16) NOT NULL,
    state_reason character varying(191) NOT NULL,
    route character varying(8) NOT NULL,
    model_names character varying(255)[],
    networks character varying(64)[] NOT NULL,
    auto_group_codes character varying(191)[] NOT NULL,
    ignores_channel_pin boolean NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    group_id bigint,
    owner_id bigint,
    team_id bigint,
    member_id bigint,
    profile_id bigint,
    CONSTRAINT key_member_of_team CHECK (((member_id IS NULL) OR (team_id IS NOT NULL))),
    CONSTRAINT key_owner_or_team CHECK (((owner_id IS NULL) OR (team_id IS NULL))),
    CONSTRAINT key_profile_or_own_models CHECK (((profile_id IS NULL) OR (model_names IS NULL)))
);
ALTER TABLE public.keys_apikey ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_apikey_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_calllimit (
    id bigint NOT NULL,
    requests_per_minute integer,
    tokens_per_minute integer,
    parallel_calls integer,
    changed_at timestamp with time zone NOT NULL,
    group_id bigint,
    key_id bigint,
    user_id bigint,
    profile_id bigint,
    CONSTRAINT call_limit_of_one CHECK ((((group_id IS NULL) AND (key_id IS NOT NULL) AND (profile_id IS NULL) AND (user_id IS NULL)) OR ((group_id IS NULL) AND (key_id IS NULL) AND (profile_id IS NOT NULL) AND (user_id IS NULL)) OR ((key_id IS NULL) AND (profile_id IS NULL) AND ((user_id IS NOT NULL) OR (group_id IS NOT NULL))))),
    CONSTRAINT call_limit_positive CHECK ((((requests_per_minute IS NULL) OR (requests_per_minute >= 1)) AND ((tokens_per_minute IS NULL) OR (tokens_per_minute >= 1)) AND ((parallel_calls IS NULL) OR (parallel_calls >= 1)))),
    CONSTRAINT call_limit_says_something CHECK (((requests_per_minute >= 1) OR (tokens_per_minute >= 1) OR (parallel_calls >= 1))),
    CONSTRAINT keys_calllimit_parallel_calls_check CHECK ((parallel_calls >= 0)),
    CONSTRAINT keys_calllimit_requests_per_minute_check CHECK ((requests_per_minute >= 0)),
    CONSTRAINT keys_calllimit_tokens_per_minute_check CHECK ((tokens_per_minute >= 0))
);
ALTER TABLE public.keys_calllimit ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_calllimit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_keysecret (
    id bigint NOT NULL,
    digest bytea NOT NULL,
    pepper_number smallint NOT NULL,
    tail character varying(4) NOT NULL,
    origin character varying(16) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    valid_until timestamp with time zone,
    revoked_at timestamp with time zone,
    key_id bigint NOT NULL,
    CONSTRAINT keys_keysecret_pepper_number_check CHECK ((pepper_number >= 0))
);
ALTER TABLE public.keys_keysecret ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_keysecret_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_quotareview (
    id bigint NOT NULL,
    every_days smallint NOT NULL,
    next_on date NOT NULL,
    noticed_on date,
    last_done_at timestamp with time zone,
    last_note text NOT NULL,
    group_id bigint,
    reviewer_id bigint NOT NULL,
    CONSTRAINT keys_quotareview_every_days_check CHECK ((every_days >= 0)),
    CONSTRAINT quota_review_comes_again CHECK ((every_days >= 1))
);
ALTER TABLE public.keys_quotareview ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_quotareview_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.keys_teampolicy (
    group_id bigint NOT NULL,
    money character varying(16) NOT NULL
);
CREATE TABLE public.keys_useprofile (
    id bigint NOT NULL,
    use character varying(16) NOT NULL,
    name character varying(128) NOT NULL,
    alias character varying(64) NOT NULL,
    default_model character varying(255) NOT NULL,
    model_names character varying(255)[] NOT NULL,
    parameters jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    team_id bigint,
    CONSTRAINT use_profile_default_is_allowed CHECK ((model_names @> ARRAY[default_model]))
);
ALTER TABLE public.keys_useprofile ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.keys_useprofile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.mfa_authenticator (
    id bigint NOT NULL,
    type character varying(20) NOT NULL,
    data jsonb NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);
ALTER TABLE public.mfa_authenticator ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.mfa_authenticator_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_importedrow (
    id bigint NOT NULL,
    "table" character varying(64) NOT NULL,
    row_id character varying(64) NOT NULL,
    target_type character varying(64) NOT NULL,
    target_id character varying(64) NOT NULL,
    digest character varying(64) NOT NULL,
    figures jsonb NOT NULL,
    first_run_id uuid NOT NULL,
    last_run_id uuid NOT NULL,
    source_id bigint NOT NULL
);
ALTER TABLE public.migrations_center_importedrow ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_importedrow_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_importissue (
    id bigint NOT NULL,
    kind character varying(12) NOT NULL,
    "table" character varying(64) NOT NULL,
    row_id character varying(64) NOT NULL,
    label character varying(191) NOT NULL,
    reason character varying(64) NOT NULL,
    detail jsonb NOT NULL,
    run_id uuid NOT NULL
);
ALTER TABLE public.migrations_center_importissue ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_importissue_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_importrun (
    id uuid NOT NULL,
    state character varying(12) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    applied_at timestamp with time zone,
    heartbeat_at timestamp with time zone,
    snapshot_digest character varying(64) NOT NULL,
    file_name character varying(255) NOT NULL,
    log_file_name character varying(255) NOT NULL,
    options jsonb NOT NULL,
    report jsonb NOT NULL,
    progress jsonb NOT NULL,
    error text NOT NULL,
    started_by_id bigint,
    source_id bigint
);
CREATE TABLE public.migrations_center_keychoice (
    key_id bigint NOT NULL,
    choice character varying(8) NOT NULL,
    overlap_hours integer NOT NULL,
    reason character varying(191) NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    applied_at timestamp with time zone,
    undo jsonb NOT NULL,
    decided_by_id bigint,
    CONSTRAINT migrations_center_keychoice_overlap_hours_check CHECK ((overlap_hours >= 0))
);
CREATE TABLE public.migrations_center_latelog (
    id bigint NOT NULL,
    call_id uuid NOT NULL,
    row_id bigint NOT NULL,
    units bigint NOT NULL,
    amount_nano bigint NOT NULL,
    source_id bigint NOT NULL,
    user_id bigint NOT NULL,
    spend_id bigint
);
ALTER TABLE public.migrations_center_latelog ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_latelog_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_latespend (
    id bigint NOT NULL,
    number integer NOT NULL,
    is_flagged boolean NOT NULL,
    amount_nano bigint NOT NULL,
    log_ids jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    entry_id bigint NOT NULL,
    run_id uuid NOT NULL,
    source_id bigint NOT NULL,
    user_id bigint NOT NULL,
    CONSTRAINT migrations_center_latespend_number_check CHECK ((number >= 0))
);
ALTER TABLE public.migrations_center_latespend ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_latespend_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_plan (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by_id bigint,
    source_id bigint NOT NULL
);
ALTER TABLE public.migrations_center_plan ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_plan_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_source (
    id bigint NOT NULL,
    code character varying(40) NOT NULL,
    name character varying(128) NOT NULL,
    product character varying(16) NOT NULL,
    kind character varying(16) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    address character varying(500) NOT NULL,
    quota_per_unit character varying(40) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    old_entry_id bigint
);
ALTER TABLE public.migrations_center_source ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_wave (
    id bigint NOT NULL,
    number integer NOT NULL,
    name character varying(128) NOT NULL,
    state character varying(12) NOT NULL,
    planned_at timestamp with time zone,
    window_hours integer NOT NULL,
    observation_hours integer NOT NULL,
    switched_at timestamp with time zone,
    gone_back_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    created_by_id bigint,
    plan_id bigint NOT NULL,
    CONSTRAINT migrations_center_wave_number_check CHECK ((number >= 0)),
    CONSTRAINT migrations_center_wave_observation_hours_check CHECK ((observation_hours >= 0)),
    CONSTRAINT migrations_center_wave_window_hours_check CHECK ((window_hours >= 0))
);
ALTER TABLE public.migrations_center_wave ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_wave_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_waveevent (
    id bigint NOT NULL,
    from_state character varying(12) NOT NULL,
    to_state character varying(12) NOT NULL,
    actor_name character varying(191) NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone NOT NULL,
    actor_id bigint,
    wave_id bigint NOT NULL
);
ALTER TABLE public.migrations_center_waveevent ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_waveevent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_wavemember (
    id bigint NOT NULL,
    state character varying(10) NOT NULL,
    opening_nano bigint,
    spent_nano bigint,
    closed_nano bigint,
    switched_at timestamp with time zone,
    back_at timestamp with time zone,
    user_id bigint NOT NULL,
    wave_id bigint NOT NULL,
    CONSTRAINT wave_member_adds_up CHECK (((closed_nano IS NULL) OR (opening_nano = (spent_nano + closed_nano))))
);
ALTER TABLE public.migrations_center_wavemember ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_wavemember_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.migrations_center_wavenotice (
    id bigint NOT NULL,
    occasion character varying(12) NOT NULL,
    skipped_reason character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    mail_id uuid,
    member_id bigint NOT NULL
);
ALTER TABLE public.migrations_center_wavenotice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.migrations_center_wavenotice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_aimodel (
    id bigint NOT NULL,
    name character varying(255) NOT NULL,
    display_name character varying(255) NOT NULL,
    modality character varying(16) NOT NULL,
    capabilities character varying(32)[] NOT NULL,
    context_tokens integer,
    max_output_tokens integer,
    is_active boolean NOT NULL,
    note text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT models_catalog_aimodel_context_tokens_check CHECK ((context_tokens >= 0)),
    CONSTRAINT models_catalog_aimodel_max_output_tokens_check CHECK ((max_output_tokens >= 0))
);
ALTER TABLE public.models_catalog_aimodel ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_aimodel_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_modelaccess (
    id bigint NOT NULL,
    group_code character varying(191) NOT NULL,
    model_id bigint NOT NULL
);
ALTER TABLE public.models_catalog_modelaccess ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_modelaccess_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_namemapentry (
    id bigint NOT NULL,
    old_name character varying(255) NOT NULL,
    kind character varying(16) NOT NULL,
    bill_as_called boolean NOT NULL,
    reason text NOT NULL,
    approved_by character varying(191) NOT NULL,
    callable_model_id bigint,
    from_version_id integer NOT NULL,
    until_version_id integer,
    CONSTRAINT name_map_target_unless_retired CHECK ((((kind)::text = 'retired'::text) OR (callable_model_id IS NOT NULL))),
    CONSTRAINT name_map_versions_in_order CHECK (((until_version_id IS NULL) OR (until_version_id > from_version_id)))
);
ALTER TABLE public.models_catalog_namemapentry ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_namemapentry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_namemapversion (
    number integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(191) NOT NULL,
    reason text NOT NULL,
    CONSTRAINT models_catalog_namemapversion_number_check CHECK ((number >= 0))
);
CREATE TABLE public.models_catalog_provider (
    id bigint NOT NULL,
    code character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    protocol character varying(16) NOT NULL,
    website character varying(200) NOT NULL
);
ALTER TABLE public.models_catalog_provider ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_provider_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_upstream (
    id bigint NOT NULL,
    name character varying(191) NOT NULL,
    base_url character varying(500) NOT NULL,
    credential_sealed bytea,
    credential_tail character varying(8) NOT NULL,
    group_codes character varying(191)[] NOT NULL,
    priority integer NOT NULL,
    weight integer NOT NULL,
    state character varying(20) NOT NULL,
    timeout_seconds integer NOT NULL,
    note text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    provider_id bigint NOT NULL,
    CONSTRAINT models_catalog_upstream_timeout_seconds_check CHECK ((timeout_seconds >= 0)),
    CONSTRAINT models_catalog_upstream_weight_check CHECK ((weight >= 0))
);
ALTER TABLE public.models_catalog_upstream ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_upstream_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.models_catalog_upstreammodel (
    id bigint NOT NULL,
    upstream_name character varying(255) NOT NULL,
    model_id bigint NOT NULL,
    upstream_id bigint NOT NULL,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL
);
ALTER TABLE public.models_catalog_upstreammodel ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.models_catalog_upstreammodel_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.socialaccount_socialaccount (
    id integer NOT NULL,
    provider character varying(200) NOT NULL,
    uid character varying(191) NOT NULL,
    last_login timestamp with time zone NOT NULL,
    date_joined timestamp with time zone NOT NULL,
    extra_data jsonb NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.socialaccount_socialaccount ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.socialaccount_socialaccount_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.socialaccount_socialapp (
    id integer NOT NULL,
    provider character varying(30) NOT NULL,
    name character varying(40) NOT NULL,
    client_id character varying(191) NOT NULL,
    secret character varying(191) NOT NULL,
    key character varying(191) NOT NULL,
    provider_id character varying(200) NOT NULL,
    settings jsonb NOT NULL
);
ALTER TABLE public.socialaccount_socialapp ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.socialaccount_socialapp_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.socialaccount_socialtoken (
    id integer NOT NULL,
    token text NOT NULL,
    token_secret text NOT NULL,
    expires_at timestamp with time zone,
    account_id integer NOT NULL,
    app_id integer
);
ALTER TABLE public.socialaccount_socialtoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.socialaccount_socialtoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.usersessions_usersession (
    id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ip inet NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    session_key character varying(40) NOT NULL,
    user_agent character varying(200) NOT NULL,
    data jsonb NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.usersessions_usersession ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.usersessions_usersession_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public.billing_outcomerule VALUES (1, 'complete', 'all', 'all', 1);
INSERT INTO public.billing_outcomerule VALUES (2, 'cut_after_output', 'all', 'all', 1);
INSERT INTO public.billing_outcomerule VALUES (3, 'timeout_after_output', 'all', 'all', 1);
INSERT INTO public.billing_outcomerule VALUES (4, 'client_gone_after_output', 'all', 'all', 1);
INSERT INTO public.billing_outcomerule VALUES (5, 'client_gone_before_output', 'input', 'input', 1);
INSERT INTO public.billing_outcomerule VALUES (6, 'failed_before_output', 'nothing', 'nothing', 1);
INSERT INTO public.billing_outcomerule VALUES (7, 'timeout_before_output', 'nothing', 'nothing', 1);
INSERT INTO public.billing_outcomerule VALUES (8, 'refused', 'nothing', 'nothing', 1);
INSERT INTO public.billing_outcomeruleset VALUES (1, '', 1, false, '2026-11-26 22:25:48.681561+00', 'system', '');
INSERT INTO public.django_migrations (app, name, applied) VALUES ('contenttypes', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('contenttypes', '0002_remove_content_type_name', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0002_alter_permission_name_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0003_alter_user_email_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0004_alter_user_username_opts', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0005_alter_user_last_login_null', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0006_require_contenttypes_0002', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0007_alter_validators_add_error_messages', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0008_alter_user_username_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0009_alter_user_last_name_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0010_alter_group_name_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0011_update_proxy_permissions', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('auth', '0012_alter_user_first_name_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('accounts', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0002_email_max_length', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0003_alter_emailaddress_create_unique_verified_email', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0004_alter_emailaddress_drop_unique_email', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0005_emailaddress_idx_upper_email', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0006_emailaddress_lower', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0007_emailaddress_idx_email', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0008_emailaddress_unique_primary_email_fixup', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('account', '0009_emailaddress_unique_primary_email', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('accounts', '0002_audit_append_only', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('accounts', '0003_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('accounts', '0004_newest_first', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('admin', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('admin', '0002_logentry_remove_auto_add', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('admin', '0003_logentry_add_action_flag_choices', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0002_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0003_call_limits', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0004_key_member', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0005_policy', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0006_paused', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('models_catalog', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('models_catalog', '0002_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0002_request_log_partitions', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0003_ledger_functions', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0004_frozen_rows', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0005_steady_plans', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0006_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0007_desk', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0008_price_components', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0009_seals', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0010_late_events', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0011_outcome_rules', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0012_statements', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0013_spend_limits', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0014_allowances_are_limits', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0015_no_key_budgets', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0016_fences', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0017_usage_cube', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0018_code_batches_and_approvals', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0019_refunds_and_currencies', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0020_alert_rules', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0021_reconciliation', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0022_desk_ignored', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0023_entries_without_calls', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0024_calls_set_by_set', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0025_fallback_of_a_call', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0026_payments', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0027_usage_by_day_first', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0028_usage_keys_by_day', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0029_refunds_everywhere', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0030_task_hooks', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0031_leases', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0032_lean_rows', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0033_seals_cover_draws', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0034_holds_out_of_the_log', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0035_disputes', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0036_body_digest', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0037_newest_first', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0038_export_jobs', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0039_statement_workbooks', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0040_refunds_newest', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0041_windows_before_use', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0042_usage_spans', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('billing', '0043_plain_batches', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('keys', '0007_use_profiles', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('models_catalog', '0003_target_parameters', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0002_config_notify', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0003_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0004_notify_call_limits', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0005_outcome_rules_notify', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0006_notify_access_rules', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0007_entry_register', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0008_notify_key_member', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0009_access_check', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0010_rules_and_health', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0011_rules_notify', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0012_key_confirmation', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0013_proofs_of_names', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0014_media_tasks', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0015_data_planes', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0016_key_changes', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0017_trial_lists', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0018_notify_use_profiles', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0019_relay_spool', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('gateway', '0020_picture_callbacks', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('mfa', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('mfa', '0002_authenticator_timestamps', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('mfa', '0003_authenticator_type_uniq', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0002_wave_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0003_field_words', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0004_late_spend', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0005_key_choice', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('migrations_center', '0006_newest_first', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('sessions', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0001_initial', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0002_token_max_lengths', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0003_extra_data_default_dict', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0004_app_provider_id_settings', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0005_socialtoken_nullable_app', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('socialaccount', '0006_alter_socialaccount_extra_data', now());
INSERT INTO public.django_migrations (app, name, applied) VALUES ('usersessions', '0001_initial', now());
SELECT pg_catalog.setval('public.account_emailaddress_id_seq', 1, false);
SELECT pg_catalog.setval('public.account_emailconfirmation_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_auditevent_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_group_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_groupmembership_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_invitation_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_user_groups_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_user_id_seq', 1, false);
SELECT pg_catalog.setval('public.accounts_user_user_permissions_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_group_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_permission_id_seq', 484, true);
SELECT pg_catalog.setval('public.billing_adjustmentrequest_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_alertchoice_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_alertrule_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_alertstate_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_breakglass_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_callrefund_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_deskitem_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_difference_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_exportpart_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_groupmultiplier_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_hookattempt_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_hookendpoint_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_keyspend_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_ledgeraccount_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_ledgerentry_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_ledgerseal_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_outcomerule_id_seq', 8, true);
SELECT pg_catalog.setval('public.billing_outcomeruleset_id_seq', 1, true);
SELECT pg_catalog.setval('public.billing_paymentevent_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_pricebook_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_pricerule_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_priceversion_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_redemptioncode_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_spendlimit_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_spendwindow_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_statement_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_statementfile_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_statementpurse_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_statementrun_id_seq', 1, false);
SELECT pg_catalog.setval('public.billing_usagedelta_id_seq', 1, false);
SELECT pg_catalog.setval('public.django_admin_log_id_seq', 1, false);
SELECT pg_catalog.setval('public.django_content_type_id_seq', 121, true);
SELECT pg_catalog.setval('public.gateway_catalogue_version', 1, false);
SELECT pg_catalog.setval('public.gateway_config_version', 1, false);
SELECT pg_catalog.setval('public.gateway_dataplane_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_dataplaneinstance_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_entrypoint_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_entrysighting_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_errorprofile_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_fallbackrule_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_featureuse_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_keychange_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_oldentry_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_planeevent_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_planetally_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_proofresult_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_tasktemplate_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_tasktemplateversion_id_seq', 1, false);
SELECT pg_catalog.setval('public.gateway_trialitem_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_accesspolicy_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_accesspolicy_named_issuers_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_apikey_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_calllimit_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_keysecret_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_quotareview_id_seq', 1, false);
SELECT pg_catalog.setval('public.keys_useprofile_id_seq', 1, false);
SELECT pg_catalog.setval('public.mfa_authenticator_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_importedrow_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_importissue_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_latelog_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_latespend_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_plan_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_source_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_wave_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_waveevent_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_wavemember_id_seq', 1, false);
SELECT pg_catalog.setval('public.migrations_center_wavenotice_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_aimodel_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_modelaccess_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_namemapentry_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_provider_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_upstream_id_seq', 1, false);
SELECT pg_catalog.setval('public.models_catalog_upstreammodel_id_seq', 1, false);
SELECT pg_catalog.setval('public.socialaccount_socialaccount_id_seq', 1, false);
SELECT pg_catalog.setval('public.socialaccount_socialapp_id_seq', 1, false);
SELECT pg_catalog.setval('public.socialaccount_socialtoken_id_seq', 1, false);
SELECT pg_catalog.setval('public.usersessions_usersession_id_seq', 1, false);
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_user_id_email_987c8728_uniq UNIQUE (user_id, email);
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirmation_key_key UNIQUE (key);
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirmation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_ledgeraccount
    ADD CONSTRAINT account_once UNIQUE NULLS NOT DISTINCT (user_id, group_id, kind, currency, origin);
ALTER TABLE ONLY public.accounts_auditevent
    ADD CONSTRAINT accounts_auditevent_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_group
    ADD CONSTRAINT accounts_group_code_key UNIQUE (code);
ALTER TABLE ONLY public.accounts_group
    ADD CONSTRAINT accounts_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_groupmembership
    ADD CONSTRAINT accounts_groupmembership_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_invitation
    ADD CONSTRAINT accounts_invitation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_invitation
    ADD CONSTRAINT accounts_invitation_token_digest_key UNIQUE (token_digest);
ALTER TABLE ONLY public.accounts_outboundmail
    ADD CONSTRAINT accounts_outboundmail_dedupe_key_key UNIQUE (dedupe_key);
ALTER TABLE ONLY public.accounts_outboundmail
    ADD CONSTRAINT accounts_outboundmail_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_user_groups
    ADD CONSTRAINT accounts_user_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_user_groups
    ADD CONSTRAINT accounts_user_groups_user_id_group_id_59c0b32f_uniq UNIQUE (user_id, group_id);
ALTER TABLE ONLY public.accounts_user
    ADD CONSTRAINT accounts_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_user_user_permissions
    ADD CONSTRAINT accounts_user_user_permi_user_id_permission_id_2ab516c2_uniq UNIQUE (user_id, permission_id);
ALTER TABLE ONLY public.accounts_user_user_permissions
    ADD CONSTRAINT accounts_user_user_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_user
    ADD CONSTRAINT accounts_user_username_key UNIQUE (username);
ALTER TABLE ONLY public.billing_alertchoice
    ADD CONSTRAINT alert_choice_once UNIQUE (user_id, kind);
ALTER TABLE ONLY public.billing_alertevent
    ADD CONSTRAINT alert_event_once UNIQUE (rule_id, subject, period, epoch, threshold, phase);
ALTER TABLE ONLY public.billing_alertrule
    ADD CONSTRAINT alert_rule_once UNIQUE NULLS NOT DISTINCT (kind, user_id, group_id, key_id);
ALTER TABLE ONLY public.billing_alertstate
    ADD CONSTRAINT alert_state_once UNIQUE (rule_id, subject);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentrequest_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentrequest_transaction_id_key UNIQUE (transaction_id);
ALTER TABLE ONLY public.billing_alertchoice
    ADD CONSTRAINT billing_alertchoice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_alertevent
    ADD CONSTRAINT billing_alertevent_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_alertrule
    ADD CONSTRAINT billing_alertrule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_alertstate
    ADD CONSTRAINT billing_alertstate_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_breakglass
    ADD CONSTRAINT billing_breakglass_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_callrefund
    ADD CONSTRAINT billing_callrefund_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_codebatch
    ADD CONSTRAINT billing_codebatch_name_key UNIQUE (name);
ALTER TABLE ONLY public.billing_codebatch
    ADD CONSTRAINT billing_codebatch_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_codeguesses
    ADD CONSTRAINT billing_codeguesses_pkey PRIMARY KEY (user_id);
ALTER TABLE ONLY public.billing_currencyconversion
    ADD CONSTRAINT billing_currencyconversion_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT billing_deskitem_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_difference
    ADD CONSTRAINT billing_difference_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_exportjob
    ADD CONSTRAINT billing_exportjob_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_exportpart
    ADD CONSTRAINT billing_exportpart_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_groupbook
    ADD CONSTRAINT billing_groupbook_pkey PRIMARY KEY (group_id);
ALTER TABLE ONLY public.billing_groupfence
    ADD CONSTRAINT billing_groupfence_pkey PRIMARY KEY (group_id);
ALTER TABLE ONLY public.billing_groupmultiplier
    ADD CONSTRAINT billing_groupmultiplier_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_hold
    ADD CONSTRAINT billing_hold_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_hookattempt
    ADD CONSTRAINT billing_hookattempt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_hookdelivery
    ADD CONSTRAINT billing_hookdelivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_hookendpoint
    ADD CONSTRAINT billing_hookendpoint_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpayment_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_keyspend
    ADD CONSTRAINT billing_keyspend_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_lease
    ADD CONSTRAINT billing_lease_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_ledgeraccount
    ADD CONSTRAINT billing_ledgeraccount_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_ledgerentry
    ADD CONSTRAINT billing_ledgerentry_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_ledgerseal
    ADD CONSTRAINT billing_ledgerseal_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_ledgersealhead
    ADD CONSTRAINT billing_ledgersealhead_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY public.billing_modeltier
    ADD CONSTRAINT billing_modeltier_pkey PRIMARY KEY (model_id);
ALTER TABLE ONLY public.billing_outcomerule
    ADD CONSTRAINT billing_outcomerule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_outcomeruleset
    ADD CONSTRAINT billing_outcomeruleset_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_payment
    ADD CONSTRAINT billing_payment_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_paymentdispute
    ADD CONSTRAINT billing_paymentdispute_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_paymentdispute
    ADD CONSTRAINT billing_paymentdispute_provider_dispute_id_key UNIQUE (provider_dispute_id);
ALTER TABLE ONLY public.billing_paymentevent
    ADD CONSTRAINT billing_paymentevent_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_paymentrefund
    ADD CONSTRAINT billing_paymentrefund_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_pricebook
    ADD CONSTRAINT billing_pricebook_code_key UNIQUE (code);
ALTER TABLE ONLY public.billing_pricebook
    ADD CONSTRAINT billing_pricebook_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_pricerule
    ADD CONSTRAINT billing_pricerule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_pricetier
    ADD CONSTRAINT billing_pricetier_from_nano_key UNIQUE (from_nano);
ALTER TABLE ONLY public.billing_pricetier
    ADD CONSTRAINT billing_pricetier_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.billing_priceversion
    ADD CONSTRAINT billing_priceversion_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_reconcilerun
    ADD CONSTRAINT billing_reconcilerun_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_redemptioncode
    ADD CONSTRAINT billing_redemptioncode_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.billing_redemptioncode
    ADD CONSTRAINT billing_redemptioncode_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_spendlimit
    ADD CONSTRAINT billing_spendlimit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_spendwindow
    ADD CONSTRAINT billing_spendwindow_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_previous_id_key UNIQUE (previous_id);
ALTER TABLE ONLY public.billing_statementfile
    ADD CONSTRAINT billing_statementfile_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_statementpurse
    ADD CONSTRAINT billing_statementpurse_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_statementrun
    ADD CONSTRAINT billing_statementrun_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_usageaccount
    ADD CONSTRAINT billing_usageaccount_pkey PRIMARY KEY (minutes, begins_at, user_id, key_id, origin);
ALTER TABLE ONLY public.billing_usagecube
    ADD CONSTRAINT billing_usagecube_pkey PRIMARY KEY (day_on, user_id, key_id, group_code, model_name, modality, origin);
ALTER TABLE ONLY public.billing_usagedelta
    ADD CONSTRAINT billing_usagedelta_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_usagehouse
    ADD CONSTRAINT billing_usagehouse_pkey PRIMARY KEY (cut, minutes, begins_at, value, origin);
ALTER TABLE ONLY public.billing_usagekeydaily
    ADD CONSTRAINT billing_usagekeydaily_pkey PRIMARY KEY (key_id, day_on, origin);
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT call_limit_once UNIQUE NULLS NOT DISTINCT (key_id, user_id, group_id, profile_id);
ALTER TABLE ONLY public.billing_callrefund
    ADD CONSTRAINT call_refund_once UNIQUE (request_id, key);
ALTER TABLE ONLY public.gateway_dataplaneinstance
    ADD CONSTRAINT data_plane_instance_once UNIQUE (plane_id, name);
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT desk_item_once UNIQUE (kind, reference);
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_session
    ADD CONSTRAINT django_session_pkey PRIMARY KEY (session_key);
ALTER TABLE ONLY public.billing_ledgerentry
    ADD CONSTRAINT entry_once UNIQUE (transaction_id, kind, n);
ALTER TABLE ONLY public.gateway_entrysighting
    ADD CONSTRAINT entry_sighting_once UNIQUE NULLS NOT DISTINCT (key_id, day_on, entry_id, route, client_family);
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT error_profile_once UNIQUE NULLS NOT DISTINCT (group_id, key_id);
ALTER TABLE ONLY public.billing_exportpart
    ADD CONSTRAINT export_part_once UNIQUE (job_id, n);
ALTER TABLE ONLY public.gateway_featureuse
    ADD CONSTRAINT feature_use_once UNIQUE (model_name, feature, source);
ALTER TABLE ONLY public.gateway_accesscheck
    ADD CONSTRAINT gateway_accesscheck_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_dataplane
    ADD CONSTRAINT gateway_dataplane_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.gateway_dataplane
    ADD CONSTRAINT gateway_dataplane_name_key UNIQUE (name);
ALTER TABLE ONLY public.gateway_dataplane
    ADD CONSTRAINT gateway_dataplane_old_digest_key UNIQUE (old_digest);
ALTER TABLE ONLY public.gateway_dataplane
    ADD CONSTRAINT gateway_dataplane_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_dataplaneinstance
    ADD CONSTRAINT gateway_dataplaneinstance_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_entrypoint
    ADD CONSTRAINT gateway_entrypoint_address_key UNIQUE (address);
ALTER TABLE ONLY public.gateway_entrypoint
    ADD CONSTRAINT gateway_entrypoint_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_entrysighting
    ADD CONSTRAINT gateway_entrysighting_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT gateway_errorprofile_group_id_key UNIQUE (group_id);
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT gateway_errorprofile_key_id_key UNIQUE (key_id);
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT gateway_errorprofile_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_fallbackrule
    ADD CONSTRAINT gateway_fallbackrule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_featureuse
    ADD CONSTRAINT gateway_featureuse_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_keychange
    ADD CONSTRAINT gateway_keychange_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_keyconfirmation
    ADD CONSTRAINT gateway_keyconfirmation_pkey PRIMARY KEY (relay, key_id);
ALTER TABLE ONLY public.gateway_keyoldentry
    ADD CONSTRAINT gateway_keyoldentry_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.gateway_keywatch
    ADD CONSTRAINT gateway_keywatch_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.gateway_mediatask
    ADD CONSTRAINT gateway_mediatask_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_oldentry
    ADD CONSTRAINT gateway_oldentry_name_key UNIQUE (name);
ALTER TABLE ONLY public.gateway_oldentry
    ADD CONSTRAINT gateway_oldentry_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_planeevent
    ADD CONSTRAINT gateway_planeevent_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_planetally
    ADD CONSTRAINT gateway_planetally_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_proofresult
    ADD CONSTRAINT gateway_proofresult_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_proofrun
    ADD CONSTRAINT gateway_proofrun_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_relayinstance
    ADD CONSTRAINT gateway_relayinstance_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.gateway_tasktemplate
    ADD CONSTRAINT gateway_tasktemplate_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_tasktemplateversion
    ADD CONSTRAINT gateway_tasktemplateversion_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_trialitem
    ADD CONSTRAINT gateway_trialitem_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gateway_triallist
    ADD CONSTRAINT gateway_triallist_pkey PRIMARY KEY (team_id);
ALTER TABLE ONLY public.gateway_upstreamhealth
    ADD CONSTRAINT gateway_upstreamhealth_pkey PRIMARY KEY (relay, upstream_id, upstream_name);
ALTER TABLE ONLY public.accounts_groupmembership
    ADD CONSTRAINT group_member_once UNIQUE (group_id, user_id);
ALTER TABLE ONLY public.billing_groupmultiplier
    ADD CONSTRAINT group_multiplier_once UNIQUE (version_id, group_code, payer_group_code);
ALTER TABLE ONLY public.billing_hookdelivery
    ADD CONSTRAINT hook_delivery_once UNIQUE (endpoint_id, sent_id);
ALTER TABLE ONLY public.migrations_center_importedrow
    ADD CONSTRAINT imported_row_once UNIQUE (source_id, "table", row_id);
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT incoming_once UNIQUE (source, provider, reference);
ALTER TABLE ONLY public.billing_keyspend
    ADD CONSTRAINT key_spend_once UNIQUE (key_id, window_at);
ALTER TABLE ONLY public.keys_accesspolicy_named_issuers
    ADD CONSTRAINT keys_accesspolicy_named__accesspolicy_id_user_id_0cab45fd_uniq UNIQUE (accesspolicy_id, user_id);
ALTER TABLE ONLY public.keys_accesspolicy_named_issuers
    ADD CONSTRAINT keys_accesspolicy_named_issuers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_accesspolicy
    ADD CONSTRAINT keys_accesspolicy_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_profile_id_key UNIQUE (profile_id);
ALTER TABLE ONLY public.keys_keysecret
    ADD CONSTRAINT keys_keysecret_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.keys_keysecret
    ADD CONSTRAINT keys_keysecret_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_quotareview
    ADD CONSTRAINT keys_quotareview_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.keys_teampolicy
    ADD CONSTRAINT keys_teampolicy_pkey PRIMARY KEY (group_id);
ALTER TABLE ONLY public.keys_useprofile
    ADD CONSTRAINT keys_useprofile_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT late_spend_once UNIQUE (source_id, user_id, number);
ALTER TABLE ONLY public.mfa_authenticator
    ADD CONSTRAINT mfa_authenticator_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_importedrow
    ADD CONSTRAINT migrations_center_importedrow_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_importissue
    ADD CONSTRAINT migrations_center_importissue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_importrun
    ADD CONSTRAINT migrations_center_importrun_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_keychoice
    ADD CONSTRAINT migrations_center_keychoice_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.migrations_center_latelog
    ADD CONSTRAINT migrations_center_latelog_call_id_key UNIQUE (call_id);
ALTER TABLE ONLY public.migrations_center_latelog
    ADD CONSTRAINT migrations_center_latelog_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT migrations_center_latespend_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_plan
    ADD CONSTRAINT migrations_center_plan_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_source
    ADD CONSTRAINT migrations_center_source_code_key UNIQUE (code);
ALTER TABLE ONLY public.migrations_center_source
    ADD CONSTRAINT migrations_center_source_fingerprint_key UNIQUE (fingerprint);
ALTER TABLE ONLY public.migrations_center_source
    ADD CONSTRAINT migrations_center_source_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_wave
    ADD CONSTRAINT migrations_center_wave_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_waveevent
    ADD CONSTRAINT migrations_center_waveevent_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_wavemember
    ADD CONSTRAINT migrations_center_wavemember_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.migrations_center_wavenotice
    ADD CONSTRAINT migrations_center_wavenotice_mail_id_key UNIQUE (mail_id);
ALTER TABLE ONLY public.migrations_center_wavenotice
    ADD CONSTRAINT migrations_center_wavenotice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_modelaccess
    ADD CONSTRAINT model_access_once UNIQUE (model_id, group_code);
ALTER TABLE ONLY public.models_catalog_aimodel
    ADD CONSTRAINT models_catalog_aimodel_name_key UNIQUE (name);
ALTER TABLE ONLY public.models_catalog_aimodel
    ADD CONSTRAINT models_catalog_aimodel_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_modelaccess
    ADD CONSTRAINT models_catalog_modelaccess_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_namemapentry
    ADD CONSTRAINT models_catalog_namemapentry_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_namemapversion
    ADD CONSTRAINT models_catalog_namemapversion_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.models_catalog_provider
    ADD CONSTRAINT models_catalog_provider_code_key UNIQUE (code);
ALTER TABLE ONLY public.models_catalog_provider
    ADD CONSTRAINT models_catalog_provider_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_upstream
    ADD CONSTRAINT models_catalog_upstream_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.models_catalog_upstreammodel
    ADD CONSTRAINT models_catalog_upstreammodel_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_outcomerule
    ADD CONSTRAINT outcome_rule_once UNIQUE (rules_id, event);
ALTER TABLE ONLY public.billing_outcomeruleset
    ADD CONSTRAINT outcome_rules_once UNIQUE (group_code, number);
ALTER TABLE ONLY public.billing_paymentevent
    ADD CONSTRAINT payment_event_once UNIQUE (provider, event_id);
ALTER TABLE ONLY public.gateway_planeevent
    ADD CONSTRAINT plane_event_once UNIQUE (plane_id, event_id);
ALTER TABLE ONLY public.gateway_planetally
    ADD CONSTRAINT plane_tally_once UNIQUE (plane_id, source, hour_at, upstream_id);
ALTER TABLE ONLY public.billing_pricerule
    ADD CONSTRAINT price_rule_once UNIQUE (version_id, model_name);
ALTER TABLE ONLY public.billing_priceversion
    ADD CONSTRAINT price_version_once UNIQUE (book_id, number);
ALTER TABLE ONLY public.gateway_proofresult
    ADD CONSTRAINT proof_result_once UNIQUE (run_id, name, feature);
ALTER TABLE ONLY public.keys_quotareview
    ADD CONSTRAINT quota_review_once UNIQUE NULLS NOT DISTINCT (group_id);
ALTER TABLE ONLY public.billing_requestlog
    ADD CONSTRAINT request_log_id_once PRIMARY KEY (id, started_at);
ALTER TABLE ONLY public.billing_ledgerseal
    ADD CONSTRAINT seal_once UNIQUE (account_id, first_seq);
ALTER TABLE ONLY public.socialaccount_socialaccount
    ADD CONSTRAINT socialaccount_socialaccount_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.socialaccount_socialaccount
    ADD CONSTRAINT socialaccount_socialaccount_provider_uid_fc810c6e_uniq UNIQUE (provider, uid);
ALTER TABLE ONLY public.socialaccount_socialapp
    ADD CONSTRAINT socialaccount_socialapp_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.socialaccount_socialtoken
    ADD CONSTRAINT socialaccount_socialtoken_app_id_account_id_fca4e0ac_uniq UNIQUE (app_id, account_id);
ALTER TABLE ONLY public.socialaccount_socialtoken
    ADD CONSTRAINT socialaccount_socialtoken_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.billing_spendlimit
    ADD CONSTRAINT spend_limit_once UNIQUE NULLS NOT DISTINCT (key_id, group_id, user_id, span);
ALTER TABLE ONLY public.billing_spendwindow
    ADD CONSTRAINT spend_window_once UNIQUE (limit_id, starts_at);
ALTER TABLE ONLY public.billing_statementfile
    ADD CONSTRAINT statement_file_once UNIQUE (statement_id, format, language);
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT statement_once UNIQUE NULLS NOT DISTINCT (user_id, group_id, currency, month_on);
ALTER TABLE ONLY public.billing_statementpurse
    ADD CONSTRAINT statement_purse_once UNIQUE (statement_id, account_id);
ALTER TABLE ONLY public.billing_statementrun
    ADD CONSTRAINT statement_run_once UNIQUE (month_on, time_zone);
ALTER TABLE ONLY public.gateway_tasktemplate
    ADD CONSTRAINT task_template_once UNIQUE (team_id, name);
ALTER TABLE ONLY public.gateway_tasktemplateversion
    ADD CONSTRAINT task_template_version_once UNIQUE (template_id, number);
ALTER TABLE ONLY public.gateway_trialitem
    ADD CONSTRAINT trial_item_once UNIQUE (trial_id, code);
ALTER TABLE ONLY public.models_catalog_upstreammodel
    ADD CONSTRAINT upstream_model_once UNIQUE (upstream_id, model_id);
ALTER TABLE ONLY public.keys_useprofile
    ADD CONSTRAINT use_profile_alias_once UNIQUE NULLS NOT DISTINCT (team_id, alias);
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_usersession_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_usersession_session_key_key UNIQUE (session_key);
ALTER TABLE ONLY public.migrations_center_wavemember
    ADD CONSTRAINT wave_member_once UNIQUE (wave_id, user_id);
ALTER TABLE ONLY public.migrations_center_wavenotice
    ADD CONSTRAINT wave_notice_once UNIQUE (member_id, occasion);
ALTER TABLE ONLY public.migrations_center_wave
    ADD CONSTRAINT wave_number_once UNIQUE (plan_id, number);
CREATE INDEX access_check_newest ON public.gateway_accesscheck USING btree (key_id, created_at DESC);
CREATE INDEX account_emailaddress_email_03be32b2 ON public.account_emailaddress USING btree (email);
CREATE INDEX account_emailaddress_email_03be32b2_like ON public.account_emailaddress USING btree (email varchar_pattern_ops);
CREATE INDEX account_emailaddress_user_id_2c513194 ON public.account_emailaddress USING btree (user_id);
CREATE INDEX account_emailconfirmation_email_address_id_5b7f8c58 ON public.account_emailconfirmation USING btree (email_address_id);
CREATE INDEX account_emailconfirmation_key_f43612bd_like ON public.account_emailconfirmation USING btree (key varchar_pattern_ops);
CREATE INDEX account_payer ON public.billing_ledgeraccount USING btree (COALESCE(user_id, (group_id * '-1'::integer))) WHERE is_purse;
CREATE INDEX accounts_auditevent_action_6dc29885 ON public.accounts_auditevent USING btree (action);
CREATE INDEX accounts_auditevent_action_6dc29885_like ON public.accounts_auditevent USING btree (action varchar_pattern_ops);
CREATE INDEX accounts_auditevent_actor_id_179eee89 ON public.accounts_auditevent USING btree (actor_id);
CREATE INDEX accounts_auditevent_at_9771b2fb ON public.accounts_auditevent USING btree (at);
CREATE INDEX accounts_group_code_efc7f2ad_like ON public.accounts_group USING btree (code varchar_pattern_ops);
CREATE INDEX accounts_groupmembership_group_id_929d496d ON public.accounts_groupmembership USING btree (group_id);
CREATE INDEX accounts_groupmembership_user_id_def52d36 ON public.accounts_groupmembership USING btree (user_id);
CREATE INDEX accounts_invitation_accepted_by_id_ba632539 ON public.accounts_invitation USING btree (accepted_by_id);
CREATE INDEX accounts_invitation_group_id_b5e9f0e5 ON public.accounts_invitation USING btree (group_id);
CREATE INDEX accounts_invitation_invited_by_id_94a21efc ON public.accounts_invitation USING btree (invited_by_id);
CREATE INDEX accounts_outboundmail_dedupe_key_2ef9985a_like ON public.accounts_outboundmail USING btree (dedupe_key varchar_pattern_ops);
CREATE INDEX accounts_outboundmail_kind_a06de290 ON public.accounts_outboundmail USING btree (kind);
CREATE INDEX accounts_outboundmail_kind_a06de290_like ON public.accounts_outboundmail USING btree (kind varchar_pattern_ops);
CREATE INDEX accounts_outboundmail_user_id_fb3f08a9 ON public.accounts_outboundmail USING btree (user_id);
CREATE INDEX accounts_user_billing_group_id_9006a7bb ON public.accounts_user USING btree (billing_group_id);
CREATE INDEX accounts_user_groups_group_id_bd11a704 ON public.accounts_user_groups USING btree (group_id);
CREATE INDEX accounts_user_groups_user_id_52b62117 ON public.accounts_user_groups USING btree (user_id);
CREATE INDEX accounts_user_user_permissions_permission_id_113bb443 ON public.accounts_user_user_permissions USING btree (permission_id);
CREATE INDEX accounts_user_user_permissions_user_id_e4f0a161 ON public.accounts_user_user_permissions USING btree (user_id);
CREATE INDEX accounts_user_username_6088629e_like ON public.accounts_user USING btree (username varchar_pattern_ops);
CREATE INDEX alert_event_kind ON public.billing_alertevent USING btree (kind, fired_at DESC);
CREATE INDEX audit_object ON public.accounts_auditevent USING btree (object_type, object_id, at DESC);
CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);
CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);
CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);
CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);
CREATE INDEX billing_adjustmentrequest_batch_id_f5e5cd4b ON public.billing_adjustmentrequest USING btree (batch_id);
CREATE INDEX billing_adjustmentrequest_decided_by_id_089fedb4 ON public.billing_adjustmentrequest USING btree (decided_by_id);
CREATE INDEX billing_adjustmentrequest_entry_id_c9132022 ON public.billing_adjustmentrequest USING btree (entry_id);
CREATE INDEX billing_adjustmentrequest_override_id_56a49ebd ON public.billing_adjustmentrequest USING btree (override_id);
CREATE INDEX billing_adjustmentrequest_purse_id_0a2b773c ON public.billing_adjustmentrequest USING btree (purse_id);
CREATE INDEX billing_adjustmentrequest_requested_by_id_e12cb216 ON public.billing_adjustmentrequest USING btree (requested_by_id);
CREATE INDEX billing_alertchoice_user_id_6da33a64 ON public.billing_alertchoice USING btree (user_id);
CREATE INDEX billing_alertevent_fired_at_5503a3c1 ON public.billing_alertevent USING btree (fired_at);
CREATE INDEX billing_alertevent_rule_id_8c140100 ON public.billing_alertevent USING btree (rule_id);
CREATE INDEX billing_alertrule_group_id_d26ab9c9 ON public.billing_alertrule USING btree (group_id);
CREATE INDEX billing_alertrule_key_id_0ded0cca ON public.billing_alertrule USING btree (key_id);
CREATE INDEX billing_alertrule_user_id_130a8a36 ON public.billing_alertrule USING btree (user_id);
CREATE INDEX billing_alertstate_rule_id_0c060d89 ON public.billing_alertstate USING btree (rule_id);
CREATE INDEX billing_breakglass_reviewed_by_id_167decd5 ON public.billing_breakglass USING btree (reviewed_by_id);
CREATE INDEX billing_breakglass_user_id_7788e2a2 ON public.billing_breakglass USING btree (user_id);
CREATE INDEX billing_callrefund_actor_id_f38255c2 ON public.billing_callrefund USING btree (actor_id);
CREATE INDEX billing_codebatch_created_by_id_1e22bc20 ON public.billing_codebatch USING btree (created_by_id);
CREATE INDEX billing_codebatch_exported_by_id_78bdc8f0 ON public.billing_codebatch USING btree (exported_by_id);
CREATE INDEX billing_codebatch_name_51ec149d_like ON public.billing_codebatch USING btree (name varchar_pattern_ops);
CREATE INDEX billing_currencyconversion_actor_id_68334746 ON public.billing_currencyconversion USING btree (actor_id);
CREATE INDEX billing_currencyconversion_group_id_f3f130b2 ON public.billing_currencyconversion USING btree (group_id);
CREATE INDEX billing_currencyconversion_user_id_40fed323 ON public.billing_currencyconversion USING btree (user_id);
CREATE INDEX billing_deskitem_closed_by_id_8e936e51 ON public.billing_deskitem USING btree (closed_by_id);
CREATE INDEX billing_deskitem_entry_id_dbb33499 ON public.billing_deskitem USING btree (entry_id);
CREATE INDEX billing_deskitem_group_id_5c137f22 ON public.billing_deskitem USING btree (group_id);
CREATE INDEX billing_deskitem_user_id_cc7bd076 ON public.billing_deskitem USING btree (user_id);
CREATE INDEX billing_difference_decided_by_id_6397c3e3 ON public.billing_difference USING btree (decided_by_id);
CREATE INDEX billing_difference_entry_id_2cf39846 ON public.billing_difference USING btree (entry_id);
CREATE INDEX billing_difference_first_run_id_1ccc74ea ON public.billing_difference USING btree (first_run_id);
CREATE INDEX billing_difference_last_run_id_737b6def ON public.billing_difference USING btree (last_run_id);
CREATE INDEX billing_exportjob_user_id_f29eb860 ON public.billing_exportjob USING btree (user_id);
CREATE INDEX billing_groupbook_book_id_d80a2968 ON public.billing_groupbook USING btree (book_id);
CREATE INDEX billing_groupmultiplier_version_id_bd9010b7 ON public.billing_groupmultiplier USING btree (version_id);
CREATE INDEX billing_hookattempt_delivery_id_736328c3 ON public.billing_hookattempt USING btree (delivery_id);
CREATE INDEX billing_hookdelivery_endpoint_id_a6dabd17 ON public.billing_hookdelivery USING btree (endpoint_id);
CREATE INDEX billing_hookdelivery_event_id_d4749654 ON public.billing_hookdelivery USING btree (event_id);
CREATE INDEX billing_hookdelivery_subject_id_20a8225c ON public.billing_hookdelivery USING btree (subject_id);
CREATE INDEX billing_hookendpoint_created_by_id_9ea41b06 ON public.billing_hookendpoint USING btree (created_by_id);
CREATE INDEX billing_hookendpoint_group_id_3f79443d ON public.billing_hookendpoint USING btree (group_id);
CREATE INDEX billing_hookendpoint_user_id_7578a5b3 ON public.billing_hookendpoint USING btree (user_id);
CREATE INDEX billing_incomingpayment_closed_by_id_65485dfa ON public.billing_incomingpayment USING btree (closed_by_id);
CREATE INDEX billing_incomingpayment_created_by_id_c43fc699 ON public.billing_incomingpayment USING btree (created_by_id);
CREATE INDEX billing_incomingpayment_group_id_6fa5e20e ON public.billing_incomingpayment USING btree (group_id);
CREATE INDEX billing_incomingpayment_payment_id_94af1e23 ON public.billing_incomingpayment USING btree (payment_id);
CREATE INDEX billing_incomingpayment_user_id_521e15fa ON public.billing_incomingpayment USING btree (user_id);
CREATE INDEX billing_lease_account_id_fa168b4f ON public.billing_lease USING btree (account_id);
CREATE INDEX billing_lease_group_id_140154a2 ON public.billing_lease USING btree (group_id);
CREATE INDEX billing_lease_user_id_6c8b4eca ON public.billing_lease USING btree (user_id);
CREATE INDEX billing_ledgeraccount_group_id_1b293376 ON public.billing_ledgeraccount USING btree (group_id);
CREATE INDEX billing_ledgeraccount_user_id_180398e6 ON public.billing_ledgeraccount USING btree (user_id);
CREATE UNIQUE INDEX billing_ledgerentry_reverses_id_key ON public.billing_ledgerentry USING btree (reverses_id) WHERE (reverses_id IS NOT NULL);
CREATE INDEX billing_ledgerseal_account_id_ed9416cd ON public.billing_ledgerseal USING btree (account_id);
CREATE INDEX billing_outcomerule_rules_id_f2b840af ON public.billing_outcomerule USING btree (rules_id);
CREATE INDEX billing_payment_entry_id_fbbad7a8 ON public.billing_payment USING btree (entry_id);
CREATE INDEX billing_payment_user_id_a21ad6ba ON public.billing_payment USING btree (user_id);
CREATE INDEX billing_paymentdispute_closing_entry_id_b92585ca ON public.billing_paymentdispute USING btree (closing_entry_id);
CREATE INDEX billing_paymentdispute_entry_id_5e1cd775 ON public.billing_paymentdispute USING btree (entry_id);
CREATE INDEX billing_paymentdispute_payment_id_63007071 ON public.billing_paymentdispute USING btree (payment_id);
CREATE INDEX billing_paymentdispute_provider_dispute_id_3a024335_like ON public.billing_paymentdispute USING btree (provider_dispute_id varchar_pattern_ops);
CREATE INDEX billing_paymentevent_payment_id_463d0f0d ON public.billing_paymentevent USING btree (payment_id);
CREATE INDEX billing_paymentrefund_asked_by_id_66b7d6e9 ON public.billing_paymentrefund USING btree (asked_by_id);
CREATE INDEX billing_paymentrefund_entry_id_facc691f ON public.billing_paymentrefund USING btree (entry_id);
CREATE INDEX billing_paymentrefund_incoming_id_e4465189 ON public.billing_paymentrefund USING btree (incoming_id);
CREATE INDEX billing_paymentrefund_payment_id_4f9a551e ON public.billing_paymentrefund USING btree (payment_id);
CREATE INDEX billing_pricebook_code_b5e98ea0_like ON public.billing_pricebook USING btree (code varchar_pattern_ops);
CREATE INDEX billing_pricerule_version_id_71a65613 ON public.billing_pricerule USING btree (version_id);
CREATE INDEX billing_priceversion_book_id_788b287b ON public.billing_priceversion USING btree (book_id);
CREATE INDEX billing_reconcilerun_started_by_id_903e90c5 ON public.billing_reconcilerun USING btree (started_by_id);
CREATE INDEX billing_redemptioncode_batch_id_41d4a995 ON public.billing_redemptioncode USING btree (batch_id);
CREATE INDEX billing_redemptioncode_used_by_id_3d6204c0 ON public.billing_redemptioncode USING btree (used_by_id);
CREATE INDEX billing_spendlimit_group_id_1bedead3 ON public.billing_spendlimit USING btree (group_id);
CREATE INDEX billing_spendlimit_key_id_f957ad49 ON public.billing_spendlimit USING btree (key_id);
CREATE INDEX billing_spendlimit_user_id_b87dfc73 ON public.billing_spendlimit USING btree (user_id);
CREATE INDEX billing_statement_group_id_9568661e ON public.billing_statement USING btree (group_id);
CREATE INDEX billing_statement_issued_by_id_8aaf1f2a ON public.billing_statement USING btree (issued_by_id);
CREATE INDEX billing_statement_user_id_54866139 ON public.billing_statement USING btree (user_id);
CREATE INDEX billing_statementfile_statement_id_b6133797 ON public.billing_statementfile USING btree (statement_id);
CREATE INDEX billing_statementpurse_account_id_28f7cac6 ON public.billing_statementpurse USING btree (account_id);
CREATE INDEX billing_statementpurse_statement_id_a88bb62a ON public.billing_statementpurse USING btree (statement_id);
CREATE INDEX billing_statementrun_started_by_id_ad5b0f41 ON public.billing_statementrun USING btree (started_by_id);
CREATE INDEX code_batch_state ON public.billing_redemptioncode USING btree (batch_id, state);
CREATE INDEX code_open_expiry ON public.billing_redemptioncode USING btree (expires_at) WHERE ((state)::text = ANY ((ARRAY['unused'::character varying, 'disabled'::character varying])::text[]));
CREATE INDEX desk_item_open ON public.billing_deskitem USING btree (kind, id DESC) WHERE ((state)::text = 'open'::text);
CREATE INDEX desk_item_request ON public.billing_deskitem USING btree (request_id);
CREATE UNIQUE INDEX difference_open_once ON public.billing_difference USING btree (check_code, thing) WHERE ((state)::text = 'open'::text);
CREATE INDEX django_admin_log_content_type_id_c4bce8eb ON public.django_admin_log USING btree (content_type_id);
CREATE INDEX django_admin_log_user_id_c564eba6 ON public.django_admin_log USING btree (user_id);
CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date);
CREATE INDEX django_session_session_key_c0390e0f_like ON public.django_session USING btree (session_key varchar_pattern_ops);
CREATE INDEX entry_actor ON public.billing_ledgerentry USING btree (actor_id, booked_at) WHERE (actor_id IS NOT NULL);
CREATE INDEX entry_from ON public.billing_ledgerentry USING btree (from_account_id, id DESC);
CREATE INDEX entry_from_no_call ON public.billing_ledgerentry USING btree (from_account_id, id DESC) WHERE ((kind)::text <> 'charge'::text);
CREATE UNIQUE INDEX entry_place_from ON public.billing_ledgerentry USING btree (from_account_id, from_seq) WHERE (from_seq IS NOT NULL);
CREATE UNIQUE INDEX entry_place_to ON public.billing_ledgerentry USING btree (to_account_id, to_seq) WHERE (to_seq IS NOT NULL);
CREATE INDEX entry_sighting_last ON public.gateway_entrysighting USING btree (entry_id, route, last_at DESC);
CREATE INDEX entry_to ON public.billing_ledgerentry USING btree (to_account_id, id DESC);
CREATE INDEX entry_to_no_call ON public.billing_ledgerentry USING btree (to_account_id, id DESC) WHERE ((kind)::text <> 'charge'::text);
CREATE INDEX export_open ON public.billing_exportjob USING btree (created_at) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[]));
CREATE UNIQUE INDEX fallback_once ON public.gateway_fallbackrule USING btree (from_model_id) WHERE ((state)::text = 'active'::text);
CREATE INDEX gateway_accesscheck_asked_by_id_a6a9930a ON public.gateway_accesscheck USING btree (asked_by_id);
CREATE INDEX gateway_accesscheck_key_id_65f25271 ON public.gateway_accesscheck USING btree (key_id);
CREATE INDEX gateway_dataplane_created_by_id_31ade2c3 ON public.gateway_dataplane USING btree (created_by_id);
CREATE INDEX gateway_dataplane_name_e32dcbb2_like ON public.gateway_dataplane USING btree (name varchar_pattern_ops);
CREATE INDEX gateway_dataplaneinstance_plane_id_57348310 ON public.gateway_dataplaneinstance USING btree (plane_id);
CREATE INDEX gateway_entrypoint_address_5abcdad1_like ON public.gateway_entrypoint USING btree (address varchar_pattern_ops);
CREATE INDEX gateway_entrypoint_host_17209a37 ON public.gateway_entrypoint USING btree (host);
CREATE INDEX gateway_entrypoint_host_17209a37_like ON public.gateway_entrypoint USING btree (host varchar_pattern_ops);
CREATE INDEX gateway_entrypoint_owner_id_f17ab381 ON public.gateway_entrypoint USING btree (owner_id);
CREATE INDEX gateway_entrysighting_entry_id_f01bbb01 ON public.gateway_entrysighting USING btree (entry_id);
CREATE INDEX gateway_entrysighting_key_id_4c43b242 ON public.gateway_entrysighting USING btree (key_id);
CREATE INDEX gateway_fallbackrule_approved_by_id_af929dd4 ON public.gateway_fallbackrule USING btree (approved_by_id);
CREATE INDEX gateway_fallbackrule_from_model_id_9e487779 ON public.gateway_fallbackrule USING btree (from_model_id);
CREATE INDEX gateway_fallbackrule_proposed_by_id_249ab2c5 ON public.gateway_fallbackrule USING btree (proposed_by_id);
CREATE INDEX gateway_fallbackrule_to_model_id_28fcbd63 ON public.gateway_fallbackrule USING btree (to_model_id);
CREATE INDEX gateway_keychange_changed_xid_aa58a719 ON public.gateway_keychange USING btree (changed_xid);
CREATE INDEX gateway_keyconfirmation_key_id_ed508ce8 ON public.gateway_keyconfirmation USING btree (key_id);
CREATE INDEX gateway_keyoldentry_old_entry_id_e3e007c7 ON public.gateway_keyoldentry USING btree (old_entry_id);
CREATE INDEX gateway_mediatask_decided_by_id_6b8cc3d0 ON public.gateway_mediatask USING btree (decided_by_id);
CREATE INDEX gateway_mediatask_key_id_547dae42 ON public.gateway_mediatask USING btree (key_id);
CREATE INDEX gateway_mediatask_team_id_f83a5b28 ON public.gateway_mediatask USING btree (team_id);
CREATE INDEX gateway_mediatask_upstream_id_ffa8c84c ON public.gateway_mediatask USING btree (upstream_id);
CREATE INDEX gateway_mediatask_user_id_fad34778 ON public.gateway_mediatask USING btree (user_id);
CREATE INDEX gateway_oldentry_name_0b083011_like ON public.gateway_oldentry USING btree (name varchar_pattern_ops);
CREATE INDEX gateway_planetally_plane_id_c3c43780 ON public.gateway_planetally USING btree (plane_id);
CREATE INDEX gateway_proofresult_run_id_48ba9872 ON public.gateway_proofresult USING btree (run_id);
CREATE INDEX gateway_proofrun_key_id_68a72f71 ON public.gateway_proofrun USING btree (key_id);
CREATE INDEX gateway_proofrun_started_by_id_62ded446 ON public.gateway_proofrun USING btree (started_by_id);
CREATE INDEX gateway_relayinstance_name_f64e4a64_like ON public.gateway_relayinstance USING btree (name varchar_pattern_ops);
CREATE INDEX gateway_tasktemplate_name_2d0f3a81 ON public.gateway_tasktemplate USING btree (name);
CREATE INDEX gateway_tasktemplate_name_2d0f3a81_like ON public.gateway_tasktemplate USING btree (name varchar_pattern_ops);
CREATE INDEX gateway_tasktemplate_team_id_4a92e431 ON public.gateway_tasktemplate USING btree (team_id);
CREATE INDEX gateway_tasktemplateversion_created_by_id_caa69e62 ON public.gateway_tasktemplateversion USING btree (created_by_id);
CREATE INDEX gateway_tasktemplateversion_template_id_0233e178 ON public.gateway_tasktemplateversion USING btree (template_id);
CREATE INDEX gateway_trialitem_trial_id_952b5901 ON public.gateway_trialitem USING btree (trial_id);
CREATE INDEX gateway_triallist_asked_by_id_d1e6c279 ON public.gateway_triallist USING btree (asked_by_id);
CREATE INDEX gateway_triallist_key_id_a3fbafb3 ON public.gateway_triallist USING btree (key_id);
CREATE INDEX gateway_upstreamhealth_upstream_id_ad6616c5 ON public.gateway_upstreamhealth USING btree (upstream_id);
CREATE INDEX hold_open_expiry ON public.billing_hold USING btree (expires_at) WHERE ((state)::text = 'open'::text);
CREATE INDEX hook_due ON public.billing_hookdelivery USING btree (next_attempt_at) WHERE ((state)::text = 'queued'::text);
CREATE INDEX import_issue_list ON public.migrations_center_importissue USING btree (run_id, kind, "table");
CREATE INDEX import_run_newest ON public.migrations_center_importrun USING btree (created_at DESC, id DESC);
CREATE INDEX imported_row_target ON public.migrations_center_importedrow USING btree (target_type, target_id);
CREATE INDEX incoming_newest ON public.billing_incomingpayment USING btree (received_at DESC, id DESC);
CREATE INDEX incoming_state ON public.billing_incomingpayment USING btree (state, received_at DESC, id DESC);
CREATE INDEX key_change_at ON public.gateway_keychange USING btree (changed_at);
CREATE INDEX key_spend_time ON public.billing_keyspend USING btree (window_at);
CREATE INDEX keys_accesspolicy_named_issuers_accesspolicy_id_3d3711a8 ON public.keys_accesspolicy_named_issuers USING btree (accesspolicy_id);
CREATE INDEX keys_accesspolicy_named_issuers_user_id_1ed805f3 ON public.keys_accesspolicy_named_issuers USING btree (user_id);
CREATE INDEX keys_apikey_group_id_798a063b ON public.keys_apikey USING btree (group_id);
CREATE INDEX keys_apikey_member_id_ab73c803 ON public.keys_apikey USING btree (member_id);
CREATE INDEX keys_apikey_owner_id_02191ab2 ON public.keys_apikey USING btree (owner_id);
CREATE INDEX keys_apikey_profile_id_244f5284 ON public.keys_apikey USING btree (profile_id);
CREATE INDEX keys_apikey_team_id_14a9a3a9 ON public.keys_apikey USING btree (team_id);
CREATE INDEX keys_calllimit_group_id_e9bab093 ON public.keys_calllimit USING btree (group_id);
CREATE INDEX keys_calllimit_key_id_c2cb058a ON public.keys_calllimit USING btree (key_id);
CREATE INDEX keys_calllimit_user_id_9ba13d10 ON public.keys_calllimit USING btree (user_id);
CREATE INDEX keys_keysecret_key_id_894a238a ON public.keys_keysecret USING btree (key_id);
CREATE INDEX keys_keysecret_tail_92532a41 ON public.keys_keysecret USING btree (tail);
CREATE INDEX keys_keysecret_tail_92532a41_like ON public.keys_keysecret USING btree (tail varchar_pattern_ops);
CREATE INDEX keys_quotareview_group_id_9823ca62 ON public.keys_quotareview USING btree (group_id);
CREATE INDEX keys_quotareview_reviewer_id_27e73be7 ON public.keys_quotareview USING btree (reviewer_id);
CREATE INDEX keys_useprofile_team_id_38f7a882 ON public.keys_useprofile USING btree (team_id);
CREATE INDEX late_log_waiting ON public.migrations_center_latelog USING btree (source_id, user_id) WHERE (spend_id IS NULL);
CREATE INDEX lease_open_expiry ON public.billing_lease USING btree (expires_at) WHERE ((state)::text = 'open'::text);
CREATE INDEX lease_open_source ON public.billing_lease USING btree (source) WHERE ((state)::text = 'open'::text);
CREATE INDEX mail_due ON public.accounts_outboundmail USING btree (next_attempt_at) WHERE ((state)::text = 'queued'::text);
CREATE INDEX mail_in_hand ON public.accounts_outboundmail USING btree (claimed_at) WHERE ((state)::text = ANY ((ARRAY['sending'::character varying, 'handed_over'::character varying])::text[]));
CREATE INDEX mail_newest ON public.accounts_outboundmail USING btree (created_at DESC, id DESC);
CREATE INDEX mfa_authenticator_user_id_0c3a50c0 ON public.mfa_authenticator USING btree (user_id);
CREATE INDEX migrations_center_importedrow_first_run_id_1d299292 ON public.migrations_center_importedrow USING btree (first_run_id);
CREATE INDEX migrations_center_importedrow_last_run_id_ad6a8fe3 ON public.migrations_center_importedrow USING btree (last_run_id);
CREATE INDEX migrations_center_importedrow_source_id_b40c9bf2 ON public.migrations_center_importedrow USING btree (source_id);
CREATE INDEX migrations_center_importissue_run_id_f0623c1e ON public.migrations_center_importissue USING btree (run_id);
CREATE INDEX migrations_center_importrun_source_id_b631d42f ON public.migrations_center_importrun USING btree (source_id);
CREATE INDEX migrations_center_importrun_started_by_id_aa5c3bf9 ON public.migrations_center_importrun USING btree (started_by_id);
CREATE INDEX migrations_center_keychoice_decided_by_id_a5e377a6 ON public.migrations_center_keychoice USING btree (decided_by_id);
CREATE INDEX migrations_center_latelog_source_id_9793e9e4 ON public.migrations_center_latelog USING btree (source_id);
CREATE INDEX migrations_center_latelog_spend_id_ce5fcdf7 ON public.migrations_center_latelog USING btree (spend_id);
CREATE INDEX migrations_center_latelog_user_id_0f21c7a6 ON public.migrations_center_latelog USING btree (user_id);
CREATE INDEX migrations_center_latespend_entry_id_1f37208a ON public.migrations_center_latespend USING btree (entry_id);
CREATE INDEX migrations_center_latespend_run_id_304292aa ON public.migrations_center_latespend USING btree (run_id);
CREATE INDEX migrations_center_latespend_source_id_5d74eee5 ON public.migrations_center_latespend USING btree (source_id);
CREATE INDEX migrations_center_latespend_user_id_4d6fdef0 ON public.migrations_center_latespend USING btree (user_id);
CREATE INDEX migrations_center_plan_created_by_id_32d940b0 ON public.migrations_center_plan USING btree (created_by_id);
CREATE INDEX migrations_center_plan_source_id_4e35f806 ON public.migrations_center_plan USING btree (source_id);
CREATE INDEX migrations_center_source_code_039f0646_like ON public.migrations_center_source USING btree (code varchar_pattern_ops);
CREATE INDEX migrations_center_source_fingerprint_6360126f_like ON public.migrations_center_source USING btree (fingerprint varchar_pattern_ops);
CREATE INDEX migrations_center_source_old_entry_id_4fbcf197 ON public.migrations_center_source USING btree (old_entry_id);
CREATE INDEX migrations_center_wave_created_by_id_3c1921fb ON public.migrations_center_wave USING btree (created_by_id);
CREATE INDEX migrations_center_wave_plan_id_05a7302e ON public.migrations_center_wave USING btree (plan_id);
CREATE INDEX migrations_center_waveevent_actor_id_f048bf73 ON public.migrations_center_waveevent USING btree (actor_id);
CREATE INDEX migrations_center_waveevent_wave_id_7faeddeb ON public.migrations_center_waveevent USING btree (wave_id);
CREATE INDEX migrations_center_wavemember_user_id_90cc66e0 ON public.migrations_center_wavemember USING btree (user_id);
CREATE INDEX migrations_center_wavemember_wave_id_4b53d340 ON public.migrations_center_wavemember USING btree (wave_id);
CREATE INDEX migrations_center_wavenotice_member_id_7790edc9 ON public.migrations_center_wavenotice USING btree (member_id);
CREATE INDEX models_catalog_aimodel_name_e92d3e2b_like ON public.models_catalog_aimodel USING btree (name varchar_pattern_ops);
CREATE INDEX models_catalog_modelaccess_model_id_b259bbb3 ON public.models_catalog_modelaccess USING btree (model_id);
CREATE INDEX models_catalog_namemapentry_callable_model_id_fa5aaf12 ON public.models_catalog_namemapentry USING btree (callable_model_id);
CREATE INDEX models_catalog_namemapentry_from_version_id_fb5d4b66 ON public.models_catalog_namemapentry USING btree (from_version_id);
CREATE INDEX models_catalog_namemapentry_until_version_id_cc446685 ON public.models_catalog_namemapentry USING btree (until_version_id);
CREATE INDEX models_catalog_provider_code_5fb936b4_like ON public.models_catalog_provider USING btree (code varchar_pattern_ops);
CREATE INDEX models_catalog_upstream_provider_id_9c11b831 ON public.models_catalog_upstream USING btree (provider_id);
CREATE INDEX models_catalog_upstreammodel_model_id_d5ae57aa ON public.models_catalog_upstreammodel USING btree (model_id);
CREATE INDEX models_catalog_upstreammodel_upstream_id_438f152b ON public.models_catalog_upstreammodel USING btree (upstream_id);
CREATE UNIQUE INDEX name_map_current_once ON public.models_catalog_namemapentry USING btree (old_name) WHERE (until_version_id IS NULL);
CREATE UNIQUE INDEX override_one_unreviewed ON public.billing_breakglass USING btree (user_id) WHERE (reviewed_at IS NULL);
CREATE INDEX payment_event_open ON public.billing_paymentevent USING btree (id) WHERE ((state)::text = ANY ((ARRAY['stored'::character varying, 'waiting'::character varying])::text[]));
CREATE INDEX payment_newest ON public.billing_payment USING btree (created_at DESC, id DESC);
CREATE INDEX payment_of_person ON public.billing_payment USING btree (user_id, created_at DESC);
CREATE UNIQUE INDEX payment_provider_once ON public.billing_payment USING btree (provider, provider_payment_id) WHERE (NOT ((provider_payment_id)::text = ''::text));
CREATE INDEX payment_refund_newest ON public.billing_paymentrefund USING btree (created_at DESC, id DESC);
CREATE UNIQUE INDEX payment_session_once ON public.billing_payment USING btree (provider, session_id) WHERE (NOT ((session_id)::text = ''::text));
CREATE INDEX plane_event_attempts ON public.gateway_planeevent USING btree (request_id) WHERE (NOT is_final);
CREATE INDEX plane_event_received ON public.gateway_planeevent USING btree (received_at);
CREATE UNIQUE INDEX price_book_one_default ON public.billing_pricebook USING btree (is_default) WHERE is_default;
CREATE UNIQUE INDEX refund_provider_once ON public.billing_paymentrefund USING btree (provider_refund_id) WHERE (NOT ((provider_refund_id)::text = ''::text));
CREATE INDEX request_log_failed ON ONLY public.billing_requestlog USING btree (started_at DESC, id DESC) WHERE ((outcome)::text <> 'ok'::text);
CREATE INDEX request_log_group ON ONLY public.billing_requestlog USING btree (group_code, started_at DESC);
CREATE INDEX request_log_key ON ONLY public.billing_requestlog USING btree (key_id, started_at DESC, id DESC);
CREATE INDEX request_log_key_failed ON ONLY public.billing_requestlog USING btree (key_id, started_at DESC, id DESC) WHERE ((outcome)::text <> 'ok'::text);
CREATE INDEX request_log_model ON ONLY public.billing_requestlog USING btree (asked_model, started_at DESC);
CREATE INDEX request_log_newest ON ONLY public.billing_requestlog USING btree (started_at DESC, id DESC);
CREATE INDEX request_log_outcome ON ONLY public.billing_requestlog USING btree (outcome, started_at DESC, id DESC) WHERE ((outcome)::text <> 'ok'::text);
CREATE INDEX request_log_status ON ONLY public.billing_requestlog USING btree (http_status, started_at DESC, id DESC) WHERE (http_status <> 200);
CREATE INDEX request_log_tail ON ONLY public.billing_requestlog USING btree (key_tail, started_at DESC);
CREATE INDEX request_log_user ON ONLY public.billing_requestlog USING btree (user_id, started_at DESC, id DESC);
CREATE INDEX request_log_user_failed ON ONLY public.billing_requestlog USING btree (user_id, started_at DESC, id DESC) WHERE ((outcome)::text <> 'ok'::text);
CREATE INDEX request_open ON public.billing_adjustmentrequest USING btree (id DESC) WHERE ((state)::text = 'open'::text);
CREATE INDEX socialaccount_socialaccount_user_id_8146e70c ON public.socialaccount_socialaccount USING btree (user_id);
CREATE INDEX socialaccount_socialtoken_account_id_951f210e ON public.socialaccount_socialtoken USING btree (account_id);
CREATE INDEX socialaccount_socialtoken_app_id_636a42d7 ON public.socialaccount_socialtoken USING btree (app_id);
CREATE INDEX statement_month ON public.billing_statement USING btree (month_on, id);
CREATE INDEX statement_purse_latest ON public.billing_statementpurse USING btree (account_id, id DESC);
CREATE INDEX task_by_state ON public.gateway_mediatask USING btree (state, id DESC);
CREATE INDEX task_due ON public.gateway_mediatask USING btree (next_check_at) WHERE (next_check_at IS NOT NULL);
CREATE INDEX task_of_key ON public.gateway_mediatask USING btree (key_id, id DESC);
CREATE INDEX task_of_person ON public.gateway_mediatask USING btree (user_id, id DESC);
CREATE INDEX task_of_team ON public.gateway_mediatask USING btree (team_id, id DESC);
CREATE UNIQUE INDEX unique_authenticator_type ON public.mfa_authenticator USING btree (user_id, type) WHERE ((type)::text = ANY ((ARRAY['totp'::character varying, 'recovery_codes'::character varying])::text[]));
CREATE UNIQUE INDEX unique_primary_email ON public.account_emailaddress USING btree (user_id, "primary") WHERE "primary";
CREATE UNIQUE INDEX unique_verified_email ON public.account_emailaddress USING btree (email) WHERE verified;
CREATE INDEX usage_cube_day_key ON public.billing_usagecube USING btree (day_on, key_id);
CREATE UNIQUE INDEX user_email_once ON public.accounts_user USING btree (lower((email)::text)) WHERE (NOT ((email)::text = ''::text));
CREATE INDEX usersessions_usersession_session_key_fd35de43_like ON public.usersessions_usersession USING btree (session_key varchar_pattern_ops);
CREATE INDEX usersessions_usersession_user_id_af5e0a6d ON public.usersessions_usersession USING btree (user_id);
CREATE UNIQUE INDEX wave_member_in_one_live_wave ON public.migrations_center_wavemember USING btree (user_id) WHERE (NOT ((state)::text = 'back'::text));
CREATE TRIGGER account_currency_frozen BEFORE UPDATE OF currency ON public.billing_ledgeraccount FOR EACH ROW EXECUTE FUNCTION public.billing_guard_currency();
CREATE TRIGGER account_facts BEFORE INSERT OR UPDATE OF kind, is_purse, user_id, group_id, currency, is_spendable ON public.billing_ledgeraccount FOR EACH ROW EXECUTE FUNCTION public.billing_guard_account();
CREATE TRIGGER account_stays BEFORE DELETE OR UPDATE OF id ON public.billing_ledgeraccount FOR EACH ROW EXECUTE FUNCTION public.billing_keep_account();
CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE ON public.accounts_auditevent FOR EACH ROW EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON public.accounts_auditevent FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER entry_append_only BEFORE DELETE OR UPDATE ON public.billing_ledgerentry FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER entry_not_truncated BEFORE TRUNCATE ON public.billing_ledgerentry FOR EACH STATEMENT EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.accounts_group FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OF is_active, state, billing_group_id OR TRUNCATE ON public.accounts_user FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_groupbook FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_groupfence FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_groupmultiplier FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_modeltier FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_outcomerule FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_outcomeruleset FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_pricebook FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_pricerule FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_pricetier FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.billing_priceversion FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.gateway_errorprofile FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.gateway_fallbackrule FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.gateway_keyoldentry FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.gateway_oldentry FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.keys_accesspolicy FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OF name, owner_id, team_id, state, route, model_names, networks, group_id, auto_group_codes, ignores_channel_pin, expires_at OR TRUNCATE ON public.keys_apikey FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.keys_calllimit FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.keys_keysecret FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.keys_teampolicy FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.keys_useprofile FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_aimodel FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_modelaccess FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_namemapentry FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_namemapversion FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_provider FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_upstream FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.models_catalog_upstreammodel FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config_member AFTER UPDATE OF member_id ON public.keys_apikey FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config_profile AFTER UPDATE OF profile_id ON public.keys_apikey FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_config_purpose AFTER UPDATE OF purpose ON public.keys_apikey FOR EACH STATEMENT EXECUTE FUNCTION public.gateway_config_changed();
CREATE TRIGGER gateway_key_added AFTER INSERT OR DELETE ON public.keys_apikey FOR EACH ROW EXECUTE FUNCTION public.gateway_key_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON public.accounts_group FOR EACH ROW WHEN (((((old.code)::text IS DISTINCT FROM (new.code)::text) OR (old.is_active IS DISTINCT FROM new.is_active)) OR (old.usable_codes IS DISTINCT FROM new.usable_codes))) EXECUTE FUNCTION public.gateway_group_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON public.accounts_user FOR EACH ROW WHEN ((((old.is_active IS DISTINCT FROM new.is_active) OR ((old.state)::text IS DISTINCT FROM (new.state)::text)) OR (old.billing_group_id IS DISTINCT FROM new.billing_group_id))) EXECUTE FUNCTION public.gateway_person_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON public.keys_apikey FOR EACH ROW WHEN (((((((((((((((old.name)::text IS DISTINCT FROM (new.name)::text) OR (old.owner_id IS DISTINCT FROM new.owner_id)) OR (old.team_id IS DISTINCT FROM new.team_id)) OR (old.member_id IS DISTINCT FROM new.member_id)) OR ((old.state)::text IS DISTINCT FROM (new.state)::text)) OR ((old.route)::text IS DISTINCT FROM (new.route)::text)) OR (old.model_names IS DISTINCT FROM new.model_names)) OR (old.networks IS DISTINCT FROM new.networks)) OR (old.group_id IS DISTINCT FROM new.group_id)) OR (old.auto_group_codes IS DISTINCT FROM new.auto_group_codes)) OR (old.ignores_channel_pin IS DISTINCT FROM new.ignores_channel_pin)) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR ((old.purpose)::text IS DISTINCT FROM (new.purpose)::text))) EXECUTE FUNCTION public.gateway_key_changed();
CREATE TRIGGER gateway_key_changed AFTER INSERT OR DELETE OR UPDATE ON public.keys_calllimit FOR EACH ROW EXECUTE FUNCTION public.gateway_call_limit_changed();
CREATE TRIGGER gateway_key_changed AFTER INSERT OR DELETE OR UPDATE ON public.keys_keysecret FOR EACH ROW EXECUTE FUNCTION public.gateway_key_part_changed();
CREATE TRIGGER gateway_key_changed AFTER UPDATE ON public.keys_useprofile FOR EACH ROW EXECUTE FUNCTION public.gateway_use_profile_changed();
CREATE TRIGGER gateway_key_profile_changed AFTER UPDATE ON public.keys_apikey FOR EACH ROW WHEN ((old.profile_id IS DISTINCT FROM new.profile_id)) EXECUTE FUNCTION public.gateway_key_changed();
CREATE TRIGGER gateway_profile_limit_changed AFTER INSERT OR DELETE OR UPDATE ON public.keys_calllimit FOR EACH ROW EXECUTE FUNCTION public.gateway_profile_limit_changed();
CREATE TRIGGER gateway_task_logged AFTER INSERT ON public.billing_requestlog FOR EACH ROW WHEN ((((new.origin)::text = 'relay'::text) AND ((new.route)::text = 'new'::text) AND (((new.endpoint)::text ~~ '/v1/images/%'::text) OR ((new.endpoint)::text = '/v1/videos'::text)))) EXECUTE FUNCTION public.gateway_task_logged();
CREATE TRIGGER gateway_task_tell AFTER UPDATE OF state ON public.gateway_mediatask FOR EACH ROW WHEN (((((new.kind)::text = 'video'::text) OR ((new.callback_url)::text <> ''::text)) AND ((new.state)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[])) AND ((old.state)::text IS DISTINCT FROM (new.state)::text))) EXECUTE FUNCTION public.gateway_task_tell();
CREATE TRIGGER group_multiplier_frozen BEFORE INSERT OR DELETE OR UPDATE ON public.billing_groupmultiplier FOR EACH ROW EXECUTE FUNCTION public.billing_guard_version_part();
CREATE TRIGGER hold_closes_once BEFORE UPDATE OF state, settled_nano ON public.billing_hold FOR EACH ROW WHEN (((old.state)::text <> 'open'::text)) EXECUTE FUNCTION public.billing_guard_closed_hold();
CREATE TRIGGER hold_keeps_terms BEFORE UPDATE OF id, amount_nano, account_ids, part_amounts, user_id, group_id, key_id ON public.billing_hold FOR EACH ROW EXECUTE FUNCTION public.billing_guard_hold_terms();
CREATE TRIGGER hold_open_stays BEFORE DELETE ON public.billing_hold FOR EACH ROW WHEN (((old.state)::text = 'open'::text)) EXECUTE FUNCTION public.billing_refuse_open_hold();
CREATE TRIGGER lease_closes_once BEFORE DELETE OR UPDATE ON public.billing_lease FOR EACH ROW EXECUTE FUNCTION public.billing_guard_lease();
CREATE TRIGGER outcome_rule_append_only BEFORE DELETE OR UPDATE ON public.billing_outcomerule FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER outcome_rules_append_only BEFORE DELETE OR UPDATE ON public.billing_outcomeruleset FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER price_book_formula_frozen BEFORE UPDATE ON public.billing_pricebook FOR EACH ROW EXECUTE FUNCTION public.billing_guard_book();
CREATE TRIGGER price_rule_frozen BEFORE INSERT OR DELETE OR UPDATE ON public.billing_pricerule FOR EACH ROW EXECUTE FUNCTION public.billing_guard_version_part();
CREATE TRIGGER price_version_frozen BEFORE DELETE OR UPDATE ON public.billing_priceversion FOR EACH ROW WHEN ((old.published_at IS NOT NULL)) EXECUTE FUNCTION public.billing_guard_version();
CREATE TRIGGER purse_calls_leases_back AFTER INSERT OR UPDATE OF has_limits, is_spendable, credit_limit_nano, priority ON public.billing_ledgeraccount FOR EACH ROW WHEN (new.is_purse) EXECUTE FUNCTION public.billing_call_leases_back();
CREATE TRIGGER purse_knows_limits BEFORE INSERT ON public.billing_ledgeraccount FOR EACH ROW WHEN (new.is_purse) EXECUTE FUNCTION public.billing_new_purse();
CREATE TRIGGER seal_append_only BEFORE DELETE OR UPDATE ON public.billing_ledgerseal FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER seal_not_truncated BEFORE TRUNCATE ON public.billing_ledgerseal FOR EACH STATEMENT EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_append_only BEFORE DELETE OR UPDATE ON public.billing_statement FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_file_append_only BEFORE DELETE OR UPDATE ON public.billing_statementfile FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_file_not_truncated BEFORE TRUNCATE ON public.billing_statementfile FOR EACH STATEMENT EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_not_truncated BEFORE TRUNCATE ON public.billing_statement FOR EACH STATEMENT EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_opens_where_the_last_closed BEFORE INSERT ON public.billing_statement FOR EACH ROW EXECUTE FUNCTION public.billing_guard_statement();
CREATE TRIGGER statement_purse_append_only BEFORE DELETE OR UPDATE ON public.billing_statementpurse FOR EACH ROW EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_purse_not_truncated BEFORE TRUNCATE ON public.billing_statementpurse FOR EACH STATEMENT EXECUTE FUNCTION public.billing_refuse_change();
CREATE TRIGGER statement_purse_says_what_the_ledger_says BEFORE INSERT ON public.billing_statementpurse FOR EACH ROW EXECUTE FUNCTION public.billing_guard_statement_purse();
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_user_id_2c513194_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirm_email_address_id_5b7f8c58_fk_account_e FOREIGN KEY (email_address_id) REFERENCES public.account_emailaddress(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_auditevent
    ADD CONSTRAINT accounts_auditevent_actor_id_179eee89_fk_accounts_user_id FOREIGN KEY (actor_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_groupmembership
    ADD CONSTRAINT accounts_groupmembership_group_id_929d496d_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_groupmembership
    ADD CONSTRAINT accounts_groupmembership_user_id_def52d36_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_invitation
    ADD CONSTRAINT accounts_invitation_accepted_by_id_ba632539_fk_accounts_user_id FOREIGN KEY (accepted_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_invitation
    ADD CONSTRAINT accounts_invitation_group_id_b5e9f0e5_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_invitation
    ADD CONSTRAINT accounts_invitation_invited_by_id_94a21efc_fk_accounts_user_id FOREIGN KEY (invited_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_outboundmail
    ADD CONSTRAINT accounts_outboundmail_user_id_fb3f08a9_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_user
    ADD CONSTRAINT accounts_user_billing_group_id_9006a7bb_fk_accounts_group_id FOREIGN KEY (billing_group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_user_groups
    ADD CONSTRAINT accounts_user_groups_group_id_bd11a704_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_user_groups
    ADD CONSTRAINT accounts_user_groups_user_id_52b62117_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_user_user_permissions
    ADD CONSTRAINT accounts_user_user_p_permission_id_113bb443_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_user_user_permissions
    ADD CONSTRAINT accounts_user_user_p_user_id_e4f0a161_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_batch_id_f5e5cd4b_fk_billing_c FOREIGN KEY (batch_id) REFERENCES public.billing_codebatch(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_decided_by_id_089fedb4_fk_accounts_ FOREIGN KEY (decided_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_entry_id_c9132022_fk_billing_l FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_override_id_56a49ebd_fk_billing_b FOREIGN KEY (override_id) REFERENCES public.billing_breakglass(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_purse_id_0a2b773c_fk_billing_l FOREIGN KEY (purse_id) REFERENCES public.billing_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_adjustmentrequest
    ADD CONSTRAINT billing_adjustmentre_requested_by_id_e12cb216_fk_accounts_ FOREIGN KEY (requested_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertchoice
    ADD CONSTRAINT billing_alertchoice_user_id_6da33a64_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertevent
    ADD CONSTRAINT billing_alertevent_rule_id_8c140100_fk_billing_alertrule_id FOREIGN KEY (rule_id) REFERENCES public.billing_alertrule(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertrule
    ADD CONSTRAINT billing_alertrule_group_id_d26ab9c9_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertrule
    ADD CONSTRAINT billing_alertrule_key_id_0ded0cca_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertrule
    ADD CONSTRAINT billing_alertrule_user_id_130a8a36_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_alertstate
    ADD CONSTRAINT billing_alertstate_rule_id_0c060d89_fk_billing_alertrule_id FOREIGN KEY (rule_id) REFERENCES public.billing_alertrule(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_breakglass
    ADD CONSTRAINT billing_breakglass_reviewed_by_id_167decd5_fk_accounts_user_id FOREIGN KEY (reviewed_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_breakglass
    ADD CONSTRAINT billing_breakglass_user_id_7788e2a2_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_callrefund
    ADD CONSTRAINT billing_callrefund_actor_id_f38255c2_fk_accounts_user_id FOREIGN KEY (actor_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_codebatch
    ADD CONSTRAINT billing_codebatch_created_by_id_1e22bc20_fk_accounts_user_id FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_codebatch
    ADD CONSTRAINT billing_codebatch_exported_by_id_78bdc8f0_fk_accounts_user_id FOREIGN KEY (exported_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_codeguesses
    ADD CONSTRAINT billing_codeguesses_user_id_10421628_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_currencyconversion
    ADD CONSTRAINT billing_currencyconv_actor_id_68334746_fk_accounts_ FOREIGN KEY (actor_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_currencyconversion
    ADD CONSTRAINT billing_currencyconv_group_id_f3f130b2_fk_accounts_ FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_currencyconversion
    ADD CONSTRAINT billing_currencyconversion_user_id_40fed323_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT billing_deskitem_closed_by_id_8e936e51_fk_accounts_user_id FOREIGN KEY (closed_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT billing_deskitem_entry_id_dbb33499_fk_billing_ledgerentry_id FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT billing_deskitem_group_id_5c137f22_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_deskitem
    ADD CONSTRAINT billing_deskitem_user_id_cc7bd076_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_difference
    ADD CONSTRAINT billing_difference_decided_by_id_6397c3e3_fk_accounts_user_id FOREIGN KEY (decided_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_difference
    ADD CONSTRAINT billing_difference_entry_id_2cf39846_fk_billing_ledgerentry_id FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_difference
    ADD CONSTRAINT billing_difference_first_run_id_1ccc74ea_fk_billing_r FOREIGN KEY (first_run_id) REFERENCES public.billing_reconcilerun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_difference
    ADD CONSTRAINT billing_difference_last_run_id_737b6def_fk_billing_r FOREIGN KEY (last_run_id) REFERENCES public.billing_reconcilerun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_exportjob
    ADD CONSTRAINT billing_exportjob_user_id_f29eb860_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_exportpart
    ADD CONSTRAINT billing_exportpart_job_id_d2ebd8f3_fk_billing_exportjob_id FOREIGN KEY (job_id) REFERENCES public.billing_exportjob(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_groupbook
    ADD CONSTRAINT billing_groupbook_book_id_d80a2968_fk_billing_pricebook_id FOREIGN KEY (book_id) REFERENCES public.billing_pricebook(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_groupbook
    ADD CONSTRAINT billing_groupbook_group_id_9345801d_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_groupfence
    ADD CONSTRAINT billing_groupfence_group_id_da6ea39e_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_groupmultiplier
    ADD CONSTRAINT billing_groupmultipl_version_id_bd9010b7_fk_billing_p FOREIGN KEY (version_id) REFERENCES public.billing_priceversion(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookattempt
    ADD CONSTRAINT billing_hookattempt_delivery_id_736328c3_fk_billing_h FOREIGN KEY (delivery_id) REFERENCES public.billing_hookdelivery(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookdelivery
    ADD CONSTRAINT billing_hookdelivery_endpoint_id_a6dabd17_fk_billing_h FOREIGN KEY (endpoint_id) REFERENCES public.billing_hookendpoint(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookdelivery
    ADD CONSTRAINT billing_hookdelivery_event_id_d4749654_fk_billing_alertevent_id FOREIGN KEY (event_id) REFERENCES public.billing_alertevent(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookendpoint
    ADD CONSTRAINT billing_hookendpoint_created_by_id_9ea41b06_fk_accounts_user_id FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookendpoint
    ADD CONSTRAINT billing_hookendpoint_group_id_3f79443d_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_hookendpoint
    ADD CONSTRAINT billing_hookendpoint_user_id_7578a5b3_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpaym_closed_by_id_65485dfa_fk_accounts_ FOREIGN KEY (closed_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpaym_created_by_id_c43fc699_fk_accounts_ FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpaym_payment_id_94af1e23_fk_billing_p FOREIGN KEY (payment_id) REFERENCES public.billing_payment(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpayment_group_id_6fa5e20e_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_incomingpayment
    ADD CONSTRAINT billing_incomingpayment_user_id_521e15fa_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_lease
    ADD CONSTRAINT billing_lease_account_id_fa168b4f_fk_billing_ledgeraccount_id FOREIGN KEY (account_id) REFERENCES public.billing_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_lease
    ADD CONSTRAINT billing_lease_group_id_140154a2_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_lease
    ADD CONSTRAINT billing_lease_user_id_6c8b4eca_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgeraccount
    ADD CONSTRAINT billing_ledgeraccount_group_id_1b293376_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgeraccount
    ADD CONSTRAINT billing_ledgeraccount_user_id_180398e6_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgerentry
    ADD CONSTRAINT billing_ledgerentry_actor_id_53ca306a_fk_accounts_user_id FOREIGN KEY (actor_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgerentry
    ADD CONSTRAINT billing_ledgerentry_reverses_id_4b47b0b1_fk_billing_l FOREIGN KEY (reverses_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgerseal
    ADD CONSTRAINT billing_ledgerseal_account_id_ed9416cd_fk_billing_l FOREIGN KEY (account_id) REFERENCES public.billing_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_ledgersealhead
    ADD CONSTRAINT billing_ledgersealhe_account_id_50e0ba2a_fk_billing_l FOREIGN KEY (account_id) REFERENCES public.billing_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_modeltier
    ADD CONSTRAINT billing_modeltier_model_id_69e39229_fk_models_ca FOREIGN KEY (model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_outcomerule
    ADD CONSTRAINT billing_outcomerule_rules_id_f2b840af_fk_billing_o FOREIGN KEY (rules_id) REFERENCES public.billing_outcomeruleset(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_payment
    ADD CONSTRAINT billing_payment_entry_id_fbbad7a8_fk_billing_ledgerentry_id FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_payment
    ADD CONSTRAINT billing_payment_user_id_a21ad6ba_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentdispute
    ADD CONSTRAINT billing_paymentdispu_closing_entry_id_b92585ca_fk_billing_l FOREIGN KEY (closing_entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentdispute
    ADD CONSTRAINT billing_paymentdispu_entry_id_5e1cd775_fk_billing_l FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentdispute
    ADD CONSTRAINT billing_paymentdispu_payment_id_63007071_fk_billing_p FOREIGN KEY (payment_id) REFERENCES public.billing_payment(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentevent
    ADD CONSTRAINT billing_paymentevent_payment_id_463d0f0d_fk_billing_payment_id FOREIGN KEY (payment_id) REFERENCES public.billing_payment(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentrefund
    ADD CONSTRAINT billing_paymentrefun_entry_id_facc691f_fk_billing_l FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentrefund
    ADD CONSTRAINT billing_paymentrefun_incoming_id_e4465189_fk_billing_i FOREIGN KEY (incoming_id) REFERENCES public.billing_incomingpayment(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentrefund
    ADD CONSTRAINT billing_paymentrefund_asked_by_id_66b7d6e9_fk_accounts_user_id FOREIGN KEY (asked_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_paymentrefund
    ADD CONSTRAINT billing_paymentrefund_payment_id_4f9a551e_fk_billing_payment_id FOREIGN KEY (payment_id) REFERENCES public.billing_payment(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_pricerule
    ADD CONSTRAINT billing_pricerule_version_id_71a65613_fk_billing_p FOREIGN KEY (version_id) REFERENCES public.billing_priceversion(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_priceversion
    ADD CONSTRAINT billing_priceversion_book_id_788b287b_fk_billing_pricebook_id FOREIGN KEY (book_id) REFERENCES public.billing_pricebook(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_reconcilerun
    ADD CONSTRAINT billing_reconcilerun_started_by_id_903e90c5_fk_accounts_user_id FOREIGN KEY (started_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_redemptioncode
    ADD CONSTRAINT billing_redemptionco_batch_id_41d4a995_fk_billing_c FOREIGN KEY (batch_id) REFERENCES public.billing_codebatch(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_redemptioncode
    ADD CONSTRAINT billing_redemptioncode_used_by_id_3d6204c0_fk_accounts_user_id FOREIGN KEY (used_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_spendlimit
    ADD CONSTRAINT billing_spendlimit_group_id_1bedead3_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_spendlimit
    ADD CONSTRAINT billing_spendlimit_key_id_f957ad49_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_spendlimit
    ADD CONSTRAINT billing_spendlimit_user_id_b87dfc73_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_spendwindow
    ADD CONSTRAINT billing_spendwindow_limit_id_e91b465d_fk_billing_spendlimit_id FOREIGN KEY (limit_id) REFERENCES public.billing_spendlimit(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_group_id_9568661e_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_issued_by_id_8aaf1f2a_fk_accounts_user_id FOREIGN KEY (issued_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_previous_id_ef396e32_fk_billing_statement_id FOREIGN KEY (previous_id) REFERENCES public.billing_statement(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statement
    ADD CONSTRAINT billing_statement_user_id_54866139_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statementfile
    ADD CONSTRAINT billing_statementfil_statement_id_b6133797_fk_billing_s FOREIGN KEY (statement_id) REFERENCES public.billing_statement(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statementpurse
    ADD CONSTRAINT billing_statementpur_account_id_28f7cac6_fk_billing_l FOREIGN KEY (account_id) REFERENCES public.billing_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statementpurse
    ADD CONSTRAINT billing_statementpur_statement_id_a88bb62a_fk_billing_s FOREIGN KEY (statement_id) REFERENCES public.billing_statement(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.billing_statementrun
    ADD CONSTRAINT billing_statementrun_started_by_id_ad5b0f41_fk_accounts_user_id FOREIGN KEY (started_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_c4bce8eb_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_c564eba6_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_accesscheck
    ADD CONSTRAINT gateway_accesscheck_asked_by_id_a6a9930a_fk_accounts_user_id FOREIGN KEY (asked_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_accesscheck
    ADD CONSTRAINT gateway_accesscheck_key_id_65f25271_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_dataplane
    ADD CONSTRAINT gateway_dataplane_created_by_id_31ade2c3_fk_accounts_user_id FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_dataplaneinstance
    ADD CONSTRAINT gateway_dataplaneins_plane_id_57348310_fk_gateway_d FOREIGN KEY (plane_id) REFERENCES public.gateway_dataplane(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_entrypoint
    ADD CONSTRAINT gateway_entrypoint_owner_id_f17ab381_fk_accounts_user_id FOREIGN KEY (owner_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_entrysighting
    ADD CONSTRAINT gateway_entrysightin_entry_id_f01bbb01_fk_gateway_e FOREIGN KEY (entry_id) REFERENCES public.gateway_entrypoint(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_entrysighting
    ADD CONSTRAINT gateway_entrysighting_key_id_4c43b242_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT gateway_errorprofile_group_id_0e1643f7_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_errorprofile
    ADD CONSTRAINT gateway_errorprofile_key_id_536cc48a_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_fallbackrule
    ADD CONSTRAINT gateway_fallbackrule_approved_by_id_af929dd4_fk_accounts_ FOREIGN KEY (approved_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_fallbackrule
    ADD CONSTRAINT gateway_fallbackrule_from_model_id_9e487779_fk_models_ca FOREIGN KEY (from_model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_fallbackrule
    ADD CONSTRAINT gateway_fallbackrule_proposed_by_id_249ab2c5_fk_accounts_ FOREIGN KEY (proposed_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_fallbackrule
    ADD CONSTRAINT gateway_fallbackrule_to_model_id_28fcbd63_fk_models_ca FOREIGN KEY (to_model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_keyconfirmation
    ADD CONSTRAINT gateway_keyconfirmation_key_id_ed508ce8_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_keyoldentry
    ADD CONSTRAINT gateway_keyoldentry_key_id_525152db_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_keyoldentry
    ADD CONSTRAINT gateway_keyoldentry_old_entry_id_e3e007c7_fk_gateway_o FOREIGN KEY (old_entry_id) REFERENCES public.gateway_oldentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_keywatch
    ADD CONSTRAINT gateway_keywatch_key_id_b33ce7b3_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_mediatask
    ADD CONSTRAINT gateway_mediatask_decided_by_id_6b8cc3d0_fk_accounts_user_id FOREIGN KEY (decided_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_planeevent
    ADD CONSTRAINT gateway_planeevent_plane_id_98393765_fk_gateway_dataplane_id FOREIGN KEY (plane_id) REFERENCES public.gateway_dataplane(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_planetally
    ADD CONSTRAINT gateway_planetally_plane_id_c3c43780_fk_gateway_dataplane_id FOREIGN KEY (plane_id) REFERENCES public.gateway_dataplane(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_proofresult
    ADD CONSTRAINT gateway_proofresult_run_id_48ba9872_fk_gateway_proofrun_id FOREIGN KEY (run_id) REFERENCES public.gateway_proofrun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_proofrun
    ADD CONSTRAINT gateway_proofrun_key_id_68a72f71_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_proofrun
    ADD CONSTRAINT gateway_proofrun_started_by_id_62ded446_fk_accounts_user_id FOREIGN KEY (started_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_tasktemplateversion
    ADD CONSTRAINT gateway_tasktemplate_created_by_id_caa69e62_fk_accounts_ FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_tasktemplate
    ADD CONSTRAINT gateway_tasktemplate_team_id_4a92e431_fk_accounts_group_id FOREIGN KEY (team_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_tasktemplateversion
    ADD CONSTRAINT gateway_tasktemplate_template_id_0233e178_fk_gateway_t FOREIGN KEY (template_id) REFERENCES public.gateway_tasktemplate(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_trialitem
    ADD CONSTRAINT gateway_trialitem_trial_id_952b5901_fk_gateway_t FOREIGN KEY (trial_id) REFERENCES public.gateway_triallist(team_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_triallist
    ADD CONSTRAINT gateway_triallist_asked_by_id_d1e6c279_fk_accounts_user_id FOREIGN KEY (asked_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_triallist
    ADD CONSTRAINT gateway_triallist_key_id_a3fbafb3_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.gateway_triallist
    ADD CONSTRAINT gateway_triallist_team_id_f9ae5be6_fk_accounts_group_id FOREIGN KEY (team_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_accesspolicy_named_issuers
    ADD CONSTRAINT keys_accesspolicy_na_accesspolicy_id_3d3711a8_fk_keys_acce FOREIGN KEY (accesspolicy_id) REFERENCES public.keys_accesspolicy(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_accesspolicy_named_issuers
    ADD CONSTRAINT keys_accesspolicy_na_user_id_1ed805f3_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_group_id_798a063b_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_member_id_ab73c803_fk_accounts_user_id FOREIGN KEY (member_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_owner_id_02191ab2_fk_accounts_user_id FOREIGN KEY (owner_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_profile_id_244f5284_fk_keys_useprofile_id FOREIGN KEY (profile_id) REFERENCES public.keys_useprofile(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_apikey
    ADD CONSTRAINT keys_apikey_team_id_14a9a3a9_fk_accounts_group_id FOREIGN KEY (team_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_group_id_e9bab093_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_key_id_c2cb058a_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_profile_id_2284963e_fk_keys_useprofile_id FOREIGN KEY (profile_id) REFERENCES public.keys_useprofile(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_calllimit
    ADD CONSTRAINT keys_calllimit_user_id_9ba13d10_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_keysecret
    ADD CONSTRAINT keys_keysecret_key_id_894a238a_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_quotareview
    ADD CONSTRAINT keys_quotareview_group_id_9823ca62_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_quotareview
    ADD CONSTRAINT keys_quotareview_reviewer_id_27e73be7_fk_accounts_user_id FOREIGN KEY (reviewer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_teampolicy
    ADD CONSTRAINT keys_teampolicy_group_id_c231d395_fk_accounts_group_id FOREIGN KEY (group_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.keys_useprofile
    ADD CONSTRAINT keys_useprofile_team_id_38f7a882_fk_accounts_group_id FOREIGN KEY (team_id) REFERENCES public.accounts_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.mfa_authenticator
    ADD CONSTRAINT mfa_authenticator_user_id_0c3a50c0_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importedrow
    ADD CONSTRAINT migrations_center_im_first_run_id_1d299292_fk_migration FOREIGN KEY (first_run_id) REFERENCES public.migrations_center_importrun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importedrow
    ADD CONSTRAINT migrations_center_im_last_run_id_ad6a8fe3_fk_migration FOREIGN KEY (last_run_id) REFERENCES public.migrations_center_importrun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importissue
    ADD CONSTRAINT migrations_center_im_run_id_f0623c1e_fk_migration FOREIGN KEY (run_id) REFERENCES public.migrations_center_importrun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importedrow
    ADD CONSTRAINT migrations_center_im_source_id_b40c9bf2_fk_migration FOREIGN KEY (source_id) REFERENCES public.migrations_center_source(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importrun
    ADD CONSTRAINT migrations_center_im_source_id_b631d42f_fk_migration FOREIGN KEY (source_id) REFERENCES public.migrations_center_source(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_importrun
    ADD CONSTRAINT migrations_center_im_started_by_id_aa5c3bf9_fk_accounts_ FOREIGN KEY (started_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_keychoice
    ADD CONSTRAINT migrations_center_ke_decided_by_id_a5e377a6_fk_accounts_ FOREIGN KEY (decided_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_keychoice
    ADD CONSTRAINT migrations_center_keychoice_key_id_02c2de7c_fk_keys_apikey_id FOREIGN KEY (key_id) REFERENCES public.keys_apikey(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT migrations_center_la_entry_id_1f37208a_fk_billing_l FOREIGN KEY (entry_id) REFERENCES public.billing_ledgerentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT migrations_center_la_run_id_304292aa_fk_migration FOREIGN KEY (run_id) REFERENCES public.migrations_center_importrun(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT migrations_center_la_source_id_5d74eee5_fk_migration FOREIGN KEY (source_id) REFERENCES public.migrations_center_source(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latelog
    ADD CONSTRAINT migrations_center_la_source_id_9793e9e4_fk_migration FOREIGN KEY (source_id) REFERENCES public.migrations_center_source(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latelog
    ADD CONSTRAINT migrations_center_la_spend_id_ce5fcdf7_fk_migration FOREIGN KEY (spend_id) REFERENCES public.migrations_center_latespend(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latespend
    ADD CONSTRAINT migrations_center_la_user_id_4d6fdef0_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_latelog
    ADD CONSTRAINT migrations_center_latelog_user_id_0f21c7a6_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_plan
    ADD CONSTRAINT migrations_center_pl_created_by_id_32d940b0_fk_accounts_ FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_plan
    ADD CONSTRAINT migrations_center_pl_source_id_4e35f806_fk_migration FOREIGN KEY (source_id) REFERENCES public.migrations_center_source(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_source
    ADD CONSTRAINT migrations_center_so_old_entry_id_4fbcf197_fk_gateway_o FOREIGN KEY (old_entry_id) REFERENCES public.gateway_oldentry(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_waveevent
    ADD CONSTRAINT migrations_center_wa_actor_id_f048bf73_fk_accounts_ FOREIGN KEY (actor_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wave
    ADD CONSTRAINT migrations_center_wa_created_by_id_3c1921fb_fk_accounts_ FOREIGN KEY (created_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wavenotice
    ADD CONSTRAINT migrations_center_wa_mail_id_cf47228c_fk_accounts_ FOREIGN KEY (mail_id) REFERENCES public.accounts_outboundmail(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wavenotice
    ADD CONSTRAINT migrations_center_wa_member_id_7790edc9_fk_migration FOREIGN KEY (member_id) REFERENCES public.migrations_center_wavemember(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wave
    ADD CONSTRAINT migrations_center_wa_plan_id_05a7302e_fk_migration FOREIGN KEY (plan_id) REFERENCES public.migrations_center_plan(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wavemember
    ADD CONSTRAINT migrations_center_wa_user_id_90cc66e0_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_wavemember
    ADD CONSTRAINT migrations_center_wa_wave_id_4b53d340_fk_migration FOREIGN KEY (wave_id) REFERENCES public.migrations_center_wave(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.migrations_center_waveevent
    ADD CONSTRAINT migrations_center_wa_wave_id_7faeddeb_fk_migration FOREIGN KEY (wave_id) REFERENCES public.migrations_center_wave(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_modelaccess
    ADD CONSTRAINT models_catalog_model_model_id_b259bbb3_fk_models_ca FOREIGN KEY (model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_namemapentry
    ADD CONSTRAINT models_catalog_namem_callable_model_id_fa5aaf12_fk_models_ca FOREIGN KEY (callable_model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_namemapentry
    ADD CONSTRAINT models_catalog_namem_from_version_id_fb5d4b66_fk_models_ca FOREIGN KEY (from_version_id) REFERENCES public.models_catalog_namemapversion(number) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_namemapentry
    ADD CONSTRAINT models_catalog_namem_until_version_id_cc446685_fk_models_ca FOREIGN KEY (until_version_id) REFERENCES public.models_catalog_namemapversion(number) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_upstreammodel
    ADD CONSTRAINT models_catalog_upstr_model_id_d5ae57aa_fk_models_ca FOREIGN KEY (model_id) REFERENCES public.models_catalog_aimodel(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_upstream
    ADD CONSTRAINT models_catalog_upstr_provider_id_9c11b831_fk_models_ca FOREIGN KEY (provider_id) REFERENCES public.models_catalog_provider(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.models_catalog_upstreammodel
    ADD CONSTRAINT models_catalog_upstr_upstream_id_438f152b_fk_models_ca FOREIGN KEY (upstream_id) REFERENCES public.models_catalog_upstream(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.socialaccount_socialtoken
    ADD CONSTRAINT socialaccount_social_account_id_951f210e_fk_socialacc FOREIGN KEY (account_id) REFERENCES public.socialaccount_socialaccount(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.socialaccount_socialtoken
    ADD CONSTRAINT socialaccount_social_app_id_636a42d7_fk_socialacc FOREIGN KEY (app_id) REFERENCES public.socialaccount_socialapp(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.socialaccount_socialaccount
    ADD CONSTRAINT socialaccount_social_user_id_8146e70c_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_usersession_user_id_af5e0a6d_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;
