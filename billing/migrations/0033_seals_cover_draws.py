from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("billing", "0032_lean_rows")]
    operations = [
        migrations.AddField("ledgerseal", "version", models.SmallIntegerField(default=1, db_default=1)),
        run_sql_file("billing/sql/seal_marks.sql"),
    ]
