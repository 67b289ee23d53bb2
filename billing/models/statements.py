"""Monthly statements: what was issued stays as it was, byte for byte; triggers refuse every change. Amounts are nano-USD."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from billing.models.ledger import LedgerAccount


class Statement(models.Model):
    """One month of one person or team, in the zone that was theirs when it was issued.

    ``opening + credits + usage + expiry + adjustments + earlier = closing``; usage and expiry are negative. What was booked
    in this month for a month before is ``earlier``, so that an issued statement never has to change.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="statements",
        verbose_name=_("person"),
    )
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="statements", verbose_name=_("team"))
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    month_on = models.DateField(_("month"), help_text=_("Its first day."))
    time_zone = models.CharField(_("time zone"), max_length=64)
    starts_at = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"))
    previous = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="next", verbose_name=_("statement before")
    )
    opening_nano = models.BigIntegerField(_("opening"))
    credits_nano = models.BigIntegerField(_("credits"))
    usage_nano = models.BigIntegerField(_("usage"))
    expiry_nano = models.BigIntegerField(_("expiry"))
    adjustments_nano = models.BigIntegerField(_("adjustments"))
    earlier_nano = models.BigIntegerField(_("earlier periods"))
    closing_nano = models.BigIntegerField(_("closing"))
    # Ledger entries it is made of: their lowest and highest number and how many there are.
    first_entry_id = models.BigIntegerField(_("first entry"), null=True)
    last_entry_id = models.BigIntegerField(_("last entry"), null=True)
    entry_count = models.BigIntegerField(_("entries"))
    # Everything the pages and files show: see billing.statements.figures.
    figures = models.JSONField()
    issued_at = models.DateTimeField(_("issued"), auto_now_add=True)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("issued by")
    )

    class Meta:
        verbose_name = _("statement")
        verbose_name_plural = _("statements")
        ordering = ("-month_on", "-id")
        constraints = [
            models.CheckConstraint(condition=Q(user=None) ^ Q(group=None), name="statement_one_owner"),
            models.UniqueConstraint(
                fields=["user", "group", "currency", "month_on"], name="statement_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(
                    closing_nano=F("opening_nano")
                    + F("credits_nano")
                    + F("usage_nano")
                    + F("expiry_nano")
                    + F("adjustments_nano")
                    + F("earlier_nano")
                ),
                name="statement_adds_up",
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="statement_has_length"),
        ]
        indexes = [models.Index(fields=["month_on", "id"], name="statement_month")]

    def __str__(self) -> str:
        return f"{self.month_on:%Y-%m} {self.user or self.group}"

    @property
    def number(self) -> str:
        """What people quote: month and a running number, without any account's number."""
        return f"{self.month_on:%Y%m}-{self.pk:06d}"

    @property
    def other_nano(self) -> int:
        """What is neither credit nor usage of the month, for the list."""
        return self.expiry_nano + self.adjustments_nano + self.earlier_nano


class StatementPurse(models.Model):
    """One purse of a statement: its entries ``first_seq`` to ``last_seq``. The next one goes on at the next number."""

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="purses", verbose_name=_("statement"))
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+", verbose_name=_("purse"))
    first_seq = models.BigIntegerField(_("first"))
    last_seq = models.BigIntegerField(_("last"))
    # The entries at whose end it opens and closes, 0 before the first.
    opening_entry_id = models.BigIntegerField(default=0)
    last_entry_id = models.BigIntegerField(_("last entry"), default=0)
    opening_nano = models.BigIntegerField(_("opening"))
    closing_nano = models.BigIntegerField(_("closing"))

    class Meta:
        verbose_name = _("purse of a statement")
        verbose_name_plural = _("purses of statements")
        constraints = [
            models.UniqueConstraint(fields=["statement", "account"], name="statement_purse_once"),
            models.CheckConstraint(condition=Q(last_seq__gte=F("first_seq") - 1), name="statement_purse_forward"),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="statement_purse_latest")]

    def __str__(self) -> str:
        return f"{self.statement_id}: {self.account_id}"


class StatementFile(models.Model):
    """The bytes that were issued, with their SHA-256."""

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        PDF = "pdf", "PDF"
        XLSX = "xlsx", "XLSX"

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="files", verbose_name=_("statement"))
    format = models.CharField(_("format"), max_length=4, choices=Format.choices)
    language = models.CharField(_("language"), max_length=16)
    content = models.BinaryField()
    sha256 = models.CharField("SHA-256", max_length=64)
    byte_count = models.IntegerField(_("bytes"))

    class Meta:
        verbose_name = _("file of a statement")
        verbose_name_plural = _("files of statements")
        constraints = [
            models.UniqueConstraint(fields=["statement", "format", "language"], name="statement_file_once"),
        ]

    def __str__(self) -> str:
        return f"{self.statement_id} {self.format} {self.language}"


class StatementRun(models.Model):
    """The issuing of a month for everybody of one zone: how far it is. ``cursor`` is the last owner that was looked at."""

    month_on = models.DateField(_("month"))
    time_zone = models.CharField(_("time zone"), max_length=64)
    # "user:<id>" or "group:<id>": people come first, each kind by number.
    cursor = models.CharField(max_length=32, blank=True)
    owner_count = models.IntegerField(_("people and teams"), default=0)
    issued_count = models.IntegerField(_("issued"), default=0)
    present_count = models.IntegerField(_("there already"), default=0)
    empty_count = models.IntegerField(_("nothing to state"), default=0)
    failed_count = models.IntegerField(_("failed"), default=0)
    # [{"owner": "...", "error": "..."}], the first ones.
    problems = models.JSONField(default=list)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("started by")
    )
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    touched_at = models.DateTimeField(_("last step"), auto_now=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("issue of a month")
        verbose_name_plural = _("issues of months")
        ordering = ("-month_on", "time_zone")
        constraints = [models.UniqueConstraint(fields=["month_on", "time_zone"], name="statement_run_once")]

    def __str__(self) -> str:
        return f"{self.month_on:%Y-%m} {self.time_zone}"

    @property
    def done_count(self) -> int:
        return self.issued_count + self.present_count + self.empty_count + self.failed_count
