
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
        ('gateway', '0009_access_check'),
        ('keys', '0003_call_limits'),
        ('models_catalog', '0002_field_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='UpstreamHealth',
            fields=[
                ('pk', models.CompositePrimaryKey('relay', 'upstream_id', 'upstream_name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('relay', models.CharField(max_length=128, verbose_name='relay')),
                ('upstream_name', models.CharField(max_length=255, verbose_name='name at the upstream')),
                ('reason', models.CharField(max_length=64, verbose_name='why')),
                ('failure_count', models.IntegerField(verbose_name='failures in a row')),
                ('since_at', models.DateTimeField(verbose_name='since')),
                ('seen_at', models.DateTimeField(verbose_name='last heard of')),
                ('upstream', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='models_catalog.upstream', verbose_name='upstream')),
            ],
            options={
                'verbose_name': 'upstream left alone',
                'verbose_name_plural': 'upstreams left alone',
            },
        ),
        migrations.CreateModel(
            name='ErrorProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('profile', models.CharField(choices=[('portal', "the portal's own"), ('one_api', 'One API'), ('new_api', 'New API')], max_length=12, verbose_name='shape')),
                ('group', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='accounts.group', verbose_name='group')),
                ('key', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='keys.apikey', verbose_name='key')),
            ],
            options={
                'verbose_name': 'shape of errors',
                'verbose_name_plural': 'shapes of errors',
                'constraints': [models.CheckConstraint(condition=models.Q(('group', None), ('key', None), _connector='OR'), name='error_profile_group_or_key'), models.UniqueConstraint(fields=('group', 'key'), name='error_profile_once', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='FallbackRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('triggers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('model_unavailable', 'the model is not available'), ('upstream_error', 'its provider fails'), ('timeout', 'no answer comes in time'), ('rate_limited', 'its provider is busy')], max_length=24), size=None, verbose_name='when')),
                ('is_price_protected', models.BooleanField(default=True, help_text='The call never costs more than the asked model would have.', verbose_name='price protected')),
                ('reason', models.CharField(max_length=255, verbose_name='reason')),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('active', 'in force'), ('ended', 'ended')], default='proposed', max_length=12, verbose_name='state')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
                ('approved_at', models.DateTimeField(null=True, verbose_name='approved at')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended at')),
                ('approved_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='approved by')),
                ('from_model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fallbacks_from', to='models_catalog.aimodel', verbose_name='asked model')),
                ('proposed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
                ('to_model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fallbacks_to', to='models_catalog.aimodel', verbose_name='answers instead')),
            ],
            options={
                'verbose_name': 'fallback rule',
                'verbose_name_plural': 'fallback rules',
                'ordering': ('-id',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('from_model',), name='fallback_once'), models.CheckConstraint(condition=models.Q(('from_model', models.F('to_model')), _negated=True), name='fallback_to_another'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'active'), _negated=True), ('approved_at__isnull', False), _connector='OR'), name='fallback_active_is_approved'), models.CheckConstraint(condition=models.Q(('approved_by', None), ('proposed_by', None), models.Q(('approved_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='fallback_two_people')],
            },
        ),
    ]
