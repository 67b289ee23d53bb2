import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
        ('billing', '0030_task_hooks'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='hold',
            name='lease_id',
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=100, verbose_name='relay')),
                ('is_test', models.BooleanField(db_default=False, editable=False, verbose_name='test')),
                ('granted_nano', models.BigIntegerField(verbose_name='granted')),
                ('spent_nano', models.BigIntegerField(default=0, verbose_name='spent')),
                ('state', models.CharField(choices=[('open', 'lent'), ('closed', 'given back'), ('expired', 'expired')], default='open', max_length=10, verbose_name='state')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('draw_until', models.DateTimeField(verbose_name='calls until')),
                ('expires_at', models.DateTimeField(verbose_name='expires')),
                ('closed_at', models.DateTimeField(null=True, verbose_name='closed')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='leases', to='billing.ledgeraccount', verbose_name='purse')),
                ('group', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.group', verbose_name='group')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'lease',
                'verbose_name_plural': 'leases',
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['expires_at'], name='lease_open_expiry'), models.Index(condition=models.Q(('state', 'open')), fields=['source'], name='lease_open_source')],
                'constraints': [models.CheckConstraint(condition=models.Q(('user', None), ('group', None), _connector='XOR'), name='lease_one_payer'), models.CheckConstraint(condition=models.Q(('spent_nano__gte', 0), ('granted_nano__gte', models.F('spent_nano'))), name='lease_within_grant'), models.CheckConstraint(condition=models.Q(('state', 'open'), ('closed_at__isnull', False), _connector='XOR'), name='lease_closed_has_time'), models.CheckConstraint(condition=models.Q(('expires_at__gte', models.F('draw_until'))), name='lease_expires_last')],
            },
        ),
        run_sql_file("billing/sql/leases.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/plans.sql"),
    ]
