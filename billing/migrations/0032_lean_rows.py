import django.db.models.deletion
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_field_words'),
        ('billing', '0031_leases'),
        ('keys', '0006_paused'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='hold',
            name='hold_closed_has_time',
        ),
        migrations.RemoveConstraint(
            model_name='hold',
            name='hold_settled_has_amount',
        ),
        migrations.RemoveConstraint(
            model_name='ledgeraccount',
            name='account_one_owner',
        ),
        migrations.RemoveConstraint(
            model_name='ledgeraccount',
            name='account_purse_or_house',
        ),
        migrations.RemoveConstraint(
            model_name='ledgeraccount',
            name='account_spent_in_usd',
        ),
        migrations.AlterField(
            model_name='hold',
            name='group',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='accounts.group', verbose_name='group'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='key',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='keys.apikey', verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='user',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='actor',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='from_account',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries_out', to='billing.ledgeraccount', verbose_name='from'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='to_account',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries_in', to='billing.ledgeraccount', verbose_name='to'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('actor__isnull', False)), fields=['actor', 'booked_at'], name='entry_actor'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(models.ExpressionWrapper(models.Q(('state', 'open')), models.BooleanField()), models.ExpressionWrapper(models.Q(('closed_at__isnull', True)), models.BooleanField())), name='hold_closed_has_time'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(models.ExpressionWrapper(models.Q(('state', 'settled')), models.BooleanField()), models.ExpressionWrapper(models.Q(('settled_nano__isnull', False)), models.BooleanField())), name='hold_settled_has_amount'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('is_purse', True), models.Q(('balance_nano', 0), ('held_nano', 0)), _connector='OR'), name='account_house_is_empty'),
        ),
        run_sql_file("billing/sql/check_posting.sql"),
        run_sql_file("billing/sql/spend_limits.sql"),
        run_sql_file("billing/sql/ledger_reserve.sql"),
        run_sql_file("billing/sql/ledger_record.sql"),
        run_sql_file("billing/sql/ledger_expire.sql"),
        run_sql_file("billing/sql/plans.sql"),
        run_sql_file("billing/sql/lean_rows.sql"),
    ]
