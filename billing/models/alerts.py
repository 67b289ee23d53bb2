"""Alerts: what is watched for whom, what it was at the last look, and what was told. A crossing is told once."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from config.foundation.ids import uuid7
from keys.models import ApiKey


class AlertKind(models.TextChoices):
    """What may be watched. The first three belong to people, teams and keys, the rest to the house."""

    BALANCE_LOW = "balance_low", _("low balance")
    LIMIT_USE = "limit_use", _("use of a limit")
    ODD_SPEND = "odd_spend", _("odd spend")
    UNPRICED_MODEL = "unpriced_model", _("model without a price asked for")
    OLD_HOLDS = "old_holds", _("holds that grew old")
    DELIVERY_FAILING = "delivery_failing", _("mail or web hook not delivered")
    DIFFERENCE = "difference", _("difference found by reconciliation")


PERSONAL = (AlertKind.BALANCE_LOW, AlertKind.LIMIT_USE, AlertKind.ODD_SPEND)
OF_HOUSE = (AlertKind.UNPRICED_MODEL, AlertKind.OLD_HOLDS, AlertKind.DELIVERY_FAILING, AlertKind.DIFFERENCE)


class AlertRule(models.Model):
    """One kind watched for one person, team, key, or (nobody named) the house."""

    class Channel(models.TextChoices):
        MAIL = "mail", _("mail")
        HOOK = "hook", _("web hook")

    kind = models.CharField(_("kind"), max_length=20, choices=AlertKind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="alert_rules",
        verbose_name=_("person"),
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="alert_rules", verbose_name=_("team")
    )
    key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="alert_rules", verbose_name=_("key")
    )
    # Nano-USD for balances, per cent for limits, times the usual for odd spend, a count for the house.
    thresholds = ArrayField(models.BigIntegerField(), verbose_name=_("thresholds"))
    channels = ArrayField(models.CharField(max_length=8, choices=Channel.choices), verbose_name=_("channels"), default=list)
    is_enabled = models.BooleanField(_("on"), default=True)
    # Odd spend only: stop the key as well.
    pauses_key = models.BooleanField(_("pauses the key"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")
        constraints = [
            models.UniqueConstraint(fields=["kind", "user", "group", "key"], name="alert_rule_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(user=None, group=None) | Q(user=None, key=None) | Q(group=None, key=None),
                name="alert_rule_one_scope",
            ),
            models.CheckConstraint(condition=~Q(thresholds=[]), name="alert_rule_has_thresholds"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.key or self.user or self.group or '-'}"


class AlertState(models.Model):
    """Where a rule stands on one subject ("" for a balance, ``key:12``, ``model:gpt-4o``).

    ``crossed`` are the thresholds that wait for recovery: a threshold is armed when it is not among them. ``epoch`` counts
    the crossings that were told or crossed in silence; every writer names the ``version`` it has seen.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="states")
    subject = models.CharField(max_length=191, blank=True)
    # A limit's day or month: a new period starts with everything armed.
    period = models.CharField(max_length=32, blank=True)
    crossed = ArrayField(models.BigIntegerField(), default=list)
    epoch = models.PositiveIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    last_value = models.BigIntegerField(null=True)
    told_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("state of an alert")
        verbose_name_plural = _("states of alerts")
        constraints = [models.UniqueConstraint(fields=["rule", "subject"], name="alert_state_once")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.subject}"


class AlertEvent(models.Model):
    """An alert that fired, or its recovery, with rule and figures as they were. Its id is the web hook's event id."""

    class Phase(models.TextChoices):
        TRIGGERED = "triggered", _("fired")
        RESOLVED = "resolved", _("over")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="events", verbose_name=_("rule"))
    kind = models.CharField(_("kind"), max_length=20, choices=AlertKind.choices)
    phase = models.CharField(_("phase"), max_length=12, choices=Phase.choices, default=Phase.TRIGGERED)
    subject = models.CharField(_("subject"), max_length=191, blank=True)
    period = models.CharField(_("period"), max_length=32, blank=True)
    epoch = models.PositiveIntegerField(_("crossing"))
    threshold = models.BigIntegerField(_("threshold"))
    value = models.BigIntegerField(_("value"))
    # Rule and figures of that moment: the rule may be changed later, what was told may not.
    figures = models.JSONField(_("figures"), default=dict)
    fired_at = models.DateTimeField(_("time"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("fired alert")
        verbose_name_plural = _("fired alerts")
        ordering = ("-fired_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject", "period", "epoch", "threshold", "phase"], name="alert_event_once"
            )
        ]
        indexes = [models.Index(fields=["kind", "-fired_at"], name="alert_event_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.phase}".strip()


class AlertChoice(models.Model):
    """Whether a person wants mails of one kind that concerns a team or the house, or the daily digest (kind ``digest``).

    A missing row means what the role suggests: ``billing.alerting.kinds.wants_by_role``.
    """

    DIGEST = "digest"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_choices")
    kind = models.CharField(max_length=20)
    by_mail = models.BooleanField()

    class Meta:
        verbose_name = _("choice of alert mails")
        verbose_name_plural = _("choices of alert mails")
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="alert_choice_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind} {self.by_mail}"


class KeySpend(models.Model):
    """What a key spent in five minutes: the sample that its odd spend is judged by. Counted again from the request log."""

    key_id = models.BigIntegerField()
    window_at = models.DateTimeField()
    call_count = models.IntegerField()
    cost_nano = models.BigIntegerField()

    class Meta:
        verbose_name = _("spend of five minutes")
        verbose_name_plural = _("spend of five minutes")
        constraints = [models.UniqueConstraint(fields=["key_id", "window_at"], name="key_spend_once")]
        indexes = [models.Index(fields=["window_at"], name="key_spend_time")]

    def __str__(self) -> str:
        return f"{self.key_id} {self.window_at:%Y-%m-%d %H:%M}"
