-- What each call writes, made lean. PostgreSQL reads the text of a check and plans it anew for every statement that writes a
-- row, so a check on a row that every call changes is kept short, and what cannot change is looked at when it is set.

-- Which accounts there may be: looked at when one is made, or when one of these facts is written.
CREATE FUNCTION billing_guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER account_facts BEFORE INSERT OR UPDATE OF kind, is_purse, user_id, group_id, currency, is_spendable
    ON billing_ledgeraccount FOR EACH ROW EXECUTE FUNCTION billing_guard_account();

-- An account is there for good: entries name it without a foreign key.
CREATE FUNCTION billing_keep_account() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER account_stays BEFORE DELETE OR UPDATE OF id ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_keep_account();

-- A hold closes once, and what it set aside stays as it was written. An open one is not removed.
DROP TRIGGER hold_closes_once ON billing_hold;
DROP FUNCTION billing_guard_hold();
CREATE FUNCTION billing_guard_closed_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state OR NEW.settled_nano IS DISTINCT FROM OLD.settled_nano THEN
        RAISE EXCEPTION 'a hold closes once' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_closes_once BEFORE UPDATE OF state, settled_nano ON billing_hold
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION billing_guard_closed_hold();
CREATE FUNCTION billing_guard_hold_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.amount_nano, NEW.account_ids, NEW.part_amounts) IS DISTINCT FROM
       (OLD.id, OLD.amount_nano, OLD.account_ids, OLD.part_amounts)
       OR (NEW.user_id, NEW.group_id, NEW.key_id) IS DISTINCT FROM (OLD.user_id, OLD.group_id, OLD.key_id) THEN
        RAISE EXCEPTION 'what a hold set aside cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_keeps_terms BEFORE UPDATE OF id, amount_nano, account_ids, part_amounts, user_id, group_id, key_id
    ON billing_hold FOR EACH ROW EXECUTE FUNCTION billing_guard_hold_terms();
CREATE FUNCTION billing_refuse_open_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an open hold cannot be removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER hold_open_stays BEFORE DELETE ON billing_hold
    FOR EACH ROW WHEN (OLD.state = 'open') EXECUTE FUNCTION billing_refuse_open_hold();

-- Few entries have somebody behind them or reverse another: only those are in these indexes.
ALTER TABLE billing_ledgerentry DROP CONSTRAINT billing_ledgerentry_reverses_id_key;
CREATE UNIQUE INDEX billing_ledgerentry_reverses_id_key ON billing_ledgerentry (reverses_id) WHERE reverses_id IS NOT NULL;
