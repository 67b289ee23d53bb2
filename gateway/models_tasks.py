"""Creative tasks: pictures and videos that were asked for, how they ended, what they cost; and teams' templates for them.

A task's id is the request id of the call that made it, so ledger, hold, request log and task have one name. Never a prompt,
a reference picture or a result: of texts only their length is kept.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from keys.models import ApiKey
from models_catalog.models import Upstream


class MediaTask(models.Model):
    """One picture or video that was asked for. ``cost_nano`` is what its call was charged, nano-USD."""

    class Kind(models.TextChoices):
        IMAGE = "image", _("image")
        VIDEO = "video", _("video")

    class State(models.TextChoices):
        SUBMITTED = "submitted", _("being handed over")
        QUEUED = "queued", _("waiting at the provider")
        IN_PROGRESS = "in_progress", _("being made")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("not known")

    CLOSED = (State.COMPLETED, State.FAILED)

    id = models.UUIDField(primary_key=True, editable=False)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=12, choices=State.choices)
    # The payer is the person or the team; the key tells the member.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("person"),
    )
    team = models.ForeignKey(
        Group, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("team")
    )
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("key")
    )
    key_name = models.CharField(_("key"), max_length=191, blank=True)
    key_tail = models.CharField(_("key tail"), max_length=4, blank=True)
    group_code = models.CharField(_("group"), max_length=191, blank=True)
    endpoint = models.CharField(_("endpoint"), max_length=64, blank=True)
    asked_model = models.CharField(_("asked"), max_length=255, blank=True)
    billed_model = models.CharField(_("billed"), max_length=255, blank=True)
    served_model = models.CharField(_("served"), max_length=255, blank=True)
    # Inner route: operators only.
    upstream = models.ForeignKey(
        Upstream, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("upstream")
    )
    upstream_name = models.CharField(_("name at the upstream"), max_length=255, blank=True)
    upstream_task_id = models.CharField(_("id at the upstream"), max_length=255, blank=True)
    # Figures, switches and words from lists; of a text its length.
    parameters = models.JSONField(_("parameters"), default=dict)
    # SHA-256 of model, endpoint and parameters: equal for a request that repeats another one.
    parameters_hash = models.CharField(_("parameter hash"), max_length=64, blank=True)
    reference_count = models.PositiveSmallIntegerField(_("references"), default=0)
    template_id = models.BigIntegerField(null=True)
    template_number = models.PositiveIntegerField(null=True)
    callback_url = models.CharField(_("callback"), max_length=500, blank=True)
    price_version_id = models.BigIntegerField(null=True)
    price_multiplier = models.CharField(max_length=40, blank=True)
    held_nano = models.BigIntegerField(_("held"), default=0)
    cost_nano = models.BigIntegerField(_("cost"), default=0)
    progress = models.PositiveSmallIntegerField(_("progress, %"), default=0)
    item_count = models.PositiveIntegerField(_("pieces"), default=0)
    delivered_ms = models.BigIntegerField(_("length, ms"), default=0)
    delivered_size = models.CharField(_("size"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("asked for"))
    finished_at = models.DateTimeField(_("ended"), null=True)
    failure_code = models.CharField(_("reason"), max_length=64, blank=True)
    failure_reason = models.CharField(_("in words"), max_length=500, blank=True)
    # Why it is not known how the task stands.
    doubt = models.CharField(_("doubt"), max_length=64, blank=True)
    # What can be fetched: video, thumbnail, spritesheet; images go out with the answer and are not kept.
    assets = models.JSONField(_("assets"), default=list)
    assets_expire_at = models.DateTimeField(_("assets until"), null=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True)
    # When the provider is asked next; empty for tasks that are over.
    next_check_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(_("last asked"), null=True)
    check_count = models.PositiveIntegerField(_("times asked"), default=0)
    failed_checks = models.PositiveIntegerField(default=0)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("decided by")
    )
    decision_note = models.CharField(_("note"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("creative task")
        verbose_name_plural = _("creative tasks")
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=Q(user=None) | Q(team=None), name="task_one_payer"),
            models.CheckConstraint(
                condition=Q(state__in=("completed", "failed")) ^ Q(finished_at=None), name="task_over_has_time"
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(failure_code=""), name="task_failed_has_reason"),
            models.CheckConstraint(condition=~Q(state="unknown") | ~Q(doubt=""), name="task_unknown_has_doubt"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="task_of_person"),
            models.Index(fields=["team", "-id"], name="task_of_team"),
            models.Index(fields=["key", "-id"], name="task_of_key"),
            models.Index(fields=["next_check_at"], condition=Q(next_check_at__isnull=False), name="task_due"),
            models.Index(fields=["state", "-id"], name="task_by_state"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return f"{self.kind}_{self.id.hex}"


class TaskTemplate(models.Model):
    """Parameters a team uses again and again, under a name; what they are stands in its versions."""

    team = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="task_templates", verbose_name=_("team"))
    name = models.SlugField(_("name"), max_length=64)
    kind = models.CharField(_("kind"), max_length=8, choices=MediaTask.Kind.choices)
    is_active = models.BooleanField(_("in use"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ("team", "name")
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="task_template_once")]

    def __str__(self) -> str:
        return self.name


class TaskTemplateVersion(models.Model):
    """One version of a template; never edited, an edit makes the next one. A prompt is no part of it."""

    template = models.ForeignKey(TaskTemplate, on_delete=models.CASCADE, related_name="versions", verbose_name=_("template"))
    number = models.PositiveIntegerField(_("version"))
    model_name = models.CharField(_("model"), max_length=255)
    parameters = models.JSONField(_("parameters"), default=dict)
    note = models.CharField(_("note"), max_length=255, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("version of a template")
        verbose_name_plural = _("versions of templates")
        ordering = ("-number",)
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="task_template_version_once")]

    def __str__(self) -> str:
        return f"{self.template}@{self.number}"
