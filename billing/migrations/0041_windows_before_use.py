from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0040_refunds_newest")]
    operations = [
        run_sql_file("billing/sql/spend_limits.sql"),
        run_sql_file("billing/sql/ledger_reserve.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/plans.sql"),
    ]
