"""Low-balance alerts: one mail per crossing."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class BalanceAlert(models.Model):
    """A person's own threshold and whether the alert may fire; ``epoch`` counts the crossings."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="balance_alert",
        verbose_name=_("user"),
    )
    threshold_nano = models.BigIntegerField(_("threshold"), default=1_000_000_000)
    is_enabled = models.BooleanField(_("mail me"), default=True)
    is_armed = models.BooleanField(default=True)
    epoch = models.PositiveIntegerField(default=0)
    last_balance_nano = models.BigIntegerField(null=True)
    checked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("balance alert")
        verbose_name_plural = _("balance alerts")

    def __str__(self) -> str:
        return f"{self.user}: {self.threshold_nano}"


class AlertFire(models.Model):
    """An alert that fired, with the figures of that moment. Unique per person and crossing."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_fires", verbose_name=_("user")
    )
    epoch = models.PositiveIntegerField()
    threshold_nano = models.BigIntegerField()
    balance_nano = models.BigIntegerField()
    fired_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("fired alert")
        verbose_name_plural = _("fired alerts")
        constraints = [models.UniqueConstraint(fields=["user", "epoch"], name="alert_fire_once")]

    def __str__(self) -> str:
        return f"{self.user} #{self.epoch}"
