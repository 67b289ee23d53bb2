"""Names of fields as the admin shows them, marked for translation. No SQL."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateway', '0003_field_words'),
        ('migrations_center', '0002_wave_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='importedrow',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='migrations_center.source', verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='importissue',
            name='reason',
            field=models.CharField(max_length=64, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='error',
            field=models.TextField(blank=True, verbose_name='error'),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='options',
            field=models.JSONField(default=dict, verbose_name='options'),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='snapshot_digest',
            field=models.CharField(blank=True, max_length=64, verbose_name='snapshot digest'),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='source',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='migrations_center.source', verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='importrun',
            name='started_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='started by'),
        ),
        migrations.AlterField(
            model_name='plan',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='plan',
            name='created_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by'),
        ),
        migrations.AlterField(
            model_name='plan',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plans', to='migrations_center.source', verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='source',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='source',
            name='old_entry',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sources', to='gateway.oldentry', verbose_name='old entry'),
        ),
        migrations.AlterField(
            model_name='wave',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='wave',
            name='created_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='created by'),
        ),
        migrations.AlterField(
            model_name='wave',
            name='plan',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='waves', to='migrations_center.plan', verbose_name='plan'),
        ),
        migrations.AlterField(
            model_name='waveevent',
            name='actor_name',
            field=models.CharField(max_length=191, verbose_name='actor name'),
        ),
        migrations.AlterField(
            model_name='waveevent',
            name='at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='time'),
        ),
        migrations.AlterField(
            model_name='waveevent',
            name='from_state',
            field=models.CharField(max_length=12, verbose_name='from state'),
        ),
        migrations.AlterField(
            model_name='waveevent',
            name='reason',
            field=models.TextField(blank=True, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='waveevent',
            name='to_state',
            field=models.CharField(max_length=12, verbose_name='to state'),
        ),
        migrations.AlterField(
            model_name='wavemember',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='wave_memberships', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='wavenotice',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
    ]
