"""Runs of reconciliation and the differences they found."""

import config.foundation.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0020_alert_rules'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReconcileRun',
            fields=[
                ('id', models.UUIDField(default=config.foundation.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('scope', models.CharField(choices=[('quick', 'last hours'), ('full', 'everything')], max_length=8, verbose_name='compared')),
                ('state', models.CharField(choices=[('running', 'running'), ('done', 'done'), ('failed', 'broken off')], default='running', max_length=8, verbose_name='state')),
                ('started_at', models.DateTimeField(auto_now_add=True, verbose_name='started')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='finished')),
                ('heartbeat_at', models.DateTimeField(auto_now_add=True)),
                ('since', models.DateTimeField(null=True, verbose_name='from')),
                ('checks_done', models.PositiveSmallIntegerField(default=0, verbose_name='checks done')),
                ('checks_total', models.PositiveSmallIntegerField(default=0, verbose_name='checks')),
                ('difference_count', models.PositiveIntegerField(default=0, verbose_name='differences')),
                ('results', models.JSONField(default=list, verbose_name='results')),
                ('error', models.CharField(blank=True, max_length=191, verbose_name='error')),
                ('started_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='started by')),
            ],
            options={
                'verbose_name': 'reconciliation',
                'verbose_name_plural': 'reconciliations',
                'ordering': ('-started_at',),
            },
        ),
        migrations.CreateModel(
            name='Difference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('check_code', models.CharField(max_length=32, verbose_name='check')),
                ('thing', models.CharField(max_length=255, verbose_name='object')),
                ('detail', models.CharField(blank=True, max_length=500, verbose_name='what differs')),
                ('state', models.CharField(choices=[('open', 'open'), ('explained', 'explained'), ('fixed', 'fixed by an entry'), ('written_off', 'written off'), ('gone', 'no longer there')], default='open', max_length=12, verbose_name='state')),
                ('found_at', models.DateTimeField(auto_now_add=True, verbose_name='found')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                ('reason', models.CharField(blank=True, max_length=255, verbose_name='reason')),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('entry', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgerentry', verbose_name='ledger entry')),
                ('first_run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='found', to='billing.reconcilerun', verbose_name='first seen by')),
                ('last_run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='seen', to='billing.reconcilerun', verbose_name='last seen by')),
            ],
            options={
                'verbose_name': 'difference',
                'verbose_name_plural': 'differences',
                'ordering': ('-found_at', '-pk'),
            },
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('check_code', 'thing'), name='difference_open_once'),
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='difference_decided_has_time'),
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['explained', 'written_off']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='difference_decided_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.CheckConstraint(condition=models.Q(('entry__isnull', False), models.Q(('state', 'fixed'), _negated=True), _connector='OR'), name='difference_fixed_has_entry'),
        ),
    ]
