"""Spend limits: how much money a key, a member of a team, a team or a person may spend, in all or in a calendar window.

The counters live in ``SpendWindow``, one row per limit and window, so nothing has to be reset at midnight: the first call of a
day opens the row of that day. They are written by the SQL functions of ``billing/sql`` and seeded by ``set_spend_limit``.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Group
from keys.models import ApiKey


class SpendLimit(models.Model):
    """One limit. A call counts in the window its start lies in, by the calendar of ``time_zone``; it needs room in each."""

    class Scope(models.TextChoices):
        KEY = "key", _("key")
        MEMBER = "member", _("member of a team")
        GROUP = "group", _("team")
        PERSON = "person", _("person")

    class Span(models.TextChoices):
        TOTAL = "total", pgettext_lazy("spend limit", "in all")
        DAILY = "daily", pgettext_lazy("spend limit", "a day")
        MONTHLY = "monthly", pgettext_lazy("spend limit", "a month")

    scope = models.CharField(_("limits"), max_length=8, choices=Scope.choices)
    key = models.ForeignKey(
        ApiKey, verbose_name=_("key"), null=True, blank=True, on_delete=models.PROTECT, related_name="spend_limits"
    )
    # The person, or with ``group`` the member of that team.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="spend_limits",
    )
    group = models.ForeignKey(
        Group, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="spend_limits"
    )
    span = models.CharField(_("window"), max_length=8, choices=Span.choices)
    limit_nano = models.BigIntegerField(_("limit"))
    # Fixed when the limit is set, so that nobody starts a new day by moving to another time zone.
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    # Windows that began before this are not counted: the limit was not there, or had another calendar.
    counts_from = models.DateTimeField()
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("spend limit")
        verbose_name_plural = _("spend limits")
        constraints = [
            models.UniqueConstraint(fields=["key", "group", "user", "span"], name="spend_limit_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(limit_nano__gte=0), name="spend_limit_not_negative"),
            models.CheckConstraint(
                condition=Q(scope="key", key__isnull=False, user=None, group=None)
                | Q(scope="member", key=None, user__isnull=False, group__isnull=False)
                | Q(scope="group", key=None, user=None, group__isnull=False)
                | Q(scope="person", key=None, user__isnull=False, group=None),
                name="spend_limit_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.key or self.user or self.group}: {self.get_span_display()}"


class SpendWindow(models.Model):
    """What was spent and is held in one window of a limit, nano-USD. ``ends_at`` None: the limit is on the total."""

    limit = models.ForeignKey(SpendLimit, on_delete=models.CASCADE, related_name="windows", db_index=False)
    starts_at = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"), null=True)
    spent_nano = models.BigIntegerField(_("spent"), default=0)
    held_nano = models.BigIntegerField(_("held"), default=0)

    class Meta:
        verbose_name = _("window of a spend limit")
        verbose_name_plural = _("windows of spend limits")
        constraints = [
            models.UniqueConstraint(fields=["limit", "starts_at"], name="spend_window_once"),
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="spend_window_held_not_negative"),
            models.CheckConstraint(condition=Q(spent_nano__gte=0), name="spend_window_spent_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.limit} {self.starts_at:%Y-%m-%d}"
