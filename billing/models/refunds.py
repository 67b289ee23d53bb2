"""Money of a call given back."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CallRefund(models.Model):
    """One act of giving back a call's charge, whole or in part. ``key`` names the act, so that a repeat is the same one."""

    request_id = models.UUIDField(_("request id"))
    key = models.CharField(_("act"), max_length=64)
    amount_nano = models.BigIntegerField(_("amount"))
    reason = models.CharField(_("reason"), max_length=255)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("refund of a call")
        verbose_name_plural = _("refunds of calls")
        constraints = [
            models.UniqueConstraint(fields=["request_id", "key"], name="call_refund_once"),
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="call_refund_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.key}"
