from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("models_catalog", "0002_field_words")]
    operations = [
        migrations.AddField(
            "UpstreamModel",
            "parameters",
            models.JSONField(blank=True, db_default={}, default=dict, verbose_name="takes"),
        ),
    ]
