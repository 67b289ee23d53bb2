"""Data planes: engines outside this process that serve calls over the contract, what they report, and what changed for them."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class DataPlane(models.Model):
    """An engine that may ask for decisions and report usage. Its token is kept as a digest; the clear one is shown once."""

    class Kind(models.TextChoices):
        EMBEDDED = "embedded", _("embedded relay")
        LITELLM = "litellm", "LiteLLM"
        OTHER = "other", _("another engine")

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        REVOKED = "revoked", _("revoked")

    class Wanted(models.TextChoices):
        NOTHING = "", _("serve as usual")
        DRAIN = "drain", _("take no new calls")
        RESYNC = "resync", _("read everything anew")

    name = models.CharField(_("name"), max_length=128, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.LITELLM)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.ACTIVE)
    # The newest token, and until its time is over the one before.
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    tail = models.CharField(_("tail of the token"), max_length=4)
    old_digest = models.BinaryField(max_length=32, unique=True, null=True, editable=False)
    old_valid_until = models.DateTimeField(_("old token valid until"), null=True)
    may_read_secrets = models.BooleanField(
        _("may read upstream credentials"),
        default=False,
        help_text=_("Each reading is in the audit log. Without it the engine has the credentials in its own environment."),
    )
    wanted = models.CharField(_("asked to"), max_length=8, choices=Wanted.choices, default=Wanted.NOTHING, blank=True)
    wanted_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    rotated_at = models.DateTimeField(_("token issued"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    class Meta:
        verbose_name = _("data plane")
        verbose_name_plural = _("data planes")
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(
                condition=Q(old_digest=None, old_valid_until=None) | Q(old_digest__isnull=False, old_valid_until__isnull=False),
                name="data_plane_old_token_ends",
            ),
            models.CheckConstraint(condition=Q(state="revoked") ^ Q(revoked_at=None), name="data_plane_revoked_has_time"),
        ]

    def __str__(self) -> str:
        return self.name


class DataPlaneInstance(models.Model):
    """One process of a data plane, as its last heartbeat told."""

    plane = models.ForeignKey(DataPlane, verbose_name=_("data plane"), on_delete=models.CASCADE, related_name="instances")
    name = models.CharField(_("process"), max_length=128)
    version = models.CharField(_("version"), max_length=64, blank=True)
    config_version = models.CharField(_("configuration"), max_length=64, blank=True)
    key_cursor = models.CharField(_("state of its keys"), max_length=64, blank=True)
    spool_depth = models.BigIntegerField(_("events waiting"), default=0)
    oldest_unacked_s = models.BigIntegerField(_("oldest waiting, s"), default=0)
    inflight = models.IntegerField(_("open calls"), default=0)
    lease_count = models.IntegerField(_("leases"), default=0)
    # Its clock minus ours, milliseconds: with much of it no call is admitted.
    clock_ms = models.BigIntegerField(_("clock, ms off"), default=0)
    acked_seq = models.BigIntegerField(default=0, editable=False)
    first_seen_at = models.DateTimeField(_("first heard of"), auto_now_add=True)
    seen_at = models.DateTimeField(_("last heard of"))

    class Meta:
        verbose_name = _("process of a data plane")
        verbose_name_plural = _("processes of data planes")
        ordering = ("plane", "name")
        constraints = [models.UniqueConstraint(fields=["plane", "name"], name="data_plane_instance_once")]

    def __str__(self) -> str:
        return self.name


class PlaneEvent(models.Model):
    """A usage event that was taken or finally refused: what makes sending it again harmless."""

    plane = models.ForeignKey(
        DataPlane, verbose_name=_("data plane"), on_delete=models.CASCADE, related_name="events", db_index=False
    )
    source = models.CharField(_("process"), max_length=128)
    event_id = models.CharField(_("event"), max_length=128)
    # Of the whole event: the same id with other content is refused.
    fingerprint = models.BinaryField(max_length=16, editable=False)
    request_id = models.UUIDField(_("request id"), null=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    is_final = models.BooleanField(_("ends the call"), default=True)
    status = models.CharField(_("answer"), max_length=10)
    reason = models.CharField(_("why"), max_length=64, blank=True)
    # Of an attempt that did not serve: what the request log says of it once the call ends.
    attempt_log = models.JSONField(null=True)
    received_at = models.DateTimeField(_("received"))

    class Meta:
        verbose_name = _("usage event")
        verbose_name_plural = _("usage events")
        constraints = [models.UniqueConstraint(fields=["plane", "event_id"], name="plane_event_once")]
        indexes = [
            models.Index(fields=["request_id"], condition=Q(is_final=False), name="plane_event_attempts"),
            models.Index(fields=["received_at"], name="plane_event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.status}"


class PlaneTally(models.Model):
    """What a process of a data plane says it served at one upstream in an hour (of admission, UTC), and what was taken here."""

    plane = models.ForeignKey(DataPlane, verbose_name=_("data plane"), on_delete=models.CASCADE, related_name="tallies")
    source = models.CharField(_("process"), max_length=128)
    hour_at = models.DateTimeField(_("hour"))
    # 0: calls that reached no upstream.
    upstream_id = models.BigIntegerField(_("upstream"), default=0)
    told_calls = models.BigIntegerField(_("calls told"))
    told_input = models.BigIntegerField(_("input tokens told"))
    told_output = models.BigIntegerField(_("output tokens told"))
    our_calls = models.BigIntegerField(_("calls here"))
    our_input = models.BigIntegerField(_("input tokens here"))
    our_output = models.BigIntegerField(_("output tokens here"))
    told_at = models.DateTimeField(_("compared"))

    class Meta:
        verbose_name = _("comparison with a data plane")
        verbose_name_plural = _("comparisons with data planes")
        constraints = [models.UniqueConstraint(fields=["plane", "source", "hour_at", "upstream_id"], name="plane_tally_once")]

    def __str__(self) -> str:
        return f"{self.source} {self.hour_at:%Y-%m-%d %H} {self.upstream_id}"

    @property
    def agrees(self) -> bool:
        return (self.told_calls, self.told_input, self.told_output) == (self.our_calls, self.our_input, self.our_output)


class KeyChange(models.Model):
    """A key about which something changed that data planes must know; written by triggers, read by position.

    ``changed_xid`` is the transaction that changed it. A reader asks for everything from the oldest transaction that was
    still running when it read last: so nothing that is committed late is missed.
    """

    key_id = models.BigIntegerField()
    changed_xid = models.BigIntegerField(db_index=True)
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name = _("change of a key")
        verbose_name_plural = _("changes of keys")
        indexes = [models.Index(fields=["changed_at"], name="key_change_at")]

    def __str__(self) -> str:
        return f"{self.key_id} @ {self.changed_xid}"
