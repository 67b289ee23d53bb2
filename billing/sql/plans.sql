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

-- Only immutable parts, so that the planner can put the sum itself in the place of the call. Milliseconds are exact in a double.
CREATE OR REPLACE FUNCTION uuid7_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0::float8) $$;
