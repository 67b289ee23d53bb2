from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='outboundmail',
            index=models.Index(fields=['-created_at', '-id'], name='mail_newest'),
        ),
    ]
