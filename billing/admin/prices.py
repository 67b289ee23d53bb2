"""Price books in the admin. A published version never changes."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.models import GroupMultiplier, PriceBook, PriceRule, PriceVersion
from config.foundation.admin import ReadOnlyAdmin, ReadOnlyInline, json_column, usd_column

RIGHT = "prices.view"
FIGURES = (
    usd_column("input_nano", _("input / 1M")),
    usd_column("cached_nano", _("cached input / 1M")),
    usd_column("output_nano", _("output / 1M")),
    usd_column("call_nano", _("per call")),
    usd_column("item_nano", _("per item")),
)


@admin.register(PriceBook)
class PriceBookAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("code", "name", "formula", "quota_per_unit", "is_default", "version_count")
    list_filter = ("formula",)
    search_fields = ("code", "name")
    ordering = ("code",)
    fields = ("code", "name", "formula", "quota_per_unit", "is_default", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBook]:
        return super().get_queryset(request).annotate(version_total=Count("versions"))

    @display(description=_("versions"), ordering="version_total")
    def version_count(self, book: Any) -> int:
        return int(book.version_total)


class MultiplierInline(ReadOnlyInline):
    model = GroupMultiplier
    fields = ("group_code", "payer_group_code", "multiplier")
    readonly_fields = fields


@admin.register(PriceVersion)
class PriceVersionAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("book", "number", "valid_from", "published_at", "created_by", "rule_count")
    list_filter = ("book",)
    list_select_related = ("book",)
    search_fields = ("book__code", "=number", "note")
    fields = ("book", "number", "valid_from", "published_at", "created_by", "note", "content_digest")
    inlines: ClassVar[list[Any]] = [MultiplierInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        return super().get_queryset(request).annotate(rule_total=Count("rules"))

    @display(description=_("prices"), ordering="rule_total")
    def rule_count(self, version: Any) -> int:
        return int(version.rule_total)


class NewestVersionFilter(admin.SimpleListFilter):
    """Prices of the newest published version of each book, unless its history is asked for."""

    title = _("version")
    parameter_name = "versions"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("all versions"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PriceRule]) -> QuerySet[PriceRule]:
        if self.value() == "all":
            return queryset
        newest = PriceVersion.objects.exclude(published_at=None).order_by("book_id", "-number").distinct("book_id")
        return queryset.filter(version_id__in=newest.values("pk"))


@admin.register(PriceRule)
class PriceRuleAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("model_name", "version", "basis", *FIGURES)
    list_filter = (NewestVersionFilter, "version__book", "basis")
    list_select_related = ("version__book",)
    search_fields = ("model_name",)
    fields = (
        "version",
        "model_name",
        "basis",
        *FIGURES,
        usd_column("cache_write_nano", _("cache write / 1M")),
        usd_column("minimum_nano", _("minimum")),
        json_column("source_figures", _("figures of the old gateway")),
    )
