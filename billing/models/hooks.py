"""Signed web hooks: where events are sent, what was sent, and every attempt."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from billing.models.alerts import AlertEvent
from config.foundation.ids import uuid7


class HookEndpoint(models.Model):
    """An address that a person, a team or (nobody named) the house wants events sent to. The secret is kept sealed."""

    class Purpose(models.TextChoices):
        ALERTS = "alerts", _("alerts")
        TASKS = "tasks", _("ends of image and video tasks")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="hooks",
        verbose_name=_("person"),
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="hooks", verbose_name=_("team")
    )
    purpose = models.CharField(_("gets"), max_length=8, choices=Purpose.choices, default=Purpose.ALERTS)
    url = models.URLField(_("address"), max_length=500)
    secret_sealed = models.BinaryField(editable=False)
    secret_tail = models.CharField(_("secret"), max_length=4)
    is_active = models.BooleanField(_("on"), default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("web hook")
        verbose_name_plural = _("web hooks")
        ordering = ("pk",)
        constraints = [models.CheckConstraint(condition=Q(user=None) | Q(group=None), name="hook_one_scope")]

    def __str__(self) -> str:
        return self.url


class HookDelivery(models.Model):
    """One event on its way to one address. Unique, so that a repetition sends nothing twice."""

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(HookEndpoint, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("web hook"))
    # What the receiver tells repetitions by: the same at every attempt and when it is sent again.
    sent_id = models.UUIDField(_("event id"))
    # The alert, or (empty) an event of the kind about the subject.
    event = models.ForeignKey(
        AlertEvent, null=True, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event")
    )
    kind = models.CharField(_("kind"), max_length=64, blank=True)
    subject_id = models.UUIDField(null=True, editable=False, db_index=True)
    # Where it goes when that is not the web hook's own address.
    url = models.CharField(_("address"), max_length=500, blank=True)
    body = models.TextField(_("body"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(_("written"), auto_now_add=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), auto_now_add=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("web hook delivery")
        verbose_name_plural = _("web hook deliveries")
        ordering = ("-created_at",)
        constraints = [models.UniqueConstraint(fields=["endpoint", "sent_id"], name="hook_delivery_once")]
        indexes = [models.Index(fields=["next_attempt_at"], condition=Q(state="queued"), name="hook_due")]

    def __str__(self) -> str:
        return f"{self.sent_id} {self.state}"

    @property
    def address(self) -> str:
        return self.url or self.endpoint.url


class HookAttempt(models.Model):
    """One attempt to deliver: when, what the other side said, how long it took. The answer's text is not kept."""

    delivery = models.ForeignKey(HookDelivery, on_delete=models.CASCADE, related_name="tries", verbose_name=_("delivery"))
    at = models.DateTimeField(_("time"), auto_now_add=True)
    http_status = models.SmallIntegerField(_("status"), default=0)
    duration_ms = models.IntegerField(_("duration, ms"), default=0)
    error = models.CharField(_("error"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("attempt of a delivery")
        verbose_name_plural = _("attempts of deliveries")
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.http_status or self.error}"
