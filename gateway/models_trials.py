"""Trial lists: what a project has shown to work before it may go to production."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from keys.models import ApiKey


class TrialList(models.Model):
    """The list of one project (a team): five items by its kind, ticked by calls through the entry, never by hand."""

    class Kind(models.TextChoices):
        TEXT = "text", _("text project")
        CREATIVE = "creative", _("creative project")

    class State(models.TextChoices):
        TRIAL = "trial", _("on trial")
        PRODUCTION = "production", _("in production")

    class Check(models.TextChoices):
        NONE = "none", _("not running")
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")

    team = models.OneToOneField(
        Group, primary_key=True, on_delete=models.CASCADE, related_name="trial_list", verbose_name=_("project")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.TRIAL)
    check_state = models.CharField(_("checks"), max_length=8, choices=Check.choices, default=Check.NONE)
    beat_at = models.DateTimeField(null=True)
    # What the checks are made with: the newest choice.
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("test key"))
    model_name = models.CharField(_("model"), max_length=255, blank=True)
    resolution = models.CharField(_("resolution"), max_length=16, default="1024x1024")
    wide_size = models.CharField(_("another ratio"), max_length=16, default="1536x1024")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("checks asked by")
    )
    # Which money the team might spend before it was put on trial; "" for the policy's own word.
    money_before = models.CharField(max_length=16, blank=True)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    produced_at = models.DateTimeField(_("in production since"), null=True)

    class Meta:
        verbose_name = _("trial list")
        verbose_name_plural = _("trial lists")
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="production") | Q(produced_at__isnull=False), name="trial_production_has_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.team}: {self.get_state_display()}"


class TrialItem(models.Model):
    """One thing to be shown: open until a check has shown it, red with the cause when the check did not."""

    class Code(models.TextChoices):
        BASE_URL = "base_url", _("Base URL")
        KEY = "key", _("Key")
        MODEL = "model", _("Model")
        STREAMING = "streaming", _("Streaming")
        ERRORS = "errors", _("Error handling")
        PROMPT = "prompt", _("Prompt")
        RATIO = "ratio", _("Ratio")
        RESOLUTION = "resolution", _("Resolution")
        RECORD = "record", _("Task record")
        DOWNLOAD = "download", _("Download")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        PASSED = "passed", _("shown")
        FAILED = "failed", _("not shown")

    trial = models.ForeignKey(TrialList, on_delete=models.CASCADE, related_name="items")
    code = models.CharField(_("item"), max_length=12, choices=Code.choices)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    cause = models.CharField(_("cause"), max_length=32, blank=True)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    checked_at = models.DateTimeField(_("checked"), null=True)

    class Meta:
        verbose_name = _("item of a trial list")
        verbose_name_plural = _("items of trial lists")
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["trial", "code"], name="trial_item_once")]

    def __str__(self) -> str:
        return f"{self.trial_id} {self.code}: {self.state}"
