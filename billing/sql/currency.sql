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
