from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from accounts.hooks import register_profile_section
        from billing.catalog_audit import record_changes
        from billing.key_allowance import AllowanceDesk
        from billing.profile_section import AlertSection
        from keys import allowance
        from models_catalog.hooks import subscribe

        register_profile_section(AlertSection())
        subscribe(record_changes)
        allowance.install(AllowanceDesk())
