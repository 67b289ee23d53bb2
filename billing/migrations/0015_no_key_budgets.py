from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_allowances_are_limits")]
    operations = [migrations.DeleteModel(name="KeyBudget")]
