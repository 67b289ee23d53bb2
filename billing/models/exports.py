"""Workbooks that are too large to be made while somebody waits: asked for, made by a worker, kept for a day."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from config.foundation.ids import uuid7


class ExportJob(models.Model):
    """One workbook. ``query`` is the address it was asked for with, so that it holds what the page showed."""

    class State(models.TextChoices):
        QUEUED = "queued", _("waits for a worker")
        RUNNING = "running", _("is being made")
        DONE = "done", _("ready")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports", verbose_name=_("asked by")
    )
    name = models.CharField(_("list"), max_length=40)
    query = models.TextField(blank=True)
    language = models.CharField(_("language"), max_length=16)
    time_zone = models.CharField(_("time zone"), max_length=64)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.QUEUED)
    row_count = models.BigIntegerField(_("rows"), default=0)
    byte_count = models.BigIntegerField(_("bytes"), default=0)
    error = models.CharField(_("error"), max_length=191, blank=True)
    created_at = models.DateTimeField(pgettext_lazy("time", "asked"), auto_now_add=True)
    # The last sign of life of the worker that has it; names who may write on.
    touched_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ("-created_at", "-pk")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running"], finished_at=None)
                | Q(state__in=["done", "failed"], finished_at__isnull=False),
                name="export_ended_has_time",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], condition=Q(state__in=["queued", "running"]), name="export_open")]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"


class ExportPart(models.Model):
    """A piece of the file, in order: any web process can send what any worker made."""

    job = models.ForeignKey(ExportJob, on_delete=models.CASCADE, related_name="parts", verbose_name=_("export"), db_index=False)
    n = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        verbose_name = _("part of an export")
        verbose_name_plural = _("parts of exports")
        constraints = [models.UniqueConstraint(fields=["job", "n"], name="export_part_once")]

    def __str__(self) -> str:
        return f"{self.job_id} {self.n}"
