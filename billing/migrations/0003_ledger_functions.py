from django.db import migrations

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_request_log_partitions")]
    operations = [
        run_sql_file("billing/sql/usage.sql"),
        run_sql_file("billing/sql/check_posting.sql"),
        run_sql_file("billing/sql/ledger_post.sql"),
        run_sql_file("billing/sql/ledger_reserve.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/ledger_expire.sql"),
    ]
