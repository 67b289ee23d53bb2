"""Fences around dear models: price tiers, and how far up a group may go. Amounts are nano-USD."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from models_catalog.models import AIModel


class PriceTier(models.Model):
    """From what price on a model belongs to a tier; below the cheapest line it is tier 1.

    The price is that of a reference call: 1,000 tokens in and 1,000 out, or one picture, second or call where a model is
    priced by these; without the multiplier of any group.
    """

    number = models.PositiveSmallIntegerField(_("tier"), primary_key=True)
    from_nano = models.BigIntegerField(_("from"), unique=True)

    class Meta:
        verbose_name = _("price tier")
        verbose_name_plural = _("price tiers")
        ordering = ("number",)
        constraints = [
            models.CheckConstraint(condition=Q(number__gte=2, number__lte=9), name="price_tier_number"),
            models.CheckConstraint(condition=Q(from_nano__gt=0), name="price_tier_positive"),
        ]

    def __str__(self) -> str:
        return str(self.number)


class ModelTier(models.Model):
    """The tier of a model said outright, whatever its price."""

    model = models.OneToOneField(
        AIModel, primary_key=True, on_delete=models.CASCADE, related_name="tier", verbose_name=_("model")
    )
    number = models.PositiveSmallIntegerField(_("tier"))

    class Meta:
        verbose_name = _("tier of a model")
        verbose_name_plural = _("tiers of models")
        constraints = [models.CheckConstraint(condition=Q(number__gte=1, number__lte=9), name="model_tier_number")]

    def __str__(self) -> str:
        return f"{self.model}: {self.number}"


class GroupFence(models.Model):
    """The highest tier a group may call, and models beyond it that it may call all the same."""

    group = models.OneToOneField(
        Group, primary_key=True, on_delete=models.CASCADE, related_name="fence", verbose_name=_("group")
    )
    highest_tier = models.PositiveSmallIntegerField(_("highest tier"))
    also_allowed = ArrayField(models.CharField(max_length=255), verbose_name=_("also allowed"), default=list, blank=True)

    class Meta:
        verbose_name = _("fence of a group")
        verbose_name_plural = _("fences of groups")
        constraints = [models.CheckConstraint(condition=Q(highest_tier__gte=1, highest_tier__lte=9), name="group_fence_number")]

    def __str__(self) -> str:
        return f"{self.group}: {self.highest_tier}"
