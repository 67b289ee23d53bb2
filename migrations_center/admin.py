"""Sources, import runs, plans and waves in the admin: read-only, with links to the pages where they are worked on."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from config.foundation.admin import ReadOnlyAdmin, ReadOnlyInline, json_column, page_link
from migrations_center.models import ImportRun, Plan, Source, Wave, WaveEvent


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    view_right = "migrations.manage"
    list_display = ("code", "name", "product", "kind", "old_entry", "created_at")
    list_filter = ("product", "kind")
    list_select_related = ("old_entry",)
    search_fields = ("code", "name")
    fields = ("code", "name", "product", "kind", "address", "old_entry", "quota_per_unit", "created_at")


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    view_right = "migrations.view"
    list_display = ("id", "source", "state", "started_by", "created_at", "applied_at", "page")
    list_filter = ("state", "source")
    list_select_related = ("source", "started_by")
    search_fields = ("=id", "source__code", "source__name")
    fields = (
        "source",
        "state",
        "started_by",
        "created_at",
        "applied_at",
        "page",
        "snapshot_digest",
        json_column("options", _("options")),
        json_column("progress", _("progress")),
        json_column("report", _("report")),
        "error",
    )

    @display(description=_("page"))
    def page(self, run: ImportRun) -> str:
        return page_link("import_run", _("open"), run.pk)


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    view_right = "migrations.view"
    list_display = ("name", "source", "wave_count", "created_by", "created_at")
    list_select_related = ("source", "created_by")
    search_fields = ("name",)
    fields = ("name", "source", "created_by", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        return super().get_queryset(request).annotate(wave_total=Count("waves"))

    @display(description=_("waves"), ordering="wave_total")
    def wave_count(self, plan: Any) -> int:
        return int(plan.wave_total)


class WaveEventInline(ReadOnlyInline):
    model = WaveEvent
    fields = ("at", "from_state", "to_state", "actor_name", "reason")
    readonly_fields = fields


@admin.register(Wave)
class WaveAdmin(ReadOnlyAdmin):
    view_right = "migrations.view"
    list_display = ("name", "plan", "number", "state", "planned_at", "switched_at", "member_count", "page")
    list_filter = ("state", "plan")
    list_select_related = ("plan",)
    search_fields = ("name", "plan__name")
    fields = (
        "plan",
        "number",
        "name",
        "state",
        "page",
        "planned_at",
        "window_hours",
        "observation_hours",
        "switched_at",
        "gone_back_at",
        "created_by",
        "created_at",
    )
    inlines: ClassVar[list[Any]] = [WaveEventInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wave]:
        return super().get_queryset(request).annotate(member_total=Count("members"))

    @display(description=_("people"), ordering="member_total")
    def member_count(self, wave: Any) -> int:
        return int(wave.member_total)

    @display(description=_("page"))
    def page(self, wave: Wave) -> str:
        return page_link("wave_detail", _("open"), wave.pk)
