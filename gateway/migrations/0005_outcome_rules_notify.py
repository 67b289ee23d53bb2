from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0004_notify_call_limits"), ("billing", "0011_outcome_rules")]
    operations = [run_sql_file("gateway/sql/outcome_rules_notify.sql")]
