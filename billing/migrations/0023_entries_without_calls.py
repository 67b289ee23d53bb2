from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0022_desk_ignored")]
    operations = [run_sql_file("billing/sql/entries_without_calls.sql")]
