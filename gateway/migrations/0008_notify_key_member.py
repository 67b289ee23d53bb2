from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("gateway", "0007_entry_register"), ("keys", "0005_policy")]
    operations = [
        run_sql_file("gateway/sql/notify_key_member.sql", "DROP TRIGGER gateway_config_member ON keys_apikey"),
    ]
