"""A key may be paused by a watch over its spend. No SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('keys', '0005_policy'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='state',
            field=models.CharField(choices=[('active', 'active'), ('disabled', 'disabled'), ('paused', 'paused'), ('revoked', 'revoked')], default='active', max_length=16, verbose_name='state'),
        ),
    ]
