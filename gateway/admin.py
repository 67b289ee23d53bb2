"""Relays and old entries in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from config.foundation.admin import ReadOnlyAdmin
from gateway.models import OldEntry, RelayInstance


@admin.register(OldEntry)
class OldEntryAdmin(ReadOnlyAdmin):
    view_right = "migrations.manage"
    list_display = ("name", "base_url", "is_active", "key_count", "created_at")
    search_fields = ("name", "base_url")
    fields = ("name", "base_url", "is_active", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OldEntry]:
        return super().get_queryset(request).annotate(key_total=Count("key_links"))

    @display(description=_("keys"), ordering="key_total")
    def key_count(self, entry: Any) -> int:
        return int(entry.key_total)


@admin.register(RelayInstance)
class RelayInstanceAdmin(ReadOnlyAdmin):
    view_right = "calls.inner_route"
    list_display = ("name", "started_at", "seen_at", "config_version", "open_calls")
    search_fields = ("name",)
    ordering = ("-seen_at",)
    fields = ("name", "started_at", "seen_at", "config_version", "open_calls")
