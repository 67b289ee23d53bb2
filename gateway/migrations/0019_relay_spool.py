from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0018_notify_use_profiles")]
    operations = [
        migrations.AddField(
            model_name="relayinstance",
            name="spool_depth",
            field=models.BigIntegerField(db_default=0, default=0, verbose_name="events waiting"),
        ),
        migrations.AddField(
            model_name="relayinstance",
            name="oldest_unacked_s",
            field=models.BigIntegerField(db_default=0, default=0, verbose_name="oldest waiting, s"),
        ),
        migrations.AddField(
            model_name="relayinstance",
            name="lease_count",
            field=models.IntegerField(db_default=0, default=0, verbose_name="leases"),
        ),
    ]
