"""Names of fields as the admin shows them, marked for translation. No SQL."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_catalog', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='upstreammodel',
            name='upstream',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='served', to='models_catalog.upstream', verbose_name='upstream'),
        ),
    ]
