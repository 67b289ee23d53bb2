from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MigrationsCenterConfig(AppConfig):
    name = "migrations_center"
    verbose_name = _("Migrations")

    def ready(self) -> None:
        from billing.old_balances import subscribe
        from migrations_center.old_balances import old_balances_of

        subscribe(old_balances_of)
