from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MigrationsCenterConfig(AppConfig):
    name = "migrations_center"
    verbose_name = _("Migrations")
