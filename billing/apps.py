from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from billing import alert_panels, limit_panels
        from billing.catalog_audit import record_changes
        from billing.key_allowance import AllowanceDesk
        from billing.services import conversions as _conversions  # noqa: F401  (these three bring the acts of their requests)
        from billing.services import payments as _payments  # noqa: F401
        from billing.services import refunds as _refunds  # noqa: F401
        from keys import allowance
        from models_catalog.hooks import subscribe

        subscribe(record_changes)
        allowance.install(AllowanceDesk())
        limit_panels.install()
        alert_panels.install()
