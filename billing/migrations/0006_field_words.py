"""Names of fields as the admin shows them, marked for translation. No SQL."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
        ('billing', '0005_steady_plans'),
        ('keys', '0002_field_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='alertfire',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alert_fires', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='balancealert',
            name='user',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='balance_alert', serialize=False, to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='groupbook',
            name='book',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='groups', to='billing.pricebook', verbose_name='book'),
        ),
        migrations.AlterField(
            model_name='groupbook',
            name='group',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='book', serialize=False, to='accounts.group', verbose_name='group'),
        ),
        migrations.AlterField(
            model_name='groupmultiplier',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='multipliers', to='billing.priceversion', verbose_name='version'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='account_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None, verbose_name='account ids'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='group',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='accounts.group', verbose_name='group'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='key',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='keys.apikey', verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='part_amounts',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None, verbose_name='part amounts'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='keybudget',
            name='key',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='budget', serialize=False, to='keys.apikey', verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='ledgeraccount',
            name='currency',
            field=models.CharField(default='USD', max_length=3, verbose_name='currency'),
        ),
        migrations.AlterField(
            model_name='ledgeraccount',
            name='is_purse',
            field=models.BooleanField(default=False, verbose_name='is a purse'),
        ),
        migrations.AlterField(
            model_name='ledgeraccount',
            name='seq',
            field=models.BigIntegerField(default=0, verbose_name='entries'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='from_seq',
            field=models.BigIntegerField(null=True, verbose_name='place, from'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='n',
            field=models.PositiveSmallIntegerField(default=0, verbose_name='number'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='reverses',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversed_by', to='billing.ledgerentry', verbose_name='reverses'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='to_seq',
            field=models.BigIntegerField(null=True, verbose_name='place, to'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='transaction_id',
            field=models.UUIDField(verbose_name='transaction id'),
        ),
        migrations.AlterField(
            model_name='pricebook',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='pricerule',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='billing.priceversion', verbose_name='version'),
        ),
        migrations.AlterField(
            model_name='priceversion',
            name='content_digest',
            field=models.CharField(blank=True, max_length=64, verbose_name='content digest'),
        ),
        migrations.AlterField(
            model_name='redemptioncode',
            name='used_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='codes_used', to=settings.AUTH_USER_MODEL, verbose_name='used by'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='key',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='keys.apikey', verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='origin',
            field=models.CharField(choices=[('relay', 'here'), ('imported', 'history of an old gateway')], default='relay', max_length=10, verbose_name='origin'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='price_version_id',
            field=models.BigIntegerField(null=True, verbose_name='price version id'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='source_ref',
            field=models.CharField(blank=True, max_length=64, verbose_name='row in the source'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='usage_source',
            field=models.CharField(choices=[('upstream', 'reported by the upstream'), ('estimated', 'estimated'), ('none', 'none')], default='none', max_length=10, verbose_name='usage source'),
        ),
        migrations.AlterField(
            model_name='requestlog',
            name='user',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='usagedaily',
            name='origin',
            field=models.CharField(default='relay', max_length=10, verbose_name='origin'),
        ),
        migrations.AlterField(
            model_name='usagedelta',
            name='origin',
            field=models.CharField(default='relay', max_length=10, verbose_name='origin'),
        ),
        migrations.AlterField(
            model_name='usagehourly',
            name='origin',
            field=models.CharField(default='relay', max_length=10, verbose_name='origin'),
        ),
    ]
