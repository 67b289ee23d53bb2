"""Names of fields as the admin shows them, marked for translation. No SQL."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gateway', '0002_config_notify'),
        ('keys', '0002_field_words'),
    ]

    operations = [
        migrations.AlterField(
            model_name='keyoldentry',
            name='key',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='old_entry_link', serialize=False, to='keys.apikey', verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='keyoldentry',
            name='old_entry',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='key_links', to='gateway.oldentry', verbose_name='old entry'),
        ),
        migrations.AlterField(
            model_name='oldentry',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
        ),
    ]
