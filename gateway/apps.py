from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = _("Gateway")

    def ready(self) -> None:
        from gateway import task_panels
        from gateway.counts_reader import read
        from keys import counts

        counts.install(read)
        task_panels.install()
