from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file

# Room in each page for the changed row, so that a change need not touch the indexes.
_ROOM = [
    "ALTER TABLE billing_usagecube SET (fillfactor = 70)",
    "ALTER TABLE billing_usagekeydaily SET (fillfactor = 70)",
    "ALTER TABLE billing_usagememberdaily SET (fillfactor = 70)",
    "ALTER TABLE billing_usagehourly SET (fillfactor = 70)",
]
_KEYS = [
    "SELECT pg_advisory_xact_lock(hashtext('billing_usage'))",
    "ALTER TABLE billing_usagekeydaily DROP CONSTRAINT usage_key_daily_once",
    "ALTER TABLE billing_usagekeydaily DROP COLUMN id",
    "ALTER TABLE billing_usagekeydaily ADD CONSTRAINT billing_usagekeydaily_pkey PRIMARY KEY (key_id, day_on, origin)",
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_usage_by_day_first")]
    operations = [
        run_sql_file("billing/sql/usage_sum.sql", "DROP AGGREGATE billing_sum(bigint)"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([*_KEYS, *_ROOM], migrations.RunSQL.noop)],
            state_operations=[
                migrations.RemoveConstraint("UsageKeyDaily", "usage_key_daily_once"),
                migrations.RemoveField("UsageKeyDaily", "id"),
                migrations.AddField(
                    "UsageKeyDaily",
                    "pk",
                    models.CompositePrimaryKey(
                        "key_id", "day_on", "origin", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
            ],
        ),
    ]
