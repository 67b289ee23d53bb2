from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_frozen_rows")]
    operations = [run_sql_file("billing/sql/plans.sql")]
