"""Requests, overrides and batches of codes in the admin: looked at by finance, decided by a second person."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing.models import AdjustmentRequest, BreakGlass, CodeBatch
from billing.services import approvals
from config.foundation.admin import ReadOnlyAdmin, json_column, page_link, usd_column

RIGHT = "ledger.view"
amount = usd_column("amount_nano", _("amount"))


@admin.register(AdjustmentRequest)
class AdjustmentRequestAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    act_right = "ledger.approve"
    list_display = ("id", "kind", "purse", amount, "reason", "state", "requested_by", "requested_at", "decided_by")
    list_filter = ("state", "kind", "requested_at")
    list_select_related = ("purse__user", "purse__group", "requested_by", "decided_by")
    search_fields = ("=id", "=transaction_id", "requested_by__username__exact")
    ordering = ("-id",)
    actions = ("approve",)
    fields = (
        "kind",
        "state",
        "transaction_id",
        "purse",
        "entry",
        "batch",
        amount,
        json_column("details", _("details")),
        "reason",
        "evidence_url",
        "requested_by",
        "requested_at",
        "is_alone",
        "decided_by",
        "decided_at",
        "decision_note",
        "override",
    )

    @action(description=_("Approve and do"), permissions=["act"])
    def approve(self, request: Any, queryset: QuerySet[AdjustmentRequest]) -> None:
        self.run_action(request, queryset, lambda one: bool(approvals.approve(actor=request.user, request=one)))


@admin.register(BreakGlass)
class BreakGlassAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("id", "user", "reason", "opened_at", "expires_at", "reviewed_at", "reviewed_by")
    list_filter = ("opened_at",)
    list_select_related = ("user", "reviewed_by")
    search_fields = ("=id", "user__username__exact")
    fields = ("user", "reason", "opened_at", "expires_at", "closed_at", "reviewed_at", "reviewed_by", "review_note")


@admin.register(CodeBatch)
class CodeBatchAdmin(ReadOnlyAdmin):
    """What was made; the clear codes are not among the fields."""

    view_right = RIGHT
    list_display = ("name", "purse_kind", amount, "code_count", "expires_at", "created_at", "created_by", "exported_at")
    list_filter = ("purse_kind", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name", "=id")
    ordering = ("-created_at",)
    fields = (
        "name",
        "purse_kind",
        amount,
        "code_count",
        "expires_at",
        "max_per_person",
        "note",
        "created_at",
        "created_by",
        "exported_at",
        "exported_by",
        "page",
    )

    def get_queryset(self, request: Any) -> QuerySet[CodeBatch]:
        return super().get_queryset(request).defer("sealed_codes")

    @display(description=_("counts and codes"))
    def page(self, batch: CodeBatch) -> str:
        return page_link("code_batch_detail", _("Open its page"), batch.pk)
