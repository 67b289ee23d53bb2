"""Relays and old entries in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from config.foundation.admin import PortalAdmin, ReadOnlyAdmin, ReadOnlyInline
from config.foundation.money import format_usd
from gateway.models import (
    DataPlane,
    DataPlaneInstance,
    EntryPoint,
    KeyWatch,
    OldEntry,
    PlaneEvent,
    ProofResult,
    ProofRun,
    RelayInstance,
    TrialItem,
    TrialList,
)
from gateway.models_tasks import MediaTask, TaskTemplate
from gateway.services import remember_old_entry, trial_lists


class OldEntryForm(forms.ModelForm):
    base_url = forms.CharField(
        label=_("Base URL"), max_length=500, help_text=_("Without /v1 at the end."), widget=UnfoldAdminTextInputWidget
    )

    class Meta:
        model = OldEntry
        fields = ("name", "base_url")

    def _get_validation_exclusions(self) -> set[str]:
        # The service has the rule: inner host names without a dot are fine.
        return {*super()._get_validation_exclusions(), "base_url"}  # type: ignore[misc]


@admin.register(OldEntry)
class OldEntryAdmin(PortalAdmin):
    form = OldEntryForm
    view_right = change_right = add_right = "migrations.manage"
    list_display = ("name", "base_url", "is_active", "key_count", "created_at")
    search_fields = ("name", "base_url")
    fields = ("name", "base_url")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name",) if obj else ()

    def write(self, request: Any, instance: OldEntry | None, form: forms.ModelForm, change: bool) -> OldEntry:
        name = instance.name if instance else form.cleaned_data["name"]
        return remember_old_entry(actor=request.user, name=name, base_url=form.cleaned_data["base_url"])

    def get_queryset(self, request: HttpRequest) -> QuerySet[OldEntry]:
        return super().get_queryset(request).annotate(key_total=Count("key_links"))

    @display(description=_("keys"), ordering="key_total")
    def key_count(self, entry: Any) -> int:
        return int(entry.key_total)


@admin.register(RelayInstance)
class RelayInstanceAdmin(ReadOnlyAdmin):
    view_right = "calls.inner_route"
    list_display = ("name", "started_at", "seen_at", "config_version", "open_calls", "spool_depth", "oldest_unacked_s")
    search_fields = ("name",)
    ordering = ("-seen_at",)
    fields = ("name", "started_at", "seen_at", "config_version", "open_calls", "spool_depth", "oldest_unacked_s", "lease_count")


class ProofResultInline(ReadOnlyInline):
    model = ProofResult
    fields = (
        "name",
        "called_name",
        "feature",
        "state",
        "cause",
        "http_status",
        "error_code",
        "answered_as",
        "request_id",
        "took_ms",
    )
    readonly_fields = fields


@admin.register(ProofRun)
class ProofRunAdmin(ReadOnlyAdmin):
    """Proofs of names with their results; they are started on their own page."""

    view_right = "migrations.view"
    list_display = ("created_at", "state", "started_by", "key", "map_version", "with_called_names", "ended_at", "error")
    list_filter = ("state", "with_called_names")
    list_select_related = ("started_by", "key")
    search_fields = ("=id", "started_by__username", "key__name")
    fields = ("id", "created_at", "state", "started_by", "key", "map_version", "with_called_names", "ended_at", "error")
    inlines = (ProofResultInline,)


class TrialItemInline(ReadOnlyInline):
    model = TrialItem
    fields = ("code", "state", "cause", "error_code", "request_id", "checked_at")
    readonly_fields = fields


@admin.register(TrialList)
class TrialListAdmin(ReadOnlyAdmin):
    """What each project has shown; ticked by calls, never here."""

    view_right = trial_lists.RIGHT
    list_display = ("team", "kind", "state", "check_state", "opened_at", "produced_at")
    list_filter = ("kind", "state")
    list_select_related = ("team",)
    search_fields = ("team__code", "team__name")
    ordering = ("-opened_at",)
    fields = (
        "team", "kind", "state", "check_state", "key", "model_name", "resolution", "wide_size", "asked_by", "opened_at",
        "produced_at",
    )  # fmt: skip
    inlines = (TrialItemInline,)


@admin.register(KeyWatch)
class KeyWatchAdmin(ReadOnlyAdmin):
    """Keys that relays are asked to confirm, with what each relay said."""

    view_right = "migrations.view"
    list_display = ("key", "asked_at", "confirmed_by")
    list_select_related = ("key",)
    search_fields = ("key__name", "key__owner__username")
    ordering = ("-asked_at",)
    fields = ("key", "asked_at", "said")

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyWatch]:
        return super().get_queryset(request).prefetch_related("key__confirmations")

    @display(description=_("confirmed by"))
    def confirmed_by(self, watch: KeyWatch) -> str:
        names = sorted(one.relay for one in watch.key.confirmations.all() if one.fingerprint)
        return ", ".join(names) or "-"

    @display(description=_("relays"))
    def said(self, watch: KeyWatch) -> str:
        rows = sorted(watch.key.confirmations.all(), key=lambda one: one.relay)
        told = ((one.relay, one.get_withheld_display() or gettext("confirmed"), one.confirmed_at) for one in rows)
        lines = ((name, word, localize(localtime(at))) for name, word, at in told)
        return format_html_join(mark_safe("<br>"), "{}: {}, {}", lines) or "-"


@admin.register(EntryPoint)
class EntryPointAdmin(ReadOnlyAdmin):
    """The register of entries; it is changed on its own page."""

    view_right = "migrations.view"
    list_display = ("name", "url", "side", "family", "environment", "owner", "state")
    list_filter = ("side", "state", "environment")
    search_fields = ("name", "url")
    list_select_related = ("owner",)
    fields = ("name", "url", "side", "family", "environment", "owner", "state", "note", "created_at")


@admin.register(MediaTask)
class MediaTaskAdmin(ReadOnlyAdmin):
    """The history with its inner route; tasks in doubt are decided on their own page."""

    view_right = "calls.inner_route"
    list_display = ("id_shown", "kind", "state", "asked_model", "user", "team", "upstream", "cost_shown", "created_at")
    list_filter = ("kind", "state")
    list_select_related = ("user", "team", "upstream")
    search_fields = ("=id", "=upstream_task_id", "=asked_model", "=key_tail")
    ordering = ("-id",)
    fields = (
        "id", "kind", "state", "doubt", "user", "team", "key_name", "key_tail", "asked_model", "billed_model", "upstream",
        "upstream_name", "upstream_task_id", "parameters", "parameters_hash", "cost_shown", "failure_code", "failure_reason",
        "created_at", "finished_at", "checked_at", "check_count", "decided_by", "decision_note",
    )  # fmt: skip

    @display(description="ID", ordering="id")
    def id_shown(self, task: MediaTask) -> str:
        return task.public_id

    @display(description=_("cost"), ordering="cost_nano")
    def cost_shown(self, task: MediaTask) -> str:
        return format_usd(task.cost_nano)


@admin.register(TaskTemplate)
class TaskTemplateAdmin(ReadOnlyAdmin):
    view_right = "calls.inner_route"
    list_display = ("name", "team", "kind", "is_active", "created_at")
    list_filter = ("kind", "is_active")
    list_select_related = ("team",)
    search_fields = ("name", "team__code")
    fields = ("name", "team", "kind", "is_active", "created_at")


@admin.register(DataPlane)
class DataPlaneAdmin(ReadOnlyAdmin):
    """Data planes; tokens and wishes have their own page."""

    view_right = "planes.view"
    list_display = ("name", "kind", "state", "tail", "may_read_secrets", "wanted", "rotated_at")
    list_filter = ("kind", "state")
    search_fields = ("name",)
    list_select_related = ("created_by",)
    fields = (
        "name", "kind", "state", "tail", "old_valid_until", "may_read_secrets", "wanted", "created_by", "created_at",
        "rotated_at", "revoked_at",
    )  # fmt: skip


@admin.register(DataPlaneInstance)
class DataPlaneInstanceAdmin(ReadOnlyAdmin):
    view_right = "planes.view"
    list_display = ("name", "plane", "seen_at", "spool_depth", "oldest_unacked_s", "inflight", "version")
    list_filter = ("plane",)
    search_fields = ("name",)
    list_select_related = ("plane",)
    fields = (
        "name", "plane", "version", "config_version", "key_cursor", "spool_depth", "oldest_unacked_s", "inflight",
        "lease_count", "clock_ms", "first_seen_at", "seen_at",
    )  # fmt: skip


@admin.register(PlaneEvent)
class PlaneEventAdmin(ReadOnlyAdmin):
    view_right = "planes.view"
    list_display = ("event_id", "plane", "source", "status", "reason", "is_final", "received_at")
    list_filter = ("status", "is_final", "plane")
    search_fields = ("event_id", "request_id")
    list_select_related = ("plane",)
    ordering = ("-received_at",)
    fields = ("event_id", "plane", "source", "request_id", "attempt", "is_final", "status", "reason", "received_at")
