"""Tells billing what an imported person had in units of the old gateway; subscribed when the apps are ready."""

from accounts.models import User
from billing.old_balances import OldBalance
from migrations_center.models import ImportedRow


def old_balances_of(user: User) -> list[OldBalance]:
    rows = ImportedRow.objects.filter(target_type="accounts.user", target_id=str(user.pk), table="users")
    return [
        OldBalance(
            source=row.source.name,
            units=sum(int(units) for units in row.figures.get("quota", {}).values()),
            units_per_usd=row.source.quota_per_unit,
        )
        for row in rows.select_related("source").order_by("source__code", "pk")
    ]
