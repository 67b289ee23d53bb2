"""The ledger in the admin: everything may be looked at, nothing touched. Corrections are postings, made on their own page."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models import Hold, KeyBudget, LedgerAccount, LedgerEntry, RedemptionCode
from billing.services.budgets import set_key_limit
from config.foundation.admin import PortalAdmin, ReadOnlyAdmin, usd, usd_column
from config.foundation.money import decimal_usd, parse_usd

RIGHT = "ledger.view"
balance = usd_column("balance_nano", _("balance"))
held = usd_column("held_nano", _("held"))
amount = usd_column("amount_nano", _("amount"))


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", "kind", "user", "group", "origin", balance, held, "is_spendable", "is_purse")
    list_filter = ("kind", "is_purse", "is_spendable")
    list_select_related = ("user", "group")
    search_fields = ("=id", "user__username", "user__email", "group__code", "origin__exact")
    ordering = ("-id",)
    fields = (
        "kind",
        "user",
        "group",
        "origin",
        "currency",
        balance,
        held,
        "is_purse",
        "is_spendable",
        usd_column("credit_limit_nano", _("credit limit")),
        usd_column("floor_nano", _("lowest balance")),
        "priority",
        "seq",
        "created_at",
    )


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", "booked_at", "kind", "from_shown", "to_shown", amount, "actor", "reason")
    list_filter = ("kind", "booked_at")
    search_fields = ("=transaction_id", "=id")
    search_help_text = _("Entry number, or the id of the act (for a call its request id).")
    fields = (
        "transaction_id",
        "kind",
        "n",
        "from_account",
        "to_account",
        amount,
        "from_seq",
        usd_column("from_balance_nano", _("balance after, from")),
        "to_seq",
        usd_column("to_balance_nano", _("balance after, to")),
        "booked_at",
        "effective_at",
        "actor",
        "reason",
        "reverses",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        related = ("from_account__user", "from_account__group", "to_account__user", "to_account__group", "actor")
        return super().get_queryset(request).select_related(*related)

    @display(description=_("from"))
    def from_shown(self, entry: LedgerEntry) -> str:
        return str(entry.from_account)

    @display(description=_("to"))
    def to_shown(self, entry: LedgerEntry) -> str:
        return str(entry.to_account)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", "created_at", "user", "group", "key", amount, "state", "expires_at", "closed_at")
    list_filter = ("state", "created_at")
    list_select_related = ("user", "group", "key")
    search_fields = ("=id", "user__username")
    ordering = ("-created_at",)
    fields = (
        "id",
        "user",
        "group",
        "key",
        amount,
        "account_ids",
        "part_amounts",
        "state",
        "reason",
        usd_column("settled_nano", _("settled")),
        "created_at",
        "expires_at",
        "closed_at",
    )


class LimitForm(forms.ModelForm):
    """The limit in dollars; the row keeps nano-dollars."""

    limit = forms.CharField(
        label=_("Limit, USD"),
        required=False,
        help_text=_("Empty: as much as the balance of its owner."),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = KeyBudget
        fields = ("key",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.limit_nano is not None:
            self.initial["limit"] = decimal_usd(self.instance.limit_nano)

    def clean_limit(self) -> int | None:
        text = self.cleaned_data["limit"].strip()
        try:
            nano = parse_usd(text) if text else None
        except ValueError:
            raise forms.ValidationError(_("An amount has at most nine decimal places.")) from None
        if nano is not None and not 0 <= nano < 2**62:
            raise forms.ValidationError(_("A limit is not negative."))
        return nano


@admin.register(KeyBudget)
class KeyBudgetAdmin(PortalAdmin):
    """How much a key may spend in all."""

    form = LimitForm
    view_right = "keys.view"
    change_right = "keys.manage"
    add_right = "keys.manage"
    list_display = ("key", "owner", usd_column("limit_nano", _("limit")), usd_column("spent_nano", _("spent")), held)
    search_fields = ("key__name", "key__owner__username")
    ordering = ("-key_id",)
    autocomplete_fields = ("key",)
    spent_and_held = (usd_column("spent_nano", _("spent")), held)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("key", "limit", *self.spent_and_held) if obj else ("key", "limit")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("key", *self.spent_and_held) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyBudget]:
        return super().get_queryset(request).select_related("key__owner", "key__team")

    @display(description=_("owner"))
    def owner(self, budget: KeyBudget) -> Any:
        return budget.key.owner or budget.key.team or "-"

    @display(description=_("limit"))
    def limit(self, budget: KeyBudget) -> str:
        """For those who may look and not change."""
        return usd(budget.limit_nano)

    def write(self, request: Any, instance: KeyBudget | None, form: forms.ModelForm, change: bool) -> KeyBudget:
        key = instance.key if instance else form.cleaned_data["key"]
        return set_key_limit(actor=request.user, key=key, limit_nano=form.cleaned_data["limit"])


@admin.register(RedemptionCode)
class RedemptionCodeAdmin(ReadOnlyAdmin):
    """Codes by their last four characters; the whole code is stored nowhere."""

    view_right = RIGHT
    list_display = ("tail", "batch_name", amount, "state", "origin", "created_at", "expires_at", "used_at", "used_by")
    list_filter = ("state", "created_at")
    list_select_related = ("used_by",)
    search_fields = ("tail__exact", "batch_name", "origin__exact", "used_by__username__exact")
    ordering = ("-id",)
    fields = ("tail", "batch_name", amount, "state", "origin", "created_at", "expires_at", "used_at", "used_by")
