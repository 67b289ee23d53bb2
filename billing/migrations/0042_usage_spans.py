from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file

_NAMES = ("call_count", "failed_count", "input_tokens", "cached_tokens", "output_tokens", "cost_nano")
_FIGURES = ", ".join(_NAMES)
_SUMS = ", ".join(f"billing_sum({name}) AS {name}" for name in _NAMES)
_PLUS = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in _NAMES)
_CUBE = "day_on, user_id, key_id, group_code, model_name, modality, origin"

# Nobody folds and no call ends meanwhile. What is pending knows its hour only, so it is folded into the days that stay as they
# are; the new roll-ups are counted from the log.
_FOLD = [
    "SELECT pg_advisory_xact_lock(hashtext('billing_usage'))",
    "LOCK TABLE billing_usagedelta IN ACCESS EXCLUSIVE MODE",
    f"""INSERT INTO billing_usagecube AS t ({_CUBE}, {_FIGURES})
    SELECT (hour_at AT TIME ZONE 'UTC')::date, user_id, key_id, group_code, model_name, modality, origin, {_SUMS}
    FROM billing_usagedelta GROUP BY 1, 2, 3, 4, 5, 6, 7 ON CONFLICT ({_CUBE}) DO UPDATE SET {_PLUS}""",
    f"""INSERT INTO billing_usagekeydaily AS t (day_on, key_id, origin, {_FIGURES})
    SELECT (hour_at AT TIME ZONE 'UTC')::date, key_id, origin, {_SUMS}
    FROM billing_usagedelta GROUP BY 1, 2, 3 ON CONFLICT (key_id, day_on, origin) DO UPDATE SET {_PLUS}""",
    "DELETE FROM billing_usagedelta",
]
_COUNTED = """(
    SELECT l.*, 1 AS call_count, CASE WHEN l.outcome <> 'ok' THEN 1 ELSE 0 END AS failed_count, l.cost_nano AS paid_nano
    FROM billing_requestlog l
    UNION ALL
    SELECT l.*, 0, 0, -f.amount_nano
    FROM billing_callrefund f JOIN billing_requestlog l ON l.id = f.request_id AND l.started_at = uuid7_time(f.request_id)
)"""
_COUNT = """billing_sum(call_count), billing_sum(failed_count), billing_sum(CASE WHEN call_count = 1 THEN input_tokens ELSE 0 END),
    billing_sum(CASE WHEN call_count = 1 THEN cached_tokens ELSE 0 END),
    billing_sum(CASE WHEN call_count = 1 THEN output_tokens ELSE 0 END), billing_sum(paid_nano)"""


def _longer(table, keys, lengths):
    """The rows of each length out of those of the one before."""
    return [
        f"""INSERT INTO {table} (minutes, begins_at, {keys}, {_FIGURES})
        SELECT {minutes}, date_bin('{minutes} minutes', begins_at, timestamptz 'epoch'), {keys}, {_SUMS}
        FROM {table} WHERE minutes = {before} GROUP BY 2, {keys}"""
        for before, minutes in zip(lengths, lengths[1:], strict=False)
    ]


_FILL = [
    f"""INSERT INTO billing_usageaccount (minutes, begins_at, user_id, key_id, origin, {_FIGURES})
    SELECT 60, date_bin('60 minutes', started_at, timestamptz 'epoch'), coalesce(user_id, 0), coalesce(key_id, 0), origin, {_COUNT}
    FROM {_COUNTED} c GROUP BY 2, 3, 4, 5""",
    *_longer("billing_usageaccount", "user_id, key_id, origin", (60, 240, 1440, 14400, 86400)),
    f"""INSERT INTO billing_usagehouse (minutes, begins_at, cut, value, origin, {_FIGURES})
    SELECT 15, billing_usage_quarter(started_at), x.cut, x.value, origin, {_COUNT}
    FROM {_COUNTED} c CROSS JOIN LATERAL (VALUES ('group', group_code), ('modality', modality),
        ('model', billing_usage_model(billed_model, asked_model, outcome))) x(cut, value) GROUP BY 2, 3, 4, 5""",
    *_longer("billing_usagehouse", "cut, value, origin", (15, 60, 240, 1440)),
]
# Room in each page for the changed row, so that a change need not touch the index.
_ROOM = [
    "ALTER TABLE billing_usageaccount SET (fillfactor = 70)",
    "ALTER TABLE billing_usagehouse SET (fillfactor = 70)",
]


def rollup(*columns):
    """The figures of a roll-up, and the columns its rows are unique by."""
    figures = ("calls", "failed", "input tokens", "cached tokens", "output tokens", "cost")
    key = models.CompositePrimaryKey(*columns, blank=True, editable=False, primary_key=True, serialize=False)
    return [
        *((name, models.BigIntegerField(default=0, verbose_name=word)) for name, word in zip(_NAMES, figures, strict=True)),
        ("pk", key),
        ("minutes", models.IntegerField(verbose_name="minutes")),
        ("begins_at", models.DateTimeField(verbose_name="begins")),
        ("origin", models.CharField(default="relay", max_length=10, verbose_name="origin")),
    ]


class Migration(migrations.Migration):
    dependencies = [("billing", "0041_windows_before_use")]
    operations = [
        migrations.RunSQL(_FOLD, migrations.RunSQL.noop),
        migrations.RenameField("UsageDelta", "hour_at", "quarter_at"),
        migrations.RemoveIndex("UsageKeyDaily", "usage_key_daily_day"),
        migrations.DeleteModel("UsageHourly"),
        migrations.DeleteModel("UsageMemberDaily"),
        migrations.CreateModel(
            name="UsageHouse",
            fields=[
                *rollup("cut", "minutes", "begins_at", "value", "origin"),
                (
                    "cut",
                    models.CharField(
                        choices=[("model", "model"), ("group", "group"), ("modality", "modality")], max_length=8
                    ),
                ),
                ("value", models.CharField(blank=True, max_length=255)),
            ],
            options={"verbose_name": "usage of everybody", "verbose_name_plural": "usage of everybody"},
        ),
        migrations.CreateModel(
            name="UsageAccount",
            fields=[
                *rollup("minutes", "begins_at", "user_id", "key_id", "origin"),
                ("user_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "usage of a person and key",
                "verbose_name_plural": "usage of people and keys",
            },
        ),
        run_sql_file("billing/sql/usage_quarter.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/refunds.sql"),
        run_sql_file("billing/sql/plans.sql"),
        migrations.RunSQL([*_ROOM, *_FILL, "DROP FUNCTION billing_usage_hour(timestamptz)"], migrations.RunSQL.noop),
    ]
