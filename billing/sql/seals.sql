-- Seals over the entries of purses, made after the fact in blocks: the calls themselves pay nothing for it.
--
-- The row lock of a purse makes its entries commit in the order of their numbers, so what is seen of a purse is always a
-- whole beginning of its history.

-- What of an entry may never change, as seals of version 1 keep it. Every field by name: a column added later must not change the
-- marks of old entries. Newer versions, and the sealing itself, are in seal_marks.sql.
CREATE FUNCTION billing_entry_mark(e billing_ledgerentry) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(ROW(e.id, e.transaction_id, e.kind, e.n, e.from_account_id, e.to_account_id, e.amount_nano,
        e.from_seq, e.from_balance_nano, e.to_seq, e.to_balance_nano, (extract(epoch FROM e.booked_at) * 1000000)::bigint,
        (extract(epoch FROM e.effective_at) * 1000000)::bigint, e.actor_id, e.reason, e.reverses_id)::text, 'UTF8'))
$$;

-- The digest before the first seal of a purse.
CREATE FUNCTION billing_seal_genesis(account bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to('purse ' || account, 'UTF8'))
$$;

-- Marks are random bytes: they do not shrink, and one of them is read without the others.
ALTER TABLE billing_ledgerseal ALTER COLUMN marks SET STORAGE EXTERNAL;
CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE ON billing_ledgerseal
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER seal_not_truncated BEFORE TRUNCATE ON billing_ledgerseal
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
