"""Seals over the entries of purses: what was booked cannot be changed, removed or slipped in without being found."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerAccount


class LedgerSeal(models.Model):
    """The entries ``first_seq`` to ``last_seq`` of one purse. Append-only.

    ``marks`` are 32 bytes for each entry (SHA-256 over its fields), so a changed entry can be named. ``digest`` is SHA-256
    over the digest before it and the marks, so that the seals of a purse are a chain.
    """

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="seals", verbose_name=_("account"))
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    marks = models.BinaryField()
    digest = models.BinaryField()
    sealed_at = models.DateTimeField()
    # What the marks are made of: see sql/seal_marks.sql.
    version = models.SmallIntegerField(default=1, db_default=1)

    class Meta:
        verbose_name = _("seal")
        verbose_name_plural = _("seals")
        constraints = [
            models.UniqueConstraint(fields=["account", "first_seq"], name="seal_once"),
            models.CheckConstraint(condition=Q(first_seq__gte=1, last_seq__gte=F("first_seq")), name="seal_has_entries"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.first_seq}-{self.last_seq}"


class LedgerSealHead(models.Model):
    """How far a purse is sealed, kept apart from the seals: when the last of them is removed, it is missed."""

    account = models.OneToOneField(LedgerAccount, primary_key=True, on_delete=models.PROTECT, related_name="seal_head")
    last_seq = models.BigIntegerField()
    digest = models.BinaryField()

    class Meta:
        verbose_name = _("seal head")
        verbose_name_plural = _("seal heads")

    def __str__(self) -> str:
        return f"{self.account_id}: {self.last_seq}"
