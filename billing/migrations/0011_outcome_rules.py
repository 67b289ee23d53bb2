import django.db.models.deletion
from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0010_late_events"),
    ]

    operations = [
        migrations.CreateModel(
            name='OutcomeRuleSet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('group_code', models.CharField(blank=True, default='', max_length=191, verbose_name="payer's group")),
                ('number', models.PositiveIntegerField(verbose_name='version')),
                ('is_withdrawn', models.BooleanField(default=False, verbose_name='like everybody again')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='valid from')),
                ('created_by', models.CharField(blank=True, max_length=191, verbose_name='by')),
                ('note', models.TextField(blank=True, verbose_name='note')),
            ],
            options={
                'verbose_name': 'billing rule version',
                'verbose_name_plural': 'billing rule versions',
                'ordering': ('group_code', '-number'),
                'constraints': [models.UniqueConstraint(fields=('group_code', 'number'), name='outcome_rules_once')],
            },
        ),
        migrations.CreateModel(
            name='OutcomeRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(choices=[('complete', 'the answer was complete'), ('cut_after_output', 'the answer broke off'), ('timeout_after_output', 'the answer took too long and was cut off'), ('client_gone_after_output', 'the client left during the answer'), ('client_gone_before_output', 'the client left before the answer began'), ('failed_before_output', 'it failed before any answer'), ('timeout_before_output', 'no answer came in time'), ('refused', 'it was refused and not sent on')], max_length=32, verbose_name='how it ended')),
                ('reported', models.CharField(choices=[('all', 'everything used'), ('input', 'the input only'), ('nothing', 'nothing')], max_length=8, verbose_name='usage reported by the upstream')),
                ('counted', models.CharField(choices=[('all', 'everything used'), ('input', 'the input only'), ('nothing', 'nothing')], max_length=8, verbose_name='usage counted by us')),
                ('rules', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='billing.outcomeruleset', verbose_name='version')),
            ],
            options={
                'verbose_name': 'billing rule',
                'verbose_name_plural': 'billing rules',
                'constraints': [models.UniqueConstraint(fields=('rules', 'event'), name='outcome_rule_once'), models.CheckConstraint(condition=models.Q(models.Q(('event__in', ['failed_before_output', 'timeout_before_output', 'refused', 'complete']), _negated=True), models.Q(('counted', 'all'), ('event', 'complete'), ('reported', 'all')), models.Q(models.Q(('event', 'complete'), _negated=True), ('counted', 'nothing'), ('reported', 'nothing')), _connector='OR'), name='outcome_rule_promises')],
            },
        ),
        run_sql_file("billing/sql/outcome_rules.sql"),
    ]
