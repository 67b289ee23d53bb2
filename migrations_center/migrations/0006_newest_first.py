from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('migrations_center', '0005_key_choice'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='importrun',
            index=models.Index(fields=['-created_at', '-id'], name='import_run_newest'),
        ),
    ]
