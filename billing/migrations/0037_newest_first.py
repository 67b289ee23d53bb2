from django.conf import settings
from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_newest_first'),
        ('billing', '0036_body_digest'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='incomingpayment',
            index=models.Index(fields=['-received_at', '-id'], name='incoming_newest'),
        ),
        migrations.AddIndex(
            model_name='incomingpayment',
            index=models.Index(fields=['state', '-received_at', '-id'], name='incoming_state'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['-created_at', '-id'], name='payment_newest'),
        ),
        run_sql_file("billing/sql/call_outcomes.sql"),
    ]
