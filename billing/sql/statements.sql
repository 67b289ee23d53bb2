-- What was issued is history: neither changed nor removed, whoever asks.
CREATE TRIGGER statement_append_only BEFORE UPDATE OR DELETE ON billing_statement
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER statement_not_truncated BEFORE TRUNCATE ON billing_statement
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER statement_purse_append_only BEFORE UPDATE OR DELETE ON billing_statementpurse
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER statement_purse_not_truncated BEFORE TRUNCATE ON billing_statementpurse
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER statement_file_append_only BEFORE UPDATE OR DELETE ON billing_statementfile
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER statement_file_not_truncated BEFORE TRUNCATE ON billing_statementfile
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

-- A statement opens with what the one before closed with, and starts no earlier than that ended.
CREATE FUNCTION billing_guard_statement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before billing_statement;
BEGIN
    SELECT s.* INTO before FROM billing_statement s
    WHERE s.user_id IS NOT DISTINCT FROM NEW.user_id AND s.group_id IS NOT DISTINCT FROM NEW.group_id
      AND s.currency = NEW.currency ORDER BY s.month_on DESC LIMIT 1;
    IF before.id IS DISTINCT FROM NEW.previous_id THEN
        RAISE EXCEPTION 'a statement follows the newest one' USING ERRCODE = 'restrict_violation';
    END IF;
    IF before.id IS NOT NULL AND (NEW.opening_nano <> before.closing_nano OR NEW.month_on <= before.month_on
       OR NEW.starts_at < before.ends_at) THEN
        RAISE EXCEPTION 'a statement opens where the one before closed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statement_opens_where_the_last_closed BEFORE INSERT ON billing_statement
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement();

-- The same for each purse, and its figures are those the ledger wrote into the entries. Looked up by the entry's number:
-- an index by place would cost every call something.
CREATE FUNCTION billing_purse_balance_at(account bigint, place bigint, entry bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN place = 0 THEN 0 ELSE (
        SELECT CASE WHEN e.from_account_id = account AND e.from_seq = place THEN e.from_balance_nano
                    WHEN e.to_account_id = account AND e.to_seq = place THEN e.to_balance_nano END
        FROM billing_ledgerentry e WHERE e.id = entry) END
$$;
CREATE FUNCTION billing_guard_statement_purse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before billing_statementpurse;
BEGIN
    SELECT p.* INTO before FROM billing_statementpurse p WHERE p.account_id = NEW.account_id ORDER BY p.id DESC LIMIT 1;
    IF before.id IS NOT NULL AND (NEW.first_seq <> before.last_seq + 1 OR NEW.opening_nano <> before.closing_nano) THEN
        RAISE EXCEPTION 'a purse goes on where the statement before left it' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.opening_nano IS DISTINCT FROM billing_purse_balance_at(NEW.account_id, NEW.first_seq - 1,
        NEW.opening_entry_id)
       OR NEW.closing_nano IS DISTINCT FROM billing_purse_balance_at(NEW.account_id, NEW.last_seq, NEW.last_entry_id) THEN
        RAISE EXCEPTION 'a statement says what the ledger says' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statement_purse_says_what_the_ledger_says BEFORE INSERT ON billing_statementpurse
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement_purse();
