"""Price books in the admin: a draft is edited and published; a published version never changes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.models import GroupBook, GroupMultiplier, PriceBook, PriceRule, PriceVersion
from billing.price_csv import multipliers_from_csv, multipliers_to_csv, rules_from_csv, rules_to_csv
from billing.price_words import component_word
from billing.pricing import image_key
from billing.services import price_drafts
from billing.services.prices import assign_book, create_book
from config.foundation.admin import PortalAdmin, ReadOnlyAdmin, ReadOnlyInline, json_column, usd_column
from config.foundation.errors import PortalError
from config.foundation.money import format_usd

VIEW = "prices.view"
MANAGE = "prices.manage"
FIGURES = (
    usd_column("input_nano", _("input / 1M")),
    usd_column("cached_nano", _("cached input / 1M")),
    usd_column("output_nano", _("output / 1M")),
    usd_column("call_nano", _("per call")),
    usd_column("item_nano", _("per item")),
)


class PriceAdmin(PortalAdmin):
    view_right = VIEW
    act_right = MANAGE


@admin.register(PriceBook)
class PriceBookAdmin(PriceAdmin):
    add_right = MANAGE
    list_display = ("code", "name", "formula", "quota_per_unit", "is_default", "version_count")
    list_filter = ("formula",)
    search_fields = ("code", "name")
    ordering = ("code",)
    fields = ("code", "name", "formula", "quota_per_unit", "is_default")
    actions = ("draft",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBook]:
        return super().get_queryset(request).annotate(version_total=Count("versions"))

    @display(description=_("versions"), ordering="version_total")
    def version_count(self, book: Any) -> int:
        return int(book.version_total)

    def write(self, request: Any, instance: PriceBook | None, form: forms.ModelForm, change: bool) -> PriceBook:
        return create_book(actor=request.user, **form.cleaned_data)

    @action(description=_("Draft a new version"), permissions=["act"])
    def draft(self, request: Any, queryset: QuerySet[PriceBook]) -> HttpResponseRedirect | None:
        drafts: list[PriceVersion] = []
        self.run_action(request, queryset, lambda book: drafts.append(price_drafts.start_draft(actor=request.user, book=book)))
        if len(drafts) != 1:
            return None
        return HttpResponseRedirect(reverse("admin:billing_priceversion_change", args=[drafts[0].pk]))


class MultiplierInline(ReadOnlyInline):
    model = GroupMultiplier
    fields = ("group_code", "payer_group_code", "multiplier")
    readonly_fields = fields


class DraftForm(forms.ModelForm):
    """Everything a draft says, as lines that can be copied into a spreadsheet and back."""

    rules_csv = forms.CharField(
        label=_("Prices"),
        required=False,
        strip=False,
        help_text=_("CSV. Dollars per 1,000,000 tokens, per call or per item; an empty cached price is the input price."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "wrap": "off", "spellcheck": "false"}),
    )
    multipliers_csv = forms.CharField(
        label=_("Group multipliers"),
        required=False,
        strip=False,
        help_text=_("CSV. The factor of a group; with a payer's group it replaces the plain one for that payer."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "wrap": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = PriceVersion
        fields = ("note", "valid_from")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["rules_csv"] = rules_to_csv(price_drafts.rules_of(self.instance))
            self.initial["multipliers_csv"] = multipliers_to_csv(price_drafts.multipliers_of(self.instance))

    def clean_rules_csv(self) -> Any:
        return self._read(rules_from_csv, "rules_csv")

    def clean_multipliers_csv(self) -> Any:
        return self._read(multipliers_from_csv, "multipliers_csv")

    def _read(self, read: Any, name: str) -> Any:
        try:
            return read(self.cleaned_data[name])
        except PortalError as error:
            raise forms.ValidationError(error.message) from None


@admin.register(PriceVersion)
class PriceVersionAdmin(PriceAdmin):
    change_right = MANAGE
    list_display = ("book", "number", "valid_from", "published_at", "created_by", "rule_count")
    list_filter = ("book",)
    list_select_related = ("book",)
    search_fields = ("book__code", "=number", "note")
    actions = ("publish", "discard")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.published_at is None)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if self._is_open(request, obj):
            kwargs["form"] = DraftForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self._is_open(request, obj):
            return ("book", "number", "valid_from", "note", "rules_csv", "multipliers_csv")
        return ("book", "number", "valid_from", "published_at", "created_by", "note", "content_digest", "prices")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("book", "number") if self._is_open(request, obj) else self.get_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if obj is None or self._is_open(request, obj) else [MultiplierInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        return super().get_queryset(request).annotate(rule_total=Count("rules"))

    @display(description=_("prices"), ordering="rule_total")
    def rule_count(self, version: Any) -> int:
        return int(version.rule_total)

    @display(description=_("prices"))
    def prices(self, version: PriceVersion) -> str:
        """The table as text, to copy into a spreadsheet."""
        return format_html("<pre>{}</pre>", rules_to_csv(price_drafts.rules_of(version)))

    def write(self, request: Any, instance: PriceVersion, form: forms.ModelForm, change: bool) -> PriceVersion:
        data = form.cleaned_data
        return price_drafts.change_draft(
            actor=request.user,
            draft=instance,
            rules=data["rules_csv"],
            multipliers=data["multipliers_csv"],
            note=data["note"],
            valid_from=data["valid_from"],
        )

    @action(description=_("Publish the draft"), permissions=["act"])
    def publish(self, request: Any, queryset: QuerySet[PriceVersion]) -> None:
        rows = queryset.select_related("book")
        self.run_action(request, rows, lambda row: price_drafts.publish_draft(actor=request.user, draft=row))

    @action(description=_("Discard the draft"), permissions=["act"])
    def discard(self, request: Any, queryset: QuerySet[PriceVersion]) -> None:
        self.run_action(request, queryset, lambda row: price_drafts.discard_draft(actor=request.user, draft=row))

    def _is_open(self, request: HttpRequest, obj: Any) -> bool:
        return obj is not None and self.has_change_permission(request, obj)


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
    view_right = VIEW
    list_display = ("model_name", "version", "basis", *FIGURES[:-1], "other_prices")
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
        usd_column("reasoning_nano", _("reasoning / 1M")),
        usd_column("audio_input_nano", _("audio input / 1M")),
        usd_column("audio_output_nano", _("audio output / 1M")),
        usd_column("character_nano", _("characters / 1M")),
        json_column("unit_prices", _("images, video, audio")),
        "rounding",
        usd_column("rounding_step_nano", _("rounded to")),
        json_column("source_figures", _("figures of the old gateway")),
    )

    @display(description=_("images, seconds, characters"))
    def other_prices(self, rule: PriceRule) -> str:
        """What a model costs that is not paid by the token: without it such a model looks free."""
        prices = dict(rule.unit_prices)
        if rule.item_nano:
            prices.setdefault(image_key(""), rule.item_nano)
        if rule.character_nano is not None:
            prices["characters"] = rule.character_nano
        return ", ".join(f"{component_word(name)} {format_usd(int(nano))}" for name, nano in prices.items()) or "-"


@admin.register(GroupBook)
class GroupBookAdmin(PriceAdmin):
    """Which groups pay by another book than the default one."""

    change_right = MANAGE
    add_right = MANAGE
    list_display = ("group", "book")
    list_filter = ("book",)
    list_select_related = ("group", "book")
    search_fields = ("group__code", "group__name")
    fields = ("group", "book")
    autocomplete_fields = ("group", "book")
    actions = ("use_default",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("group",) if obj else ()

    def write(self, request: Any, instance: GroupBook | None, form: forms.ModelForm, change: bool) -> GroupBook:
        group = instance.group if instance else form.cleaned_data["group"]
        assign_book(actor=request.user, group=group, book=form.cleaned_data["book"])
        return GroupBook.objects.get(group=group)

    @action(description=_("Use the default book again"), permissions=["act"])
    def use_default(self, request: Any, queryset: QuerySet[GroupBook]) -> None:
        rows = list(queryset.select_related("group"))
        self.run_action(request, rows, lambda row: assign_book(actor=request.user, group=row.group, book=None))
