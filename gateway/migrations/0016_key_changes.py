from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0015_data_planes"), ("keys", "0006_paused")]
    operations = [run_sql_file("gateway/sql/key_changes.sql")]
