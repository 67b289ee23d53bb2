from django.db import migrations

from config.foundation.sqlfiles import ROOT, run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0005_outcome_rules_notify"), ("keys", "0005_policy"), ("billing", "0016_fences")]
    operations = [
        run_sql_file(
            "gateway/sql/notify_access_rules.sql",
            (ROOT / "gateway/sql/notify_access_rules_back.sql").read_text(encoding="utf-8"),
        ),
    ]
