"""Redemption codes: money promised to whoever holds the code, so each unspent one is a liability in the ledger."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CodeBatch(models.Model):
    """Codes made in one act, of one value. Their clear texts are sealed here until they are downloaded, once."""

    class PurseKind(models.TextChoices):
        BONUS = "bonus", _("bonus")
        PREPAID = "prepaid", _("prepaid")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=120, unique=True)
    purse_kind = models.CharField(_("purse"), max_length=10, choices=PurseKind.choices)
    amount_nano = models.BigIntegerField(_("amount"))
    code_count = models.PositiveIntegerField(_("codes"))
    # The expiry ends the code. What was redeemed before stays in the purse without a term.
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    max_per_person = models.PositiveSmallIntegerField(_("most per person"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=255, blank=True)
    sealed_codes = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("created by")
    )
    exported_at = models.DateTimeField(_("downloaded"), null=True, blank=True)
    exported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("downloaded by"),
    )

    class Meta:
        verbose_name = _("batch of codes")
        verbose_name_plural = _("batches of codes")
        constraints = [
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="batch_amount_positive"),
            models.CheckConstraint(condition=Q(code_count__gt=0), name="batch_not_empty"),
            models.CheckConstraint(
                condition=Q(exported_at=None) | Q(sealed_codes=None), name="batch_codes_gone_after_download"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RedemptionCode(models.Model):
    """A code by its digest (HMAC as for keys). Claimed by one conditional update."""

    class State(models.TextChoices):
        UNUSED = "unused", _("unused")
        DISABLED = "disabled", _("disabled")
        USED = "used", _("used")
        VOID = "void", _("void")
        EXPIRED = "expired", _("expired")

    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_number = models.PositiveSmallIntegerField(editable=False)
    tail = models.CharField(_("tail"), max_length=4)
    batch = models.ForeignKey(
        CodeBatch, null=True, blank=True, on_delete=models.PROTECT, related_name="codes", verbose_name=_("batch")
    )
    purse_kind = models.CharField(
        _("purse"), max_length=10, choices=CodeBatch.PurseKind.choices, default=CodeBatch.PurseKind.PREPAID
    )
    batch_name = models.CharField(_("name of the batch"), max_length=191, blank=True)
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
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state__in=["unused", "disabled"]), name="code_open_expiry"),
            models.Index(fields=["batch", "state"], name="code_batch_state"),
        ]

    def __str__(self) -> str:
        return f"...{self.tail}"


class CodeGuesses(models.Model):
    """How many wrong codes a person has typed since ``since``; kept here because a cache may be emptied."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("wrong codes")
        verbose_name_plural = _("wrong codes")

    def __str__(self) -> str:
        return f"{self.user_id}: {self.count}"
