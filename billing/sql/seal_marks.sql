-- What a seal keeps of an entry, by the seal's version, and the sealing. A seal says its version, so old ones stay provable.
--
-- 1: every field but the reason why a purse was drawn. 2: that one too.

CREATE OR REPLACE FUNCTION billing_seal_version() RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 2::smallint $$;

CREATE OR REPLACE FUNCTION billing_entry_mark(e billing_ledgerentry, version smallint) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE version WHEN 1 THEN billing_entry_mark(e)
        ELSE sha256(billing_entry_mark(e) || convert_to(e.draw, 'UTF8')) END
$$;

-- Seals up to most_accounts purses, up to block_size entries each; gives how many entries were sealed. One worker at a time.
CREATE OR REPLACE FUNCTION billing_seal_entries(most_accounts int, block_size int) RETURNS bigint LANGUAGE plpgsql AS $$
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
            SELECT e.from_seq AS seq, billing_entry_mark(e, billing_seal_version()) AS mark FROM billing_ledgerentry e
            WHERE e.from_account_id = d.id AND e.from_seq > d.last_seq AND e.from_seq <= d.last_seq + block_size
            UNION ALL
            SELECT e.to_seq, billing_entry_mark(e, billing_seal_version()) FROM billing_ledgerentry e
            WHERE e.to_account_id = d.id AND e.to_seq > d.last_seq AND e.to_seq <= d.last_seq + block_size
        ) x
    ), blocks AS (
        -- Where a number is missing the block ends: what is not whole is not sealed, and ledger_check names it.
        SELECT l.account_id, l.sealed_to + 1 AS first_seq, max(l.seq) AS last_seq, l.before,
            string_agg(l.mark, ''::bytea ORDER BY l.seq) AS marks
        FROM lines l WHERE l.seq = l.due_seq GROUP BY l.account_id, l.sealed_to, l.before
    ), made AS (
        INSERT INTO billing_ledgerseal (account_id, first_seq, last_seq, marks, digest, sealed_at, version)
        SELECT b.account_id, b.first_seq, b.last_seq, b.marks, sha256(b.before || b.marks), clock_timestamp(), billing_seal_version()
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
