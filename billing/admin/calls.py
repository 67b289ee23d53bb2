"""Request logs in the admin: newest first, no full count, the inner route for operators alone."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import RequestLog
from config.foundation.admin import ReadOnlyAdmin, json_column, usd_column
from config.foundation.ids import uuid7_time
from config.foundation.rights import may

cost = usd_column("cost_nano", _("cost"))
INNER_ROUTE = ("route", json_column("attempts", _("attempts")), "price_version_id", "source_ref")


@admin.register(RequestLog)
class RequestLogAdmin(ReadOnlyAdmin):
    view_right = "calls.search"
    list_display = ("started_at", "id", "user", "key_tail", "asked_model", "outcome", "http_status", "duration_ms", cost)
    list_filter = ("started_at", "outcome", "origin", "is_stream")
    list_select_related = ("user",)
    search_fields = ("id",)
    search_help_text = _("Request id, key tail (4 characters), exact user name or exact model.")
    ordering = ("-started_at", "-id")
    fields = (
        "id",
        "started_at",
        "duration_ms",
        "first_token_ms",
        "user",
        "key_name",
        "key_tail",
        "group_code",
        "endpoint",
        "is_stream",
        "asked_model",
        "billed_model",
        "served_model",
        "outcome",
        "http_status",
        "error_code",
        "input_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "usage_source",
        usd_column("held_nano", _("held")),
        cost,
        json_column("price_detail", _("price arithmetic")),
        "client_family",
        "client_network",
        "origin",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.fields, *INNER_ROUTE) if may(request.user, "calls.inner_route") else self.fields

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """No column sorts: every other order than by time would read the whole table."""
        return ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequestLog]:
        return super().get_queryset(request).defer("attempts", "price_detail")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RequestLog], search_term: str
    ) -> tuple[QuerySet[RequestLog], bool]:
        """Exact look-ups that an index answers; a request id also names the month it is in."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            request_id = uuid.UUID(term)
        except ValueError:
            return queryset.filter(**self._meant(term)), False
        return queryset.filter(id=request_id, started_at=uuid7_time(request_id)), False

    def _meant(self, term: str) -> dict[str, Any]:
        """One condition, so that one index serves it: an OR of three would read the table backwards to its beginning."""
        person = User.objects.filter(username=term).values_list("pk", flat=True).first()
        if person is not None:
            return {"user_id": person}
        if len(term) == 4 and RequestLog.objects.filter(key_tail=term).exists():
            return {"key_tail": term}
        return {"asked_model": term}
