from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0003_field_words"), ("keys", "0003_call_limits")]
    operations = [
        run_sql_file("gateway/sql/notify_call_limits.sql", "DROP TRIGGER gateway_config ON keys_calllimit"),
    ]
