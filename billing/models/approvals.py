"""Acts with money that two people stand behind, and the override for the hour when only one is there."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.models.codes import CodeBatch
from billing.models.ledger import LedgerAccount, LedgerEntry


class BreakGlass(models.Model):
    """An administrator's override: it ends by the clock, and somebody else has to look at what was done with it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="overrides", verbose_name=_("person")
    )
    reason = models.CharField(_("reason"), max_length=255)
    opened_at = models.DateTimeField(_("opened"))
    expires_at = models.DateTimeField(_("ends"))
    # When the end was written into the audit trail; the rights are gone at ``expires_at`` whether or not it was.
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("reviewed by"),
    )
    review_note = models.CharField(_("finding"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("override")
        verbose_name_plural = _("overrides")
        ordering = ("-pk",)
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("opened_at")), name="override_ends"),
            models.CheckConstraint(
                condition=Q(reviewed_by=None) | ~Q(reviewed_by=F("user")), name="override_reviewed_by_another"
            ),
            # Who has one that nobody looked at yet gets no other.
            models.UniqueConstraint(fields=["user"], condition=Q(reviewed_at=None), name="override_one_unreviewed"),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.opened_at:%Y-%m-%d %H:%M}"


class AdjustmentRequest(models.Model):
    """An act with money that one person asks for and another one approves; it is performed by the approval."""

    class Kind(models.TextChoices):
        ADJUSTMENT = "adjustment", _("adjustment")
        CREDIT_LIMIT = "credit_limit", _("credit limit")
        REVERSAL = "reversal", _("reversal")
        TOP_UP = "top_up", _("large top-up")
        CODE_BATCH = "code_batch", _("batch of codes")
        REVALUE = "revalue", _("new value of codes")
        REFUND_DEBT = "refund_debt", _("refund beyond the balance")
        ASSIGN = "assign", _("large unmatched payment")
        CALL_REFUND = "call_refund", _("refund of a call")
        CONVERSION = "conversion", _("conversion of money")

    class State(models.TextChoices):
        OPEN = "open", _("waits for a second person")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    # The act in the ledger, so that approving twice books once.
    transaction_id = models.UUIDField(_("transaction id"), unique=True, default=uuid.uuid4)
    purse = models.ForeignKey(
        LedgerAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("purse")
    )
    entry = models.ForeignKey(
        LedgerEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("entry")
    )
    batch = models.ForeignKey(
        CodeBatch, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("batch")
    )
    amount_nano = models.BigIntegerField(_("amount"))
    # What else the act needs, in JSON's own types.
    details = models.JSONField(_("details"), default=dict, blank=True)
    reason = models.CharField(_("reason"), max_length=255)
    evidence_url = models.URLField(_("evidence"), max_length=500, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("asked by")
    )
    requested_at = models.DateTimeField(pgettext_lazy("time", "asked"), auto_now_add=True)
    # Small enough for one person by the settings of that day.
    is_alone = models.BooleanField(_("by one person"), default=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decision_note = models.CharField(_("note"), max_length=255, blank=True)
    override = models.ForeignKey(
        BreakGlass, null=True, blank=True, on_delete=models.PROTECT, related_name="requests", verbose_name=_("override")
    )

    class Meta:
        verbose_name = _("request for approval")
        verbose_name_plural = _("requests for approval")
        ordering = ("-pk",)
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="request_has_reason"),
            models.CheckConstraint(condition=Q(state="open") ^ Q(decided_at__isnull=False), name="request_decided_has_time"),
            # The four eyes, kept by the database as well.
            models.CheckConstraint(
                condition=~Q(state__in=["done", "refused"])
                | Q(is_alone=True)
                | Q(override__isnull=False)
                | (Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by"))),
                name="request_two_people",
            ),
        ]
        indexes = [models.Index(fields=["-id"], condition=Q(state="open"), name="request_open")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def currency(self) -> str:
        """What ``amount_nano`` is counted in."""
        if self.purse is not None:
            return self.purse.currency
        return self.entry.from_account.currency if self.entry is not None else "USD"
