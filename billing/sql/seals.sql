-- Seals over the entries of purses, made after the fact in blocks: the calls themselves pay nothing for it.
--
-- The row lock of a purse makes its entries commit in the order of their numbers, so what is seen of a purse is always a
-- whole beginning of its history.

-- What of an entry may never change. Every field by name: a column added later must not change the marks of old entries.
CREATE FUNCTION billing_entry_mark(e billing_ledgerentry) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(ROW(e.id, e.transaction_id, e.kind, e.n, e.from_account_id, e.to_account_id, e.amount_nano,
        e.from_seq, e.from_balance_nano, e.to_seq, e.to_balance_nano, (extract(epoch FROM e.booked_at) * 1000000)::bigint,
        (extract(epoch FROM e.effective_at) * 1000000)::bigint, e.actor_id, e.reason, e.reverses_id)::text, 'UTF8'))
$$;

-- The digest before the first seal of a purse.
CREATE FUNCTION billing_seal_genesis(account bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to('purse ' || account, 'UTF8'))
$$;

-- Seals up to most_accounts purses, up to block_size entries each; gives how many entries were sealed. One worker at a time.
CREATE FUNCTION billing_seal_entries(most_accounts int, block_size int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    sealed bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('billing_seal_entries')) THEN
        RETURN 0;
    END IF;
    WITH due AS MATERIALIZED (
        SELECT a.id, coalesce(h.last_seq, 0) AS last_seq, coalesce(h.digest, billing_seal_genesis(a.id)) AS digest
        FROM billing_ledgeraccount a LEFT JOIN billing_ledgersealhead h ON h.account_id = a.id
        WHERE a.is_purse AND a.seq > coalesce(h.last_seq, 0) ORDER BY a.id LIMIT most_accounts
    ), lines AS (
        SELECT d.id AS account_id, d.last_seq AS sealed_to, d.digest AS before, x.seq, x.mark,
            d.last_seq + row_number() OVER (PARTITION BY d.id ORDER BY x.seq) AS due_seq
        FROM due d CROSS JOIN LATERAL (
            SELECT e.from_seq AS seq, billing_entry_mark(e) AS mark FROM billing_ledgerentry e
            WHERE e.from_account_id = d.id AND e.from_seq > d.last_seq AND e.from_seq <= d.last_seq + block_size
            UNION ALL
            SELECT e.to_seq, billing_entry_mark(e) FROM billing_ledgerentry e
            WHERE e.to_account_id = d.id AND e.to_seq > d.last_seq AND e.to_seq <= d.last_seq + block_size
        ) x
    ), blocks AS (
        -- Where a number is missing the block ends: what is not whole is not sealed, and ledger_check names it.
        SELECT l.account_id, l.sealed_to + 1 AS first_seq, max(l.seq) AS last_seq, l.before,
            string_agg(l.mark, ''::bytea ORDER BY l.seq) AS marks
        FROM lines l WHERE l.seq = l.due_seq GROUP BY l.account_id, l.sealed_to, l.before
    ), made AS (
        INSERT INTO billing_ledgerseal (account_id, first_seq, last_seq, marks, digest, sealed_at)
        SELECT b.account_id, b.first_seq, b.last_seq, b.marks, sha256(b.before || b.marks), clock_timestamp()
        FROM blocks b ORDER BY b.account_id
        RETURNING account_id, first_seq, last_seq, digest
    ), heads AS (
        INSERT INTO billing_ledgersealhead (account_id, last_seq, digest)
        SELECT m.account_id, m.last_seq, m.digest FROM made m
        ON CONFLICT (account_id) DO UPDATE SET last_seq = EXCLUDED.last_seq, digest = EXCLUDED.digest
    )
    SELECT coalesce(sum(m.last_seq - m.first_seq + 1), 0) INTO sealed FROM made m;
    RETURN sealed;
END $$;
ALTER FUNCTION billing_seal_entries(int, int) SET enable_seqscan = off SET jit = off;

-- Marks are random bytes: they do not shrink, and one of them is read without the others.
ALTER TABLE billing_ledgerseal ALTER COLUMN marks SET STORAGE EXTERNAL;
CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE ON billing_ledgerseal
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER seal_not_truncated BEFORE TRUNCATE ON billing_ledgerseal
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
