-- Refuses what may not be posted; the rows of the accounts are locked. Run anew by each migration that changed it.
CREATE OR REPLACE FUNCTION billing_check_posting(posting jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source billing_ledgeraccount;
    target billing_ledgeraccount;
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
    SELECT * INTO target FROM billing_ledgeraccount a WHERE a.id = (posting ->> 'to_account_id')::bigint;
    IF source.id IS NULL OR target.id IS NULL THEN
        RAISE EXCEPTION 'an entry is between two accounts that are there' USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF target.currency <> source.currency THEN
        RAISE EXCEPTION 'an entry stays within one currency' USING ERRCODE = 'PB004';
    END IF;
    IF source.is_purse AND NOT coalesce((posting ->> 'allow_debt')::boolean, false)
       AND source.balance_nano - source.held_nano - amount < source.floor_nano THEN
        RAISE EXCEPTION 'account % has % nano-units free, % wanted', source.id,
            source.balance_nano - source.held_nano - source.floor_nano, amount USING ERRCODE = 'PB002';
    END IF;
END $$;
