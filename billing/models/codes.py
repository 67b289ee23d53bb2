"""Redemption codes: money promised to whoever holds the code, so each unspent one is a liability in the ledger."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class RedemptionCode(models.Model):
    """A code by its digest (HMAC as for keys). Claimed by one conditional update."""

    class State(models.TextChoices):
        UNUSED = "unused", _("unused")
        DISABLED = "disabled", _("disabled")
        USED = "used", _("used")

    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_number = models.PositiveSmallIntegerField(editable=False)
    tail = models.CharField(_("tail"), max_length=4)
    batch_name = models.CharField(_("batch"), max_length=191, blank=True)
    amount_nano = models.BigIntegerField(_("amount"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.UNUSED)
    # The account the promise is booked on: one per origin.
    origin = models.CharField(_("origin"), max_length=64, blank=True, default="")
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    used_at = models.DateTimeField(_("used"), null=True, blank=True)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="codes_used",
        verbose_name=_("used by"),
    )

    class Meta:
        verbose_name = _("redemption code")
        verbose_name_plural = _("redemption codes")
        constraints = [models.CheckConstraint(condition=Q(amount_nano__gte=0), name="code_not_negative")]

    def __str__(self) -> str:
        return f"...{self.tail}"
