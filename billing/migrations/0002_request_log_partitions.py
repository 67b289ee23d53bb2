from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [run_sql_file("billing/sql/request_log.sql"), run_sql_file("billing/sql/append_only.sql")]
