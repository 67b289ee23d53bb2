-- The request log as a table partitioned by month. Ids are UUIDv7 made by us; started_at is the time inside the id, so
-- (id, started_at) being unique makes the id unique, and a look-up by id knows its partition.
CREATE FUNCTION uuid7_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT timestamptz 'epoch' + (('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint) * interval '1 millisecond' $$;

ALTER TABLE billing_requestlog RENAME TO billing_requestlog_plain;
CREATE TABLE billing_requestlog (LIKE billing_requestlog_plain) PARTITION BY RANGE (started_at);
DROP TABLE billing_requestlog_plain;
ALTER TABLE billing_requestlog
    ADD CONSTRAINT request_log_id_once PRIMARY KEY (id, started_at),
    ADD CONSTRAINT request_log_time_is_in_id CHECK (started_at = uuid7_time(id)),
    ADD CONSTRAINT request_log_cost_not_negative CHECK (cost_nano >= 0);

CREATE INDEX request_log_newest ON billing_requestlog (started_at DESC, id DESC);
CREATE INDEX request_log_user ON billing_requestlog (user_id, started_at DESC, id DESC);
CREATE INDEX request_log_key ON billing_requestlog (key_id, started_at DESC, id DESC);
CREATE INDEX request_log_tail ON billing_requestlog (key_tail, started_at DESC);
CREATE INDEX request_log_model ON billing_requestlog (asked_model, started_at DESC);
CREATE INDEX request_log_group ON billing_requestlog (group_code, started_at DESC);
CREATE INDEX request_log_failed ON billing_requestlog (started_at DESC, id DESC) WHERE outcome <> 'ok';

-- Creates the month partitions that cover [first, last]; safe to run at any time, twice at once too.
CREATE FUNCTION billing_ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
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

SELECT billing_ensure_partitions((now() - interval '3 months')::date, (now() + interval '18 months')::date);
