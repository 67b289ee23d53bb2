"""What the old side spent late, and the log rows it is made of. No SQL."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0022_desk_ignored'),
        ('migrations_center', '0003_field_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LateSpend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='number')),
                ('is_flagged', models.BooleanField(default=False, verbose_name='flagged')),
                ('amount_nano', models.BigIntegerField(verbose_name='amount')),
                ('log_ids', models.JSONField(default=list, verbose_name='old log rows')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='taken over')),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgerentry', verbose_name='ledger entry')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_spends', to='migrations_center.importrun', verbose_name='import run')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_spends', to='migrations_center.source', verbose_name='source')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_spends', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'late spend',
                'verbose_name_plural': 'late spend',
                'ordering': ('-created_at', '-pk'),
            },
        ),
        migrations.CreateModel(
            name='LateLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('call_id', models.UUIDField(unique=True)),
                ('row_id', models.BigIntegerField()),
                ('units', models.BigIntegerField()),
                ('amount_nano', models.BigIntegerField()),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='late_logs', to='migrations_center.source')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('spend', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='logs', to='migrations_center.latespend')),
            ],
            options={
                'verbose_name': 'late log row',
                'verbose_name_plural': 'late log rows',
            },
        ),
        migrations.AddConstraint(
            model_name='latespend',
            constraint=models.UniqueConstraint(fields=('source', 'user', 'number'), name='late_spend_once'),
        ),
        migrations.AddIndex(
            model_name='latelog',
            index=models.Index(condition=models.Q(('spend', None)), fields=['source', 'user'], name='late_log_waiting'),
        ),
    ]
