from django.db import migrations

from config.foundation.sqlfiles import ROOT, run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0001_initial"),
        ("accounts", "0001_initial"),
        ("models_catalog", "0001_initial"),
        ("keys", "0001_initial"),
        ("billing", "0001_initial"),
    ]
    operations = [
        run_sql_file(
            "gateway/sql/config_notify.sql", (ROOT / "gateway/sql/config_notify_back.sql").read_text(encoding="utf-8")
        ),
    ]
