from django.db import migrations, models

FORMATS = [("csv", "CSV"), ("pdf", "PDF"), ("xlsx", "XLSX")]


class Migration(migrations.Migration):
    dependencies = [("billing", "0038_export_jobs")]
    operations = [
        migrations.AlterField(
            "statementfile", "format", models.CharField(choices=FORMATS, max_length=4, verbose_name="format")
        ),
    ]
