-- Which quarter of an hour a call belongs to: today the days of every zone begin on one.
CREATE OR REPLACE FUNCTION billing_usage_quarter(moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT date_bin('15 minutes', moment, timestamptz 'epoch') $$;
