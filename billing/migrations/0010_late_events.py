from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_seals")]
    operations = [run_sql_file("billing/sql/late_events.sql")]
