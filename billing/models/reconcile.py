"""Reconciliation: what was compared when, and every difference with what became of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerEntry
from config.foundation.ids import uuid7


class ReconcileRun(models.Model):
    """One comparison of ledger, request logs, roll-ups and holds, with its result per check."""

    class Scope(models.TextChoices):
        QUICK = "quick", _("last hours")
        FULL = "full", _("everything")

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("broken off")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.CharField(_("compared"), max_length=8, choices=Scope.choices)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    heartbeat_at = models.DateTimeField(auto_now_add=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("started by")
    )
    # What a quick run looks at: calls and entries from here on.
    since = models.DateTimeField(_("from"), null=True)
    checks_done = models.PositiveSmallIntegerField(_("checks done"), default=0)
    checks_total = models.PositiveSmallIntegerField(_("checks"), default=0)
    difference_count = models.PositiveIntegerField(_("differences"), default=0)
    # [{"code": ..., "breaches": n, "ms": n}]
    results = models.JSONField(_("results"), default=list)
    error = models.CharField(_("error"), max_length=191, blank=True)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"{self.scope} {self.started_at:%Y-%m-%d %H:%M}"


class Difference(models.Model):
    """Something that does not agree. One row as long as it is open, however many runs meet it."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        EXPLAINED = "explained", _("explained")
        FIXED = "fixed", _("fixed by an entry")
        WRITTEN_OFF = "written_off", _("written off")
        GONE = "gone", _("no longer there")

    check_code = models.CharField(_("check"), max_length=32)
    thing = models.CharField(_("object"), max_length=255)
    detail = models.CharField(_("what differs"), max_length=500, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.OPEN)
    first_run = models.ForeignKey(ReconcileRun, on_delete=models.PROTECT, related_name="found", verbose_name=_("first seen by"))
    last_run = models.ForeignKey(ReconcileRun, on_delete=models.PROTECT, related_name="seen", verbose_name=_("last seen by"))
    found_at = models.DateTimeField(_("found"), auto_now_add=True)
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("decided by")
    )
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    entry = models.ForeignKey(
        LedgerEntry, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("ledger entry")
    )

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ("-found_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["check_code", "thing"], condition=Q(state="open"), name="difference_open_once"),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None) | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="difference_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["explained", "written_off"]) | ~Q(reason=""), name="difference_decided_has_reason"
            ),
            models.CheckConstraint(condition=Q(entry__isnull=False) | ~Q(state="fixed"), name="difference_fixed_has_entry"),
        ]

    def __str__(self) -> str:
        return f"{self.check_code}: {self.thing}"
