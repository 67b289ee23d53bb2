"""Price books: each has versions that never change once published. Prices are nano-USD per 1,000,000 units."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Group


class PriceBook(models.Model):
    """A set of prices with one way of calculating. Old gateways keep their formula, so an old customer pays what he did."""

    class Formula(models.TextChoices):
        PORTAL = "portal", _("portal: exact, rounded once, half to even")
        ONE_API = "one_api", _("One API: ratios, rounded up to a unit")
        NEW_API = "new_api", _("New API: ratios, rounded to the nearest unit")

    code = models.CharField(_("code"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=128)
    formula = models.CharField(_("formula"), max_length=16, choices=Formula.choices, default=Formula.PORTAL)
    # Units of the old gateway per US dollar; 0 for the portal's own formula.
    quota_per_unit = models.DecimalField(_("units per dollar"), max_digits=24, decimal_places=6, default=0)
    is_default = models.BooleanField(_("default"), default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("price book")
        verbose_name_plural = _("price books")
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=models.Q(is_default=True), name="price_book_one_default")
        ]

    def __str__(self) -> str:
        return self.name


class PriceVersion(models.Model):
    """One state of a price book, in force from ``valid_from`` until a later version of the same book."""

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="versions", verbose_name=_("price book"))
    number = models.PositiveIntegerField(_("version"))
    valid_from = models.DateTimeField(_("valid from"))
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    created_by = models.CharField(_("by"), max_length=191, blank=True)
    # SHA-256 of the prices and multipliers: an import that changes nothing makes no new version.
    content_digest = models.CharField(_("content digest"), max_length=64, blank=True)
    note = models.TextField(_("note"), blank=True)

    class Meta:
        verbose_name = _("price version")
        verbose_name_plural = _("price versions")
        ordering = ("book_id", "-number")
        constraints = [models.UniqueConstraint(fields=["book", "number"], name="price_version_once")]

    def __str__(self) -> str:
        return f"{self.book} v{self.number}"


class PriceRule(models.Model):
    """What one model costs in one version. No rule means the call is refused; it is never free by accident."""

    class Basis(models.TextChoices):
        TOKEN = "token", _("per token")
        CALL = "call", _("per call")
        EXPRESSION = "expression", _("by tiers")

    class Rounding(models.TextChoices):
        HALF_EVEN = "half_even", _("to the nearest, half to even")
        HALF_UP = "half_up", _("to the nearest, half up")
        UP = "up", _("up")

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE, related_name="rules", verbose_name=_("version"))
    model_name = models.CharField(_("model"), max_length=255)
    basis = models.CharField(_("basis"), max_length=12, choices=Basis.choices, default=Basis.TOKEN)
    input_nano = models.BigIntegerField(_("input / 1M"), default=0)
    cached_nano = models.BigIntegerField(_("cached input / 1M"), null=True, blank=True)
    cache_write_nano = models.BigIntegerField(_("cache write / 1M"), null=True, blank=True)
    output_nano = models.BigIntegerField(_("output / 1M"), default=0)
    call_nano = models.BigIntegerField(_("per call"), default=0)
    item_nano = models.BigIntegerField(_("per item"), default=0)
    minimum_nano = models.BigIntegerField(_("minimum"), default=0)
    reasoning_nano = models.BigIntegerField(_("reasoning / 1M"), null=True, blank=True)
    audio_input_nano = models.BigIntegerField(_("audio input / 1M"), null=True, blank=True)
    audio_output_nano = models.BigIntegerField(_("audio output / 1M"), null=True, blank=True)
    character_nano = models.BigIntegerField(_("characters / 1M"), null=True, blank=True)
    # {"image:1024x1024:hd": nano per image, "video:720p": nano per second, "audio": nano per second}
    unit_prices = models.JSONField(_("images, video, audio"), default=dict, blank=True, db_default={})
    rounding = models.CharField(_("rounding"), max_length=12, choices=Rounding.choices, default=Rounding.HALF_EVEN)
    # The price of a call is a multiple of this.
    rounding_step_nano = models.BigIntegerField(_("rounded to"), default=1)
    # The old gateway's own figures as decimal text (model_ratio, completion_ratio, cache_ratio, create_cache_ratio,
    # model_price, expression, size ratios): its formula needs them as they were.
    source_figures = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ("model_name",)
        constraints = [
            models.UniqueConstraint(fields=["version", "model_name"], name="price_rule_once"),
            models.CheckConstraint(condition=models.Q(rounding_step_nano__gt=0), name="price_rule_rounding_step"),
        ]

    def __str__(self) -> str:
        return self.model_name


class GroupMultiplier(models.Model):
    """Factor on calls in ``group_code``; a row with ``payer_group_code`` replaces the plain one for that payer."""

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE, related_name="multipliers", verbose_name=_("version"))
    group_code = models.CharField(_("group"), max_length=191)
    payer_group_code = models.CharField(_("payer's group"), max_length=191, blank=True, default="")
    multiplier = models.DecimalField(_("multiplier"), max_digits=24, decimal_places=12)

    class Meta:
        verbose_name = _("group multiplier")
        verbose_name_plural = _("group multipliers")
        constraints = [
            models.UniqueConstraint(fields=["version", "group_code", "payer_group_code"], name="group_multiplier_once")
        ]

    def __str__(self) -> str:
        return f"{self.group_code} x {self.multiplier}"


class GroupBook(models.Model):
    """Which price book a billing group uses; groups without a row use the default book."""

    group = models.OneToOneField(
        Group, primary_key=True, on_delete=models.CASCADE, related_name="book", verbose_name=_("group")
    )
    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="groups", verbose_name=_("book"))

    class Meta:
        verbose_name = _("price book of a group")
        verbose_name_plural = _("price books of groups")

    def __str__(self) -> str:
        return f"{self.group}: {self.book}"
