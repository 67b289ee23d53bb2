-- Under which name a call is counted. Names that nobody serves are the caller's own text, so they are not counted by name.
CREATE FUNCTION billing_usage_model(billed text, asked text, outcome text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN billed <> '' THEN billed WHEN outcome = 'ok' THEN asked ELSE '' END $$;

-- Which hour and day of UTC a call belongs to.
CREATE FUNCTION billing_usage_hour(moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT date_trunc('hour', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' $$;
