from django.db import migrations

from config.foundation.sqlfiles import run_sql_file

# What keys may spend in all becomes a spend limit; what they have spent without one is counted by day.
CARRY_OVER = """
INSERT INTO billing_spendlimit (scope, key_id, span, limit_nano, time_zone, counts_from, changed_at)
SELECT 'key', key_id, 'total', limit_nano, 'UTC', 'epoch', now() FROM billing_keybudget WHERE limit_nano IS NOT NULL;
INSERT INTO billing_spendwindow (limit_id, starts_at, spent_nano, held_nano)
SELECT l.id, 'epoch', b.spent_nano, b.held_nano FROM billing_spendlimit l JOIN billing_keybudget b USING (key_id);
INSERT INTO billing_usagekeydaily (day_on, key_id, origin, call_count, failed_count, input_tokens, cached_tokens, output_tokens,
    cost_nano)
SELECT day_on, key_id, origin, sum(c), sum(f), sum(i), sum(k), sum(o), sum(n) FROM (
    SELECT (started_at AT TIME ZONE 'UTC')::date AS day_on, coalesce(key_id, 0) AS key_id, origin, 1 AS c,
        (outcome <> 'ok')::int AS f, input_tokens AS i, cached_tokens AS k, output_tokens AS o, cost_nano AS n
    FROM billing_requestlog
    UNION ALL
    SELECT (hour_at AT TIME ZONE 'UTC')::date, key_id, origin, -call_count, -failed_count, -input_tokens, -cached_tokens,
        -output_tokens, -cost_nano
    FROM billing_usagedelta
) counted GROUP BY 1, 2, 3;
"""
MARK = "UPDATE billing_ledgeraccount SET has_limits = true WHERE is_purse AND billing_any_limit(user_id, group_id)"


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_spend_limits")]
    operations = [
        migrations.RunSQL(CARRY_OVER, migrations.RunSQL.noop),
        run_sql_file("billing/sql/spend_limits.sql"),
        run_sql_file("billing/sql/ledger_reserve.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/ledger_expire.sql"),
        run_sql_file("billing/sql/plans.sql"),
        migrations.RunSQL(MARK, migrations.RunSQL.noop),
    ]
