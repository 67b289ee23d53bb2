
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0024_calls_set_by_set'),
    ]

    operations = [
        migrations.AddField(
            model_name='requestlog',
            name='fallback_rule_id',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='fallback rule'),
        ),
    ]
