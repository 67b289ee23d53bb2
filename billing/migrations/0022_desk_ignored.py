"""An item of the desk may be set aside. No SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0021_reconciliation'),
    ]

    operations = [
        migrations.AlterField(
            model_name='deskitem',
            name='state',
            field=models.CharField(choices=[('open', 'open'), ('settled', 'settled'), ('written_off', 'written off'), ('ignored', 'set aside')], default='open', max_length=12, verbose_name='state'),
        ),
    ]
