-- Request log rows carry images, seconds, characters and kinds of token; a row with every column filled, for events that
-- leave some out.
CREATE OR REPLACE FUNCTION billing_blank_log() RETURNS billing_requestlog LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(NULL::billing_requestlog, '{"duration_ms": 0, "key_name": "", "key_tail": "",
        "group_code": "", "endpoint": "", "is_stream": false, "route": "new", "asked_model": "", "billed_model": "",
        "served_model": "", "outcome": "ok", "http_status": 0, "error_code": "", "input_tokens": 0, "cached_tokens": 0,
        "cache_write_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "usage_source": "none", "held_nano": 0,
        "cost_nano": 0, "price_detail": {}, "attempts": [], "client_family": "", "client_network": "", "origin": "relay",
        "source_ref": "", "modality": "text", "audio_input_tokens": 0, "audio_output_tokens": 0, "image_count": 0,
        "media_ms": 0, "character_count": 0, "media_size": "", "media_quality": ""}')
$$;

-- The price of an image or of a second of video: the most exact name counts.
CREATE FUNCTION billing_unit_price(prices jsonb, VARIADIC names text[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT (prices ->> name)::numeric FROM unnest(names) WITH ORDINALITY n(name, place) WHERE prices ? name
    ORDER BY place LIMIT 1
$$;

-- numerator / denominator as a multiple of step. numeric division rounds, so the quotient is taken with div().
CREATE FUNCTION billing_rounded(numerator numeric, denominator numeric, rounding text, step bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT step * CASE rounding
        WHEN 'up' THEN q + (r > 0)::int
        WHEN 'half_up' THEN q + (2 * r >= denominator * step)::int
        ELSE q + (2 * r > denominator * step OR (2 * r = denominator * step AND mod(q, 2) = 1))::int END
    FROM (SELECT div(numerator, denominator * step) AS q, mod(numerator, denominator * step) AS r) x
$$;

-- The portal's formula (billing/pricing/portal.py) for one kept call: amounts in 1e-15 USD, one division at the end.
-- NULL where the rule has no price for what the call used.
CREATE FUNCTION billing_portal_cost(p billing_pricerule, multiplier numeric, l billing_requestlog) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
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
