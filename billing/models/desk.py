"""The desk: money that nothing could book by itself. One open item each, until a person settles it or writes it off."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from billing.models.ledger import LedgerEntry


class DeskItem(models.Model):
    """``reference`` names what it is about (for a call its request id); a kind has one item for it, however often it comes."""

    class Kind(models.TextChoices):
        UNBILLED = "unbilled", _("unbilled")
        LATE = "late", _("late")
        UNMATCHED = "unmatched", _("unmatched")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        SETTLED = "settled", _("settled")
        WRITTEN_OFF = "written_off", _("written off")
        IGNORED = "ignored", _("set aside")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    reference = models.CharField(_("reference"), max_length=191)
    request_id = models.UUIDField(_("request id"), null=True, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="desk_items",
    )
    group = models.ForeignKey(
        Group, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="desk_items"
    )
    # 0: not known. What is settled is never more than this, unless it was not known.
    amount_nano = models.BigIntegerField(_("amount"), default=0)
    # Why nothing could book it: a stable word, such as "no_hold" or "too_late".
    reason = models.CharField(_("why it is here"), max_length=64)
    # Figures for the person at the desk: columns of a request log. Never a prompt or an answer.
    details = models.JSONField(_("details"), default=dict, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    # Late money waits in the suspense account from the first moment; this is the entry that put it there.
    entry = models.ForeignKey(
        LedgerEntry, verbose_name=_("entry"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    settled_nano = models.BigIntegerField(_("settled amount"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(_("note"), max_length=255, blank=True)
    # The act that closed it: every entry of it has this transaction id.
    closing_id = models.UUIDField(_("closing act"), null=True, blank=True)

    class Meta:
        verbose_name = _("desk item")
        verbose_name_plural = _("desk items")
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="desk_item_once"),
            models.CheckConstraint(condition=Q(amount_nano__gte=0), name="desk_item_not_negative"),
            models.CheckConstraint(condition=Q(user=None) | Q(group=None), name="desk_item_one_payer"),
            models.CheckConstraint(condition=Q(state="open") ^ Q(closed_at__isnull=False), name="desk_item_closed_has_time"),
            models.CheckConstraint(
                condition=Q(state="settled") ^ Q(settled_nano__isnull=True), name="desk_item_settled_has_amount"
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "-id"], condition=Q(state="open"), name="desk_item_open"),
            models.Index(fields=["request_id"], name="desk_item_request"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
