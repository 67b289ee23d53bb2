from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0019_relay_spool")]
    operations = [run_sql_file("gateway/sql/task_tell.sql")]
