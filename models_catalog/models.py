"""What can be called and where it is served: providers, upstreams, models, access and the versioned name map.

Groups are named by their code here, because this app and ``accounts`` do not know each other.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Modality(models.TextChoices):
    TEXT = "text", pgettext_lazy("modality", "text")
    EMBEDDING = "embedding", _("embedding")
    IMAGE = "image", _("image")
    AUDIO = "audio", _("audio")
    VIDEO = "video", _("video")
    MUSIC = "music", _("music")
    RERANK = "rerank", _("rerank")
    MODERATION = "moderation", _("moderation")


class Provider(models.Model):
    """A company or product that serves models, with the wire protocol it speaks."""

    class Protocol(models.TextChoices):
        OPENAI = "openai", "OpenAI"
        ANTHROPIC = "anthropic", "Anthropic"
        OTHER = "other", _("other")

    code = models.SlugField(_("code"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=128)
    protocol = models.CharField(_("protocol"), max_length=16, choices=Protocol.choices, default=Protocol.OPENAI)
    website = models.URLField(_("website"), blank=True)

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AIModel(models.Model):
    """A name that clients may call."""

    name = models.CharField(_("name"), max_length=255, unique=True)
    display_name = models.CharField(_("display name"), max_length=255, blank=True)
    modality = models.CharField(_("modality"), max_length=16, choices=Modality.choices, default=Modality.TEXT)
    capabilities = ArrayField(models.CharField(max_length=32), verbose_name=_("capabilities"), default=list, blank=True)
    context_tokens = models.PositiveIntegerField(_("context window, tokens"), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(_("output limit, tokens"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ModelAccess(models.Model):
    """One group may call one model; ``*`` stands for every group. What is not listed is refused."""

    model = models.ForeignKey(AIModel, on_delete=models.CASCADE, related_name="access")
    group_code = models.CharField(_("group"), max_length=191)

    class Meta:
        verbose_name = _("model access")
        verbose_name_plural = _("model access")
        constraints = [models.UniqueConstraint(fields=["model", "group_code"], name="model_access_once")]

    def __str__(self) -> str:
        return f"{self.group_code}: {self.model}"


class Upstream(models.Model):
    """One place that serves models. The credential is sealed at rest and never read back to a page."""

    class State(models.TextChoices):
        ENABLED = "enabled", _("enabled")
        DISABLED = "disabled", _("disabled")
        AUTO_DISABLED = "auto_disabled", _("disabled automatically")
        NEEDS_CREDENTIAL = "needs_credential", _("needs a credential")

    name = models.CharField(_("name"), max_length=191)
    provider = models.ForeignKey(Provider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="upstreams")
    base_url = models.URLField(_("base URL"), max_length=500, help_text=_("Without /v1 at the end."))
    credential_sealed = models.BinaryField(null=True, blank=True, editable=False)
    credential_tail = models.CharField(_("credential"), max_length=8, blank=True, editable=False)
    # Empty: every group that has access to the model. Otherwise only these groups are routed here.
    group_codes = ArrayField(models.CharField(max_length=191), verbose_name=_("groups"), default=list, blank=True)
    priority = models.IntegerField(_("priority"), default=0, help_text=_("Higher is tried first."))
    weight = models.PositiveIntegerField(_("weight"), default=1, help_text=_("Share among equals."))
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.ENABLED)
    timeout_seconds = models.PositiveIntegerField(_("time limit, s"), default=600)
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("upstream")
        verbose_name_plural = _("upstreams")
        ordering = ("-priority", "name")

    def __str__(self) -> str:
        return self.name


class UpstreamModel(models.Model):
    """A model that an upstream serves, under the name the upstream knows it by."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="served", verbose_name=_("upstream"))
    model = models.ForeignKey(AIModel, on_delete=models.CASCADE, related_name="served_by")
    upstream_name = models.CharField(_("name at the upstream"), max_length=255)
    # What it takes, see models_catalog.parameters; empty: not described, everything passes.
    parameters = models.JSONField(_("takes"), default=dict, blank=True, db_default={})

    class Meta:
        verbose_name = _("served model")
        verbose_name_plural = _("served models")
        constraints = [models.UniqueConstraint(fields=["upstream", "model"], name="upstream_model_once")]

    def __str__(self) -> str:
        return f"{self.model} @ {self.upstream}"


class NameMapVersion(models.Model):
    """One published state of the name map; entries carry the versions between which they hold."""

    number = models.PositiveIntegerField(_("version"), primary_key=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.CharField(_("by"), max_length=191)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("name map version")
        verbose_name_plural = _("name map versions")
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"v{self.number}"


class NameMapEntry(models.Model):
    """An old name and the name that is called for it; never edited, only superseded by a later version."""

    class Kind(models.TextChoices):
        SAME = "same", _("same name")
        ALIAS = "alias", _("alias")
        REPLACEMENT = "replacement", _("replacement")
        RETIRED = "retired", _("retired")

    old_name = models.CharField(_("old name"), max_length=255)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    callable_model = models.ForeignKey(
        AIModel, verbose_name=_("called name"), null=True, blank=True, on_delete=models.PROTECT, related_name="old_names"
    )
    # True: the price of the called name is charged; False: the old name keeps a price of its own.
    bill_as_called = models.BooleanField(_("billed by the called name"), default=True)
    reason = models.TextField(_("reason"), blank=True)
    approved_by = models.CharField(_("approved by"), max_length=191, blank=True)
    from_version = models.ForeignKey(NameMapVersion, on_delete=models.PROTECT, related_name="entries", verbose_name=_("since"))
    until_version = models.ForeignKey(
        NameMapVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="ended", verbose_name=_("until")
    )

    class Meta:
        verbose_name = _("name map entry")
        verbose_name_plural = _("name map")
        ordering = ("old_name",)
        constraints = [
            models.UniqueConstraint(fields=["old_name"], condition=Q(until_version=None), name="name_map_current_once"),
            models.CheckConstraint(
                condition=Q(kind="retired") | Q(callable_model__isnull=False), name="name_map_target_unless_retired"
            ),
            models.CheckConstraint(
                condition=Q(until_version=None) | Q(until_version__gt=F("from_version")), name="name_map_versions_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.old_name} -> {self.callable_model or '-'}"
