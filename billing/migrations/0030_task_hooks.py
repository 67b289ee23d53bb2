import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Web hooks of tasks beside those of alerts: a delivery has an id of its own, and may have its own address."""

    dependencies = [("billing", "0029_refunds_everywhere")]
    operations = [
        migrations.AddField(
            "HookEndpoint",
            "purpose",
            models.CharField(
                choices=[("alerts", "alerts"), ("tasks", "ends of image and video tasks")],
                default="alerts",
                max_length=8,
                verbose_name="gets",
            ),
        ),
        migrations.AddField("HookDelivery", "sent_id", models.UUIDField(null=True, verbose_name="event id")),
        migrations.RunSQL("UPDATE billing_hookdelivery SET sent_id = event_id", migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AlterField("HookDelivery", "sent_id", models.UUIDField(verbose_name="event id")),
        migrations.AlterField(
            "HookDelivery",
            "event",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="billing.alertevent",
                verbose_name="event",
            ),
        ),
        migrations.AddField("HookDelivery", "kind", models.CharField(blank=True, max_length=64, verbose_name="kind")),
        migrations.AddField("HookDelivery", "subject_id", models.UUIDField(db_index=True, editable=False, null=True)),
        migrations.AddField("HookDelivery", "url", models.CharField(blank=True, max_length=500, verbose_name="address")),
        migrations.RemoveConstraint("HookDelivery", "hook_delivery_once"),
        migrations.AddConstraint(
            "HookDelivery", models.UniqueConstraint(fields=["endpoint", "sent_id"], name="hook_delivery_once")
        ),
    ]
