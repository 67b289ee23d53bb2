"""The ledger in the admin: everything may be looked at, nothing touched. Corrections are postings, made on their own page."""

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.models import Hold, Lease, LedgerAccount, LedgerEntry, RedemptionCode
from config.foundation.admin import ReadOnlyAdmin, usd_column

RIGHT = "ledger.view"
balance = usd_column("balance_nano", _("balance"))
held = usd_column("held_nano", _("held"))
amount = usd_column("amount_nano", _("amount"))
granted = usd_column("granted_nano", _("granted"))
spent = usd_column("spent_nano", _("spent"))


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
        "draw",
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


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """What relays have lent: how much each was granted and spent, and until when."""

    view_right = RIGHT
    list_display = ("id", "source", "user", "group", granted, spent, "state", "draw_until", "closed_at")
    list_filter = ("state", "created_at")
    list_select_related = ("user", "group")
    search_fields = ("=id", "user__username", "source")
    ordering = ("-created_at",)
    fields = (
        "id",
        "source",
        "user",
        "group",
        "account",
        "is_test",
        granted,
        spent,
        "state",
        "created_at",
        "draw_until",
        "expires_at",
        "closed_at",
    )


@admin.register(RedemptionCode)
class RedemptionCodeAdmin(ReadOnlyAdmin):
    """Codes by their last four characters; the whole code is stored nowhere."""

    view_right = RIGHT
    list_display = (
        "tail",
        "batch_name",
        amount,
        "purse_kind",
        "state",
        "origin",
        "created_at",
        "expires_at",
        "used_at",
        "used_by",
    )
    list_filter = ("state", "created_at")
    list_select_related = ("used_by",)
    search_fields = ("tail__exact", "batch_name", "origin__exact", "used_by__username__exact")
    ordering = ("-id",)
    fields = (
        "tail",
        "batch",
        "batch_name",
        amount,
        "purse_kind",
        "state",
        "origin",
        "created_at",
        "expires_at",
        "used_at",
        "used_by",
    )
