-- A sum of bigint that stays bigint and raises when that is too small: the built-in one counts in numeric, which takes several
-- times as long and as much memory for each group.
CREATE AGGREGATE billing_sum(bigint) (
    SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE
);
