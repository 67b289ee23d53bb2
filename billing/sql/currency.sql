-- One currency for each account; calls are charged in USD, so only purses in USD can be spent on them.

-- The account of the house for a kind, origin and currency; made like the one in USD when missing.
CREATE FUNCTION billing_house_account(wanted_kind text, wanted_origin text, wanted_currency text) RETURNS bigint
LANGUAGE plpgsql AS $$
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

-- What an account is does not change once it is there.
CREATE FUNCTION billing_guard_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.currency <> OLD.currency THEN
        RAISE EXCEPTION 'the currency of an account cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER account_currency_frozen BEFORE UPDATE OF currency ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_guard_currency();

-- Refuses what may not be posted; the rows of the accounts are locked.
CREATE OR REPLACE FUNCTION billing_check_posting(posting jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source billing_ledgeraccount;
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
    IF EXISTS (SELECT 1 FROM billing_ledgeraccount t WHERE t.id = (posting ->> 'to_account_id')::bigint
        AND t.currency <> source.currency) THEN
        RAISE EXCEPTION 'an entry stays within one currency' USING ERRCODE = 'PB004';
    END IF;
    IF source.is_purse AND NOT coalesce((posting ->> 'allow_debt')::boolean, false)
       AND source.balance_nano - source.held_nano - amount < source.floor_nano THEN
        RAISE EXCEPTION 'account % has % nano-units free, % wanted', source.id,
            source.balance_nano - source.held_nano - source.floor_nano, amount USING ERRCODE = 'PB002';
    END IF;
END $$;
