from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0039_statement_workbooks")]
    operations = [
        migrations.AddIndex(
            model_name="paymentrefund",
            index=models.Index(fields=["-created_at", "-id"], name="payment_refund_newest"),
        ),
    ]
