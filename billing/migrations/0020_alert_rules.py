"""Alerts of many kinds and web hooks; the low-balance alerts of before become rules, with what they told."""

import config.foundation.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

MOVE_ROWS = """
INSERT INTO billing_alertrule (kind, user_id, group_id, key_id, thresholds, channels, is_enabled, pauses_key, created_at)
SELECT 'balance_low', user_id, NULL, NULL, ARRAY[threshold_nano], ARRAY['mail', 'hook'], is_enabled, false, now()
FROM billing_balancealert;
INSERT INTO billing_alertstate (rule_id, subject, period, crossed, epoch, version, last_value, checked_at)
SELECT r.id, '', '', CASE WHEN b.is_armed THEN '{}' ELSE r.thresholds END, b.epoch, 0, b.last_balance_nano, now()
FROM billing_balancealert b JOIN billing_alertrule r ON r.user_id = b.user_id;
INSERT INTO billing_alertevent (id, rule_id, kind, phase, subject, period, epoch, threshold, value, figures, fired_at)
SELECT gen_random_uuid(), r.id, 'balance_low', 'triggered', '', '', f.epoch, f.threshold_nano, f.balance_nano,
    jsonb_build_object('balance_nano', f.balance_nano, 'thresholds', to_jsonb(r.thresholds)), f.fired_at
FROM billing_alertfire f JOIN billing_alertrule r ON r.user_id = f.user_id;
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
        ('billing', '0019_refunds_and_currencies'),
        ('keys', '0002_field_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertChoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('by_mail', models.BooleanField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alert_choices', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'choice of alert mails',
                'verbose_name_plural': 'choices of alert mails',
            },
        ),
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('balance_low', 'low balance'), ('limit_use', 'use of a limit'), ('odd_spend', 'odd spend'), ('unpriced_model', 'model without a price asked for'), ('old_holds', 'holds that grew old'), ('delivery_failing', 'mail or web hook not delivered'), ('difference', 'difference found by reconciliation')], max_length=20, verbose_name='kind')),
                ('thresholds', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None, verbose_name='thresholds')),
                ('channels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('mail', 'mail'), ('hook', 'web hook')], max_length=8), default=list, size=None, verbose_name='channels')),
                ('is_enabled', models.BooleanField(default=True, verbose_name='on')),
                ('pauses_key', models.BooleanField(default=False, verbose_name='pauses the key')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='accounts.group', verbose_name='team')),
                ('key', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='keys.apikey', verbose_name='key')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'alert rule',
                'verbose_name_plural': 'alert rules',
            },
        ),
        migrations.CreateModel(
            name='AlertEvent',
            fields=[
                ('id', models.UUIDField(default=config.foundation.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('balance_low', 'low balance'), ('limit_use', 'use of a limit'), ('odd_spend', 'odd spend'), ('unpriced_model', 'model without a price asked for'), ('old_holds', 'holds that grew old'), ('delivery_failing', 'mail or web hook not delivered'), ('difference', 'difference found by reconciliation')], max_length=20, verbose_name='kind')),
                ('phase', models.CharField(choices=[('triggered', 'fired'), ('resolved', 'over')], default='triggered', max_length=12, verbose_name='phase')),
                ('subject', models.CharField(blank=True, max_length=191, verbose_name='subject')),
                ('period', models.CharField(blank=True, max_length=32, verbose_name='period')),
                ('epoch', models.PositiveIntegerField(verbose_name='crossing')),
                ('threshold', models.BigIntegerField(verbose_name='threshold')),
                ('value', models.BigIntegerField(verbose_name='value')),
                ('figures', models.JSONField(default=dict, verbose_name='figures')),
                ('fired_at', models.DateTimeField(auto_now_add=True, db_index=True, verbose_name='time')),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='billing.alertrule', verbose_name='rule')),
            ],
            options={
                'verbose_name': 'fired alert',
                'verbose_name_plural': 'fired alerts',
                'ordering': ('-fired_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='AlertState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(blank=True, max_length=191)),
                ('period', models.CharField(blank=True, max_length=32)),
                ('crossed', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('epoch', models.PositiveIntegerField(default=0)),
                ('version', models.PositiveBigIntegerField(default=0)),
                ('last_value', models.BigIntegerField(null=True)),
                ('told_at', models.DateTimeField(null=True)),
                ('checked_at', models.DateTimeField(auto_now=True)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='states', to='billing.alertrule')),
            ],
            options={
                'verbose_name': 'state of an alert',
                'verbose_name_plural': 'states of alerts',
            },
        ),
        migrations.CreateModel(
            name='HookDelivery',
            fields=[
                ('id', models.UUIDField(default=config.foundation.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('body', models.TextField(verbose_name='body')),
                ('state', models.CharField(choices=[('queued', 'waiting'), ('sending', 'being sent'), ('sent', 'sent'), ('failed', 'failed')], default='queued', max_length=8, verbose_name='state')),
                ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='written')),
                ('next_attempt_at', models.DateTimeField(auto_now_add=True, verbose_name='next attempt')),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent')),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='billing.alertevent', verbose_name='event')),
            ],
            options={
                'verbose_name': 'web hook delivery',
                'verbose_name_plural': 'web hook deliveries',
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='HookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(auto_now_add=True, verbose_name='time')),
                ('http_status', models.SmallIntegerField(default=0, verbose_name='status')),
                ('duration_ms', models.IntegerField(default=0, verbose_name='duration, ms')),
                ('error', models.CharField(blank=True, max_length=64, verbose_name='error')),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tries', to='billing.hookdelivery', verbose_name='delivery')),
            ],
            options={
                'verbose_name': 'attempt of a delivery',
                'verbose_name_plural': 'attempts of deliveries',
                'ordering': ('at', 'pk'),
            },
        ),
        migrations.CreateModel(
            name='HookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.URLField(max_length=500, verbose_name='address')),
                ('secret_sealed', models.BinaryField()),
                ('secret_tail', models.CharField(max_length=4, verbose_name='secret')),
                ('is_active', models.BooleanField(default=True, verbose_name='on')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by')),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='hooks', to='accounts.group', verbose_name='team')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='hooks', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'web hook',
                'verbose_name_plural': 'web hooks',
                'ordering': ('pk',),
            },
        ),
        migrations.AddField(
            model_name='hookdelivery',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='billing.hookendpoint', verbose_name='web hook'),
        ),
        migrations.CreateModel(
            name='KeySpend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.BigIntegerField()),
                ('window_at', models.DateTimeField()),
                ('call_count', models.IntegerField()),
                ('cost_nano', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'spend of five minutes',
                'verbose_name_plural': 'spend of five minutes',
                'indexes': [models.Index(fields=['window_at'], name='key_spend_time')],
                'constraints': [models.UniqueConstraint(fields=('key_id', 'window_at'), name='key_spend_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='alertchoice',
            constraint=models.UniqueConstraint(fields=('user', 'kind'), name='alert_choice_once'),
        ),
        migrations.AddConstraint(
            model_name='alertrule',
            constraint=models.UniqueConstraint(fields=('kind', 'user', 'group', 'key'), name='alert_rule_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='alertrule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('group', None), ('user', None)), models.Q(('key', None), ('user', None)), models.Q(('group', None), ('key', None)), _connector='OR'), name='alert_rule_one_scope'),
        ),
        migrations.AddConstraint(
            model_name='alertrule',
            constraint=models.CheckConstraint(condition=models.Q(('thresholds', []), _negated=True), name='alert_rule_has_thresholds'),
        ),
        migrations.AddIndex(
            model_name='alertevent',
            index=models.Index(fields=['kind', '-fired_at'], name='alert_event_kind'),
        ),
        migrations.AddConstraint(
            model_name='alertevent',
            constraint=models.UniqueConstraint(fields=('rule', 'subject', 'period', 'epoch', 'threshold', 'phase'), name='alert_event_once'),
        ),
        migrations.AddConstraint(
            model_name='alertstate',
            constraint=models.UniqueConstraint(fields=('rule', 'subject'), name='alert_state_once'),
        ),
        migrations.AddConstraint(
            model_name='hookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(('user', None), ('group', None), _connector='OR'), name='hook_one_scope'),
        ),
        migrations.AddIndex(
            model_name='hookdelivery',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['next_attempt_at'], name='hook_due'),
        ),
        migrations.AddConstraint(
            model_name='hookdelivery',
            constraint=models.UniqueConstraint(fields=('endpoint', 'event'), name='hook_delivery_once'),
        ),
        migrations.RunSQL(MOVE_ROWS, migrations.RunSQL.noop),
        migrations.DeleteModel(name='AlertFire'),
        migrations.DeleteModel(name='BalanceAlert'),
    ]
