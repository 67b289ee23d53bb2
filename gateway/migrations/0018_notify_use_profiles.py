from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0017_trial_lists"), ("keys", "0007_use_profiles")]
    operations = [run_sql_file("gateway/sql/notify_use_profiles.sql")]
