from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file

# What was given back before this: out of the roll-ups at the hour of its call, and out of the windows it counted in.
_ROLLUPS = """
INSERT INTO billing_usagedelta (hour_at, user_id, key_id, group_code, model_name, modality, origin, call_count, failed_count,
    input_tokens, cached_tokens, output_tokens, cost_nano)
SELECT billing_usage_hour(l.started_at), coalesce(l.user_id, 0), coalesce(l.key_id, 0), l.group_code,
    billing_usage_model(l.billed_model, l.asked_model, l.outcome), l.modality, l.origin, 0, 0, 0, 0, 0, -f.amount_nano
FROM billing_callrefund f JOIN billing_requestlog l ON l.id = f.request_id AND l.started_at = uuid7_time(f.request_id)
"""
_WINDOWS = """
UPDATE billing_spendwindow w SET spent_nano = t.spent
FROM billing_spendlimit l, billing_spendwindow x
CROSS JOIN LATERAL billing_window_truth(x.limit_id, x.starts_at, x.ends_at) t
WHERE l.id = w.limit_id AND x.id = w.id AND w.spent_nano <> t.spent AND EXISTS (SELECT 1 FROM billing_callrefund)
"""
KINDS = [
    ("adjustment", "adjustment"),
    ("credit_limit", "credit limit"),
    ("reversal", "reversal"),
    ("top_up", "large top-up"),
    ("code_batch", "batch of codes"),
    ("revalue", "new value of codes"),
    ("refund_debt", "refund beyond the balance"),
    ("assign", "large unmatched payment"),
    ("call_refund", "refund of a call"),
    ("conversion", "conversion of money"),
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0028_usage_keys_by_day")]
    operations = [
        migrations.AlterField(
            "adjustmentrequest", "kind", models.CharField(choices=KINDS, max_length=16, verbose_name="kind")
        ),
        run_sql_file("billing/sql/spend_limits.sql"),
        run_sql_file("billing/sql/refunds.sql"),
        migrations.RunSQL([_ROLLUPS, _WINDOWS], migrations.RunSQL.noop),
    ]
