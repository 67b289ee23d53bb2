from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Coalesce

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_newest_first"),
        ("billing", "0042_usage_spans"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddIndex(
            model_name="ledgeraccount",
            index=models.Index(
                Coalesce("user_id", models.F("group_id") * -1), name="account_payer", condition=models.Q(is_purse=True)
            ),
        ),
        run_sql_file("billing/sql/spend_limits.sql"),
        run_sql_file("billing/sql/ledger_reserve.sql"),
        run_sql_file("billing/sql/reserve_plain.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/record_plain.sql"),
        run_sql_file("billing/sql/plans.sql"),
    ]
