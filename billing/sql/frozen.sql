-- A hold closes once, and what it set aside stays as it was written. An open one is not removed.
CREATE FUNCTION billing_guard_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state = 'open' THEN
            RAISE EXCEPTION 'an open hold cannot be removed' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.state <> 'open' AND (NEW.state <> OLD.state OR NEW.settled_nano IS DISTINCT FROM OLD.settled_nano) THEN
        RAISE EXCEPTION 'a hold closes once' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.amount_nano, NEW.account_ids, NEW.part_amounts) IS DISTINCT FROM
       (OLD.id, OLD.amount_nano, OLD.account_ids, OLD.part_amounts)
       OR (NEW.user_id, NEW.group_id, NEW.key_id) IS DISTINCT FROM (OLD.user_id, OLD.group_id, OLD.key_id) THEN
        RAISE EXCEPTION 'what a hold set aside cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_closes_once BEFORE UPDATE OR DELETE ON billing_hold
    FOR EACH ROW EXECUTE FUNCTION billing_guard_hold();

-- Prices that were published stay what they were: calls point at them.
CREATE FUNCTION billing_guard_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published price version cannot change' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER price_version_frozen BEFORE UPDATE OR DELETE ON billing_priceversion
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION billing_guard_version();

CREATE FUNCTION billing_guard_version_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM billing_priceversion v WHERE v.published_at IS NOT NULL
          AND (v.id = CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END OR v.id = CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END)
    ) THEN
        RAISE EXCEPTION 'a published price version cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER price_rule_frozen BEFORE INSERT OR UPDATE OR DELETE ON billing_pricerule
    FOR EACH ROW EXECUTE FUNCTION billing_guard_version_part();
CREATE TRIGGER group_multiplier_frozen BEFORE INSERT OR UPDATE OR DELETE ON billing_groupmultiplier
    FOR EACH ROW EXECUTE FUNCTION billing_guard_version_part();

CREATE FUNCTION billing_guard_book() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.formula, NEW.quota_per_unit) IS DISTINCT FROM (OLD.formula, OLD.quota_per_unit) AND EXISTS (
        SELECT 1 FROM billing_priceversion v WHERE v.book_id = OLD.id AND v.published_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the formula of a published price book cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER price_book_formula_frozen BEFORE UPDATE ON billing_pricebook
    FOR EACH ROW EXECUTE FUNCTION billing_guard_book();

-- Rows that change with every call: room on their page, so that a change stays on it and touches no index.
ALTER TABLE billing_ledgeraccount SET (fillfactor = 50);
ALTER TABLE billing_keybudget SET (fillfactor = 50);
ALTER TABLE billing_hold SET (fillfactor = 70);
