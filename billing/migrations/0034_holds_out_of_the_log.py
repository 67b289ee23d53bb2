from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0033_seals_cover_draws")]
    operations = [run_sql_file("billing/sql/ledger_expire.sql"), run_sql_file("billing/sql/plans.sql")]
