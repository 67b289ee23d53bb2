from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0010_rules_and_health")]
    operations = [run_sql_file("gateway/sql/rules_notify.sql")]
