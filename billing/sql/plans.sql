-- The same fast plan from the first call on. A plan is kept per connection: one made while the tables were still small would read
-- them whole for as long as the connection lives, and planning anew for each call costs more than running it.
ALTER FUNCTION billing_post_entries(jsonb)
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET jit = off;
ALTER FUNCTION billing_reserve(jsonb)
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET jit = off;
ALTER FUNCTION billing_record(jsonb)
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET jit = off;
ALTER FUNCTION billing_expire_holds(int, timestamptz)
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET jit = off;

-- Milliseconds are exact in a double. Not LANGUAGE sql: the check of the request log calls it, and a body in SQL would be read
-- and planned anew for each row that is written.
CREATE OR REPLACE FUNCTION uuid7_time(id uuid) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0::float8);
END $$;
