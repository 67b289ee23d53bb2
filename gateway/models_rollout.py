"""Moving step by step: keys the relays confirm, features in use, proofs of names."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from keys.models import ApiKey


class KeyWatch(models.Model):
    """A key that every relay is asked to read now, so that its first call finds it there."""

    key = models.OneToOneField(ApiKey, primary_key=True, on_delete=models.CASCADE, related_name="watch", verbose_name=_("key"))
    asked_at = models.DateTimeField(pgettext_lazy("time", "asked"))

    class Meta:
        verbose_name = _("key to be confirmed")
        verbose_name_plural = _("keys to be confirmed")

    def __str__(self) -> str:
        return str(self.key)


class KeyConfirmation(models.Model):
    """What one relay said of one key: the fingerprint of what it holds, or why it cannot hold it."""

    class Withheld(models.TextChoices):
        NO_SECRET = "no_secret", _("it knows no secret of the key")
        UNKNOWN_PEPPER = "unknown_pepper", _("it has not the pepper the secret was kept with")

    pk = models.CompositePrimaryKey("relay", "key_id")
    relay = models.CharField(_("relay"), max_length=128)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="confirmations", verbose_name=_("key"))
    # gateway.contract.fingerprint over every living secret; "" when it is withheld.
    fingerprint = models.CharField(max_length=64, blank=True)
    withheld = models.CharField(_("withheld because"), max_length=16, choices=Withheld.choices, blank=True)
    config_version = models.BigIntegerField(_("configuration"))
    confirmed_at = models.DateTimeField(_("said"))

    class Meta:
        verbose_name = _("confirmation of a key")
        verbose_name_plural = _("confirmations of keys")

    def __str__(self) -> str:
        return f"{self.relay}: {self.key_id}"


class Feature(models.TextChoices):
    PLAIN = "plain", _("plain call")
    STREAM = "stream", _("stream")
    TOOLS = "tools", _("tools")
    JSON = "json", _("JSON answer")
    VISION = "vision", _("pictures in")
    SIZE = "size", _("size of pictures")


class FeatureUse(models.Model):
    """A feature that a model name is called with: counted by the relays, or said by a person."""

    class Source(models.TextChoices):
        CALLS = "calls", _("seen in calls")
        SAID = "said", _("said by a person")

    model_name = models.CharField(_("model"), max_length=255)
    feature = models.CharField(_("feature"), max_length=8, choices=Feature.choices)
    source = models.CharField(_("known from"), max_length=8, choices=Source.choices)
    call_count = models.BigIntegerField(_("calls"), default=0)
    first_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"))
    note = models.CharField(_("note"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("feature in use")
        verbose_name_plural = _("features in use")
        constraints = [models.UniqueConstraint(fields=["model_name", "feature", "source"], name="feature_use_once")]

    def __str__(self) -> str:
        return f"{self.model_name}: {self.feature}"


class ProofRun(models.Model):
    """Calls through the new entry for every name of the map, one for each feature in use; made by a worker, once each."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", pgettext_lazy("proof", "done")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="proof_runs", verbose_name=_("by")
    )
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="proof_runs", verbose_name=_("key"))
    # Number of the newest version of the name map when the run began.
    map_version = models.PositiveIntegerField(_("name map version"), default=0)
    with_called_names = models.BooleanField(_("names called lately too"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    error = models.CharField(_("error"), max_length=64, blank=True)
    beat_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("proof of names")
        verbose_name_plural = _("proofs of names")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}: {self.state}"


class ProofResult(models.Model):
    """What one call for one name and feature gave. Nothing of the answer is kept but its status and who answered."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        GREEN = "green", _("green")
        RED = "red", _("red")
        SKIPPED = "skipped", _("not tried")

    run = models.ForeignKey(ProofRun, on_delete=models.CASCADE, related_name="results")
    name = models.CharField(_("name"), max_length=255)
    called_name = models.CharField(_("called name"), max_length=255)
    feature = models.CharField(_("feature"), max_length=8, choices=Feature.choices)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    cause = models.CharField(_("cause"), max_length=32, blank=True)
    http_status = models.SmallIntegerField(_("status"), default=0)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    answered_as = models.CharField(_("answered as"), max_length=255, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    took_ms = models.IntegerField(_("duration, ms"), default=0)

    class Meta:
        verbose_name = _("result of a proof")
        verbose_name_plural = _("results of proofs")
        ordering = ("name", "pk")
        constraints = [models.UniqueConstraint(fields=["run", "name", "feature"], name="proof_result_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.feature}: {self.state}"
