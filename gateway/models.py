"""Old entries (the gateways people come from) and which key belongs to which; relay instances that report in."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Group
from config.foundation.outcomes import Outcome
from gateway.models_planes import DataPlane, DataPlaneInstance, KeyChange, PlaneEvent, PlaneTally
from gateway.models_tasks import MediaTask, TaskTemplate, TaskTemplateVersion  # noqa: F401 - this app's models too
from keys.models import ApiKey
from models_catalog.models import AIModel, Upstream


class OldEntry(models.Model):
    """The public address of an old gateway. Calls of keys on the old route are forwarded here with the caller's own key."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    base_url = models.URLField(_("base URL"), max_length=500, help_text=_("Without /v1 at the end."))
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("old entry")
        verbose_name_plural = _("old entries")

    def __str__(self) -> str:
        return self.name


class KeyOldEntry(models.Model):
    """The old entry a key was used at."""

    key = models.OneToOneField(
        ApiKey, primary_key=True, on_delete=models.CASCADE, related_name="old_entry_link", verbose_name=_("key")
    )
    old_entry = models.ForeignKey(OldEntry, on_delete=models.PROTECT, related_name="key_links", verbose_name=_("old entry"))

    class Meta:
        verbose_name = _("old entry of a key")
        verbose_name_plural = _("old entries of keys")

    def __str__(self) -> str:
        return f"{self.key}: {self.old_entry}"


class RelayInstance(models.Model):
    """A running relay process: when it was last heard of and which configuration it serves."""

    name = models.CharField(_("name"), max_length=128, primary_key=True)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last heard of"))
    config_version = models.BigIntegerField(_("configuration"), default=0)
    open_calls = models.IntegerField(_("open calls"), default=0)
    # Ends of calls that PostgreSQL does not have yet, those included that processes of the same disk left which are gone.
    spool_depth = models.BigIntegerField(_("events waiting"), db_default=0, default=0)
    oldest_unacked_s = models.BigIntegerField(_("oldest waiting, s"), db_default=0, default=0)
    lease_count = models.IntegerField(_("leases"), db_default=0, default=0)

    class Meta:
        verbose_name = _("relay")
        verbose_name_plural = _("relays")

    def __str__(self) -> str:
        return self.name


class EntryPoint(models.Model):
    """A line of the register of entries: an address that clients call, or called before the move."""

    class Family(models.TextChoices):
        OPENAI = "openai", "OpenAI"
        ANTHROPIC = "anthropic", "Anthropic"
        ONE_API = "one_api", "One API"
        NEW_API = "new_api", "New API"
        OTHER = "other", _("another one")

    class Environment(models.TextChoices):
        PRODUCTION = "production", _("production")
        STAGING = "staging", _("staging")
        TEST = "test", _("test")

    class Side(models.TextChoices):
        OLD = "old", _("old entry")
        NEW = "new", _("new entry")

    class State(models.TextChoices):
        LIVE = "live", _("live")
        OBSERVING = "observing", _("observing")
        SUNSET = "sunset", _("sunset")
        CLOSED = "closed", _("closed")

    name = models.CharField(_("name"), max_length=128)
    url = models.CharField(
        _("address"), max_length=500, help_text=_("What stands in the clients, such as https://gateway.example.org/v1.")
    )
    # Host, with the port where it is not the usual one: what a client's request is recognised by.
    host = models.CharField(max_length=260, editable=False, db_index=True)
    # The address in one spelling: the same entry cannot be registered twice.
    address = models.CharField(max_length=500, unique=True, editable=False)
    family = models.CharField(_("protocol"), max_length=16, choices=Family.choices, default=Family.OPENAI)
    environment = models.CharField(_("environment"), max_length=16, choices=Environment.choices, default=Environment.PRODUCTION)
    side = models.CharField(_("side"), max_length=8, choices=Side.choices, default=Side.NEW)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.LIVE)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="entries_owned", verbose_name=_("owner")
    )
    note = models.CharField(_("note"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        # The words of the ledger's entries are others in Chinese.
        verbose_name = pgettext_lazy("address", "entry")
        verbose_name_plural = pgettext_lazy("address", "entries")
        ordering = ("side", "environment", "name")

    def __str__(self) -> str:
        return self.name


class EntrySighting(models.Model):
    """Calls of a key at an entry on a UTC day, by client and by the route the key had; counted by the relay.

    ``entry`` is empty for a host that is not in the register.
    """

    day_on = models.DateField(_("day"))
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="sightings", verbose_name=_("key"))
    entry = models.ForeignKey(
        EntryPoint,
        null=True,
        on_delete=models.SET_NULL,
        related_name="sightings",
        verbose_name=pgettext_lazy("address", "entry"),
    )
    route = models.CharField(_("route"), max_length=8)
    client_family = models.CharField(_("client"), max_length=32, blank=True)
    call_count = models.BigIntegerField(_("calls"), default=0)
    first_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("sighting")
        verbose_name_plural = _("sightings")
        constraints = [
            models.UniqueConstraint(
                fields=["key", "day_on", "entry", "route", "client_family"], name="entry_sighting_once", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["entry", "route", "-last_at"], name="entry_sighting_last")]

    def __str__(self) -> str:
        return f"{self.key_id} {self.day_on}: {self.call_count}"


class AccessCheck(models.Model):
    """One plain and one streamed call that the portal made with a key as a kind of client makes them, and what came of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        PASSED = "passed", _("passed")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="access_checks", verbose_name=_("key"))
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_checks", verbose_name=_("by")
    )
    profile = models.CharField(_("client"), max_length=32)
    model_name = models.CharField(_("model"), max_length=255)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    # gateway.probes.Outcome.as_dict() of each call: status, times, cause; nothing of the answer.
    results = models.JSONField(default=list)
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("access check")
        verbose_name_plural = _("access checks")
        indexes = [models.Index(fields=["key", "-created_at"], name="access_check_newest")]

    def __str__(self) -> str:
        return f"{self.profile} {self.model_name}: {self.state}"


class UpstreamHealth(models.Model):
    """An upstream that one relay leaves alone at the moment, because it failed again and again."""

    pk = models.CompositePrimaryKey("relay", "upstream_id", "upstream_name")
    relay = models.CharField(_("relay"), max_length=128)
    upstream = models.ForeignKey(
        Upstream, verbose_name=_("upstream"), on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    upstream_name = models.CharField(_("name at the upstream"), max_length=255)
    reason = models.CharField(_("why"), max_length=64)
    failure_count = models.IntegerField(_("failures in a row"))
    since_at = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last heard of"))

    class Meta:
        verbose_name = _("upstream left alone")
        verbose_name_plural = _("upstreams left alone")

    def __str__(self) -> str:
        return f"{self.upstream_name} @ {self.upstream_id}"


class FallbackRule(models.Model):
    """A written rule: when one model gives nothing, another one may answer. In force only after a second person agreed."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        ACTIVE = "active", _("in force")
        ENDED = "ended", _("ended")

    class Trigger(models.TextChoices):
        MODEL_UNAVAILABLE = Outcome.MODEL_UNAVAILABLE.value, _("the model is not available")
        UPSTREAM_ERROR = Outcome.UPSTREAM_ERROR.value, _("its provider fails")
        TIMEOUT = Outcome.TIMEOUT.value, _("no answer comes in time")
        RATE_LIMITED = Outcome.RATE_LIMITED.value, _("its provider is busy")

    from_model = models.ForeignKey(
        AIModel, verbose_name=_("asked model"), on_delete=models.PROTECT, related_name="fallbacks_from"
    )
    to_model = models.ForeignKey(
        AIModel, verbose_name=_("answers instead"), on_delete=models.PROTECT, related_name="fallbacks_to"
    )
    triggers = ArrayField(models.CharField(max_length=24, choices=Trigger.choices), verbose_name=_("when"))
    is_price_protected = models.BooleanField(
        _("price protected"), default=True, help_text=_("The call never costs more than the asked model would have.")
    )
    reason = models.CharField(_("reason"), max_length=255)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.PROPOSED)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("proposed by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("approved by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    approved_at = models.DateTimeField(_("approved at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("fallback rule")
        verbose_name_plural = _("fallback rules")
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["from_model"], condition=Q(state="active"), name="fallback_once"),
            models.CheckConstraint(condition=~Q(from_model=F("to_model")), name="fallback_to_another"),
            models.CheckConstraint(
                condition=~Q(state="active") | Q(approved_at__isnull=False), name="fallback_active_is_approved"
            ),
            # Nobody approves what they wrote; a person deleted since leaves the names empty.
            models.CheckConstraint(
                condition=Q(approved_by=None) | Q(proposed_by=None) | ~Q(approved_by=F("proposed_by")),
                name="fallback_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_model} -> {self.to_model}"


class ErrorProfile(models.Model):
    """In whose shape the unified entry tells errors: for one key, for one group, or (neither set) for everybody."""

    class Profile(models.TextChoices):
        PORTAL = "portal", _("the portal's own")
        ONE_API = "one_api", "One API"
        NEW_API = "new_api", "New API"

    group = models.OneToOneField(Group, verbose_name=_("group"), null=True, blank=True, on_delete=models.CASCADE)
    key = models.OneToOneField(ApiKey, verbose_name=_("key"), null=True, blank=True, on_delete=models.CASCADE)
    profile = models.CharField(_("shape"), max_length=12, choices=Profile.choices)

    class Meta:
        verbose_name = _("shape of errors")
        verbose_name_plural = _("shapes of errors")
        constraints = [
            models.CheckConstraint(condition=Q(group=None) | Q(key=None), name="error_profile_group_or_key"),
            models.UniqueConstraint(fields=["group", "key"], nulls_distinct=False, name="error_profile_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key or self.group or '*'}: {self.profile}"


from gateway.models_rollout import (  # noqa: E402
    Feature,
    FeatureUse,
    KeyConfirmation,
    KeyWatch,
    ProofResult,
    ProofRun,
)
from gateway.models_trials import TrialItem, TrialList  # noqa: E402

__all__ = [
    "AccessCheck",
    "DataPlane",
    "DataPlaneInstance",
    "EntryPoint",
    "EntrySighting",
    "ErrorProfile",
    "FallbackRule",
    "Feature",
    "FeatureUse",
    "KeyChange",
    "KeyConfirmation",
    "KeyOldEntry",
    "KeyWatch",
    "OldEntry",
    "PlaneEvent",
    "PlaneTally",
    "ProofResult",
    "ProofRun",
    "RelayInstance",
    "TrialItem",
    "TrialList",
    "UpstreamHealth",
]
