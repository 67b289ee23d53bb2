from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_ledger_functions")]
    operations = [run_sql_file("billing/sql/frozen.sql")]
