from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from allauth.account.decorators import secure_admin_login
        from django.contrib import admin

        from accounts.rights import may
        from config.foundation import rights

        # Floors below ask the slab, the slab asks our table.
        rights.install(may)

        # The admin site's own login form knows no second factor: everybody comes in by the one door.
        admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
