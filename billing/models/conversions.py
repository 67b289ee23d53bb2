"""Money of one currency that became money of another."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group


class CurrencyConversion(models.Model):
    """One conversion; ``id`` is the transaction id of its entries. Amounts are nano-units of their currency.

    The rate is a fraction of whole numbers: for ``rate_denominator`` units of the one, ``rate_numerator`` of the other.
    """

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("person")
    )
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("team"))
    from_currency = models.CharField(_("from currency"), max_length=3)
    to_currency = models.CharField(_("to currency"), max_length=3)
    from_nano = models.BigIntegerField(_("amount given"))
    to_nano = models.BigIntegerField(_("amount received"))
    # What rounding to the smallest coin took (positive) or gave (negative), booked to the account "rounding".
    residue_nano = models.BigIntegerField(_("rounding"))
    rate_numerator = models.BigIntegerField()
    rate_denominator = models.BigIntegerField()
    reason = models.CharField(_("reason"), max_length=255)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("by"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("conversion")
        verbose_name_plural = _("conversions")
        constraints = [
            models.CheckConstraint(condition=Q(user=None) ^ Q(group=None), name="conversion_one_owner"),
            models.CheckConstraint(
                condition=Q(from_nano__gt=0, to_nano__gt=0, rate_numerator__gt=0, rate_denominator__gt=0),
                name="conversion_positive",
            ),
            models.CheckConstraint(condition=~Q(from_currency=F("to_currency")), name="conversion_two_currencies"),
        ]

    def __str__(self) -> str:
        return f"{self.from_currency} {self.from_nano} -> {self.to_currency} {self.to_nano}"
