from pathlib import Path

from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file

# A call that ends alone was counted without its modality; the function is read from where it is kept.
_KEPT = (Path(__file__).resolve().parent.parent / "sql" / "ledger_record.sql").read_text(encoding="utf-8")
_ALONE = _KEPT[_KEPT.index("CREATE FUNCTION billing_record_alone") : _KEPT.index("CREATE FUNCTION billing_record(")]
_ALONE = _ALONE[: _ALONE.index("END $$;") + len("END $$;")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")

_SUMS = """sum(call_count) AS call_count, sum(failed_count) AS failed_count, sum(input_tokens) AS input_tokens,
    sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano"""
_NAMES = "call_count, failed_count, input_tokens, cached_tokens, output_tokens, cost_nano"

# Nobody folds meanwhile; the old hourly rows are kept until they are in the new table.
_BEFORE = [
    "SELECT pg_advisory_xact_lock(hashtext('billing_usage'))",
    "CREATE TEMPORARY TABLE billing_old_hourly ON COMMIT DROP AS SELECT * FROM billing_usagehourly",
]
_CUBE = [
    "ALTER TABLE billing_usagecube DROP CONSTRAINT usage_cube_once",
    "DROP INDEX usage_cube_key",
    "ALTER TABLE billing_usagecube DROP COLUMN id",
    """ALTER TABLE billing_usagecube ADD CONSTRAINT billing_usagecube_pkey
        PRIMARY KEY (day_on, user_id, key_id, group_code, model_name, modality, origin)""",
    "CREATE INDEX usage_cube_day_key ON billing_usagecube (day_on, key_id)",
]
_MEMBERS = f"""INSERT INTO billing_usagememberdaily (day_on, user_id, origin, {_NAMES})
    SELECT day_on, value::bigint, origin, {_SUMS} FROM billing_usagepart WHERE cut = 'member' GROUP BY 1, 2, 3"""
# Models and groups are in the old rows. Modalities were not kept by the hour: they are the log without what is not folded yet.
_HOURS = f"""INSERT INTO billing_usagehourly (cut, hour_at, value, origin, {_NAMES})
    SELECT x.cut, hour_at, x.value, origin, {_SUMS}
    FROM billing_old_hourly CROSS JOIN LATERAL (VALUES ('model', model_name), ('group', group_code)) x(cut, value)
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT 'modality', hour_at, modality, origin, {_SUMS} FROM (
        SELECT billing_usage_hour(started_at) AS hour_at, modality, origin, count(*) AS call_count,
            count(*) FILTER (WHERE outcome <> 'ok') AS failed_count, sum(input_tokens) AS input_tokens,
            sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano
        FROM billing_requestlog GROUP BY 1, 2, 3
        UNION ALL
        SELECT hour_at, modality, origin, -call_count, -failed_count, -input_tokens, -cached_tokens, -output_tokens, -cost_nano
        FROM billing_usagedelta
    ) parts GROUP BY 2, 3, 4 HAVING sum(call_count) <> 0"""


def figures():
    return [
        ("call_count", models.BigIntegerField(default=0, verbose_name="calls")),
        ("failed_count", models.BigIntegerField(default=0, verbose_name="failed")),
        ("input_tokens", models.BigIntegerField(default=0, verbose_name="input tokens")),
        ("cached_tokens", models.BigIntegerField(default=0, verbose_name="cached tokens")),
        ("output_tokens", models.BigIntegerField(default=0, verbose_name="output tokens")),
        ("cost_nano", models.BigIntegerField(default=0, verbose_name="cost")),
    ]


def key(*columns):
    return (
        "pk",
        models.CompositePrimaryKey(*columns, blank=True, editable=False, primary_key=True, serialize=False),
    )


ORIGIN = ("origin", models.CharField(default="relay", max_length=10, verbose_name="origin"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0026_payments")]
    operations = [
        migrations.RunSQL(_BEFORE, migrations.RunSQL.noop),
        migrations.DeleteModel("UsageHourly"),
        migrations.DeleteModel("UsageDaily"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(_CUBE, migrations.RunSQL.noop)],
            state_operations=[
                migrations.DeleteModel("UsageCube"),
                migrations.CreateModel(
                    name="UsageCube",
                    fields=[
                        *figures(),
                        key("day_on", "user_id", "key_id", "group_code", "model_name", "modality", "origin"),
                        ("day_on", models.DateField(verbose_name="day")),
                        ("user_id", models.BigIntegerField()),
                        ("key_id", models.BigIntegerField()),
                        ("group_code", models.CharField(blank=True, max_length=191, verbose_name="group")),
                        ("model_name", models.CharField(max_length=255, verbose_name="model")),
                        ("modality", models.CharField(max_length=16, verbose_name="modality")),
                        ORIGIN,
                    ],
                    options={
                        "verbose_name": "usage by every measure",
                        "verbose_name_plural": "usage by every measure",
                        "indexes": [models.Index(fields=["day_on", "key_id"], name="usage_cube_day_key")],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="UsageHourly",
            fields=[
                *figures(),
                key("cut", "hour_at", "value", "origin"),
                (
                    "cut",
                    models.CharField(
                        choices=[("model", "model"), ("group", "group"), ("modality", "modality")], max_length=8
                    ),
                ),
                ("hour_at", models.DateTimeField(verbose_name="hour")),
                ("value", models.CharField(blank=True, max_length=255)),
                ORIGIN,
            ],
            options={"verbose_name": "hourly usage", "verbose_name_plural": "hourly usage"},
        ),
        migrations.CreateModel(
            name="UsageMemberDaily",
            fields=[
                *figures(),
                key("day_on", "user_id", "origin"),
                ("day_on", models.DateField(verbose_name="day")),
                ("user_id", models.BigIntegerField()),
                ORIGIN,
            ],
            options={"verbose_name": "daily usage of a person", "verbose_name_plural": "daily usage of people"},
        ),
        migrations.RunSQL([_MEMBERS, _HOURS], migrations.RunSQL.noop),
        migrations.DeleteModel("UsagePart"),
        migrations.RunSQL(_ALONE, migrations.RunSQL.noop),
        run_sql_file("billing/sql/plans.sql"),
    ]
