"""Providers, upstreams, models and the name map in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from config.foundation.admin import PortalAdmin, ReadOnlyAdmin, ReadOnlyInline
from config.foundation.errors import PortalError
from models_catalog import selectors, services
from models_catalog.forms import AIModelForm, NameMapPublishForm, TargetForm, UpstreamForm
from models_catalog.models import AIModel, ModelAccess, NameMapEntry, NameMapVersion, Provider, Upstream, UpstreamModel
from models_catalog.name_map_csv import to_csv

RIGHT = "catalog.manage"
UPSTREAM_FIELDS = ("name", "provider", "base_url", "group_codes", "priority", "weight", "timeout_seconds", "note")
MODEL_FIELDS = ("display_name", "modality", "capabilities", "context_tokens", "max_output_tokens", "is_active", "note")


class CatalogAdmin(PortalAdmin):
    view_right = change_right = add_right = act_right = RIGHT


@admin.register(Provider)
class ProviderAdmin(CatalogAdmin):
    list_display = ("code", "name", "protocol", "website", "upstream_count")
    list_filter = ("protocol",)
    search_fields = ("code", "name")
    fields = ("code", "name", "protocol", "website")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        return super().get_queryset(request).annotate(upstream_total=Count("upstreams"))

    @display(description=_("upstreams"), ordering="upstream_total")
    def upstream_count(self, provider: Any) -> int:
        return int(provider.upstream_total)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("code",) if obj else ()

    def write(self, request: Any, instance: Provider | None, form: forms.ModelForm, change: bool) -> Provider:
        if instance is None:
            return services.create_provider(actor_name=request.user.username, **form.cleaned_data)
        return services.update_provider(actor_name=request.user.username, provider=instance, **form.cleaned_data)


@admin.register(Upstream)
class UpstreamAdmin(CatalogAdmin):
    """The credential has a field to go in; it is not among the columns read, so no page can show it."""

    form = UpstreamForm
    list_display = ("name", "provider", "base_url", "state", "priority", "weight", "credential_shown", "model_count")
    list_filter = ("state", "provider")
    list_select_related = ("provider",)
    search_fields = ("name", "base_url")
    autocomplete_fields = ("provider",)
    fields = (
        "name",
        "provider",
        "base_url",
        "credential",
        "state",
        "group_codes",
        ("priority", "weight", "timeout_seconds"),
        "served_models",
        "note",
        "reason",
    )
    actions = ("enable", "disable")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        return super().get_queryset(request).defer("credential_sealed").annotate(model_total=Count("served"))

    @display(description=_("credential"))
    def credential_shown(self, upstream: Upstream) -> str:
        return f"...{upstream.credential_tail}" if upstream.credential_tail else "-"

    @display(description=_("models"), ordering="model_total")
    def model_count(self, upstream: Any) -> int:
        return int(upstream.model_total)

    def write(self, request: Any, instance: Upstream | None, form: forms.ModelForm, change: bool) -> Upstream:
        data = form.cleaned_data
        who, why = request.user.username, data["reason"]
        fields: dict[str, Any] = {name: data[name] for name in UPSTREAM_FIELDS}
        if instance is None:
            # The service decides for one that says it needs a credential, by whether there is one.
            state = None if data["state"] == Upstream.State.NEEDS_CREDENTIAL else data["state"]
            upstream = services.create_upstream(
                actor_name=who, credential=data["credential"], state=state, reason=why, **fields
            )
        else:
            upstream = services.update_upstream(actor_name=who, upstream=instance, reason=why, **fields)
            if data["credential"]:
                services.set_credential(actor_name=who, upstream=upstream, credential=data["credential"], reason=why)
            if "state" in form.changed_data:
                services.set_upstream_state(actor_name=who, upstream=upstream, state=data["state"], reason=why)
        services.serve_models(actor_name=who, upstream=upstream, served=data["served_models"], replace=True, reason=why)
        return upstream

    @action(description=_("Enable"), permissions=["act"])
    def enable(self, request: Any, queryset: QuerySet[Upstream]) -> None:
        self._set_state(request, queryset, Upstream.State.ENABLED)

    @action(description=_("Disable"), permissions=["act"])
    def disable(self, request: Any, queryset: QuerySet[Upstream]) -> None:
        self._set_state(request, queryset, Upstream.State.DISABLED)

    def _set_state(self, request: Any, queryset: QuerySet[Upstream], state: str) -> None:
        self.run_action(
            request,
            queryset,
            lambda row: services.set_upstream_state(actor_name=request.user.username, upstream=row, state=state),
        )


@admin.register(UpstreamModel)
class TargetAdmin(CatalogAdmin):
    """What a model at an upstream takes: requests it does not take are refused before they cost anything."""

    add_right = ""
    form = TargetForm
    list_display = ("model_called", "upstream", "upstream_name", "is_described")
    list_filter = ("model__modality", "upstream")
    list_select_related = ("model", "upstream")
    search_fields = ("model__name", "upstream_name", "upstream__name")
    readonly_fields = ("model", "upstream", "upstream_name")
    fields = ("model", "upstream", "upstream_name", "inputs", ("references_min", "references_max"), "rules", "strict", "reason")
    actions = ("fill_in",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpstreamModel]:
        return super().get_queryset(request).select_related("model", "upstream").defer("upstream__credential_sealed")

    @display(description=_("model"), ordering="model__name")
    def model_called(self, target: UpstreamModel) -> str:
        return target.model.name

    @display(description=_("described"), boolean=True)
    def is_described(self, target: UpstreamModel) -> bool:
        return bool(target.parameters)

    def write(self, request: Any, instance: UpstreamModel | None, form: forms.ModelForm, change: bool) -> UpstreamModel:
        assert instance is not None
        assert isinstance(form, TargetForm)
        why = form.cleaned_data["reason"]
        return services.describe_target(
            actor_name=request.user.username, target=instance, parameters=form.description(), reason=why
        )

    @action(description=_("Fill in what is known of well-known models"), permissions=["act"])
    def fill_in(self, request: Any, queryset: QuerySet[UpstreamModel]) -> None:
        self.run_action(request, queryset, lambda row: services.fill_in_target(actor_name=request.user.username, target=row))


class ServedByInline(ReadOnlyInline):
    model = UpstreamModel
    fields = ("upstream", "upstream_name")
    readonly_fields = fields
    verbose_name_plural = _("served by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpstreamModel]:
        return super().get_queryset(request).select_related("upstream").defer("upstream__credential_sealed")


class AccessInline(ReadOnlyInline):
    model = ModelAccess
    fields = ("group_code",)
    readonly_fields = fields


@admin.register(AIModel)
class AIModelAdmin(CatalogAdmin):
    form = AIModelForm
    list_display = ("name", "display_name", "modality", "is_active", "context_tokens", "group_count")
    list_filter = ("modality", "is_active")
    search_fields = ("name", "display_name")
    fields = (
        "name",
        "display_name",
        "modality",
        "is_active",
        "capabilities",
        ("context_tokens", "max_output_tokens"),
        "group_codes",
        "note",
        "reason",
    )
    actions = ("activate", "deactivate")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AIModel]:
        return super().get_queryset(request).annotate(group_total=Count("access"))

    @display(description=_("groups with access"), ordering="group_total")
    def group_count(self, model: Any) -> int:
        return int(model.group_total)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name",) if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [ServedByInline, AccessInline] if obj else []

    def write(self, request: Any, instance: AIModel | None, form: forms.ModelForm, change: bool) -> AIModel:
        data = form.cleaned_data
        who, why = request.user.username, data["reason"]
        fields: dict[str, Any] = {name: data[name] for name in MODEL_FIELDS}
        if instance is None:
            figures = services.ModelFigures(name=data["name"], **{**fields, "capabilities": tuple(fields["capabilities"])})
            model = services.create_model(actor_name=who, figures=figures, reason=why)
        else:
            model = services.update_model(actor_name=who, model=instance, reason=why, **fields)
        services.set_access(actor_name=who, model=model, group_codes=data["group_codes"], reason=why)
        return model

    @action(description=_("Activate"), permissions=["act"])
    def activate(self, request: Any, queryset: QuerySet[AIModel]) -> None:
        self._set_active(request, queryset, True)

    @action(description=_("Deactivate"), permissions=["act"])
    def deactivate(self, request: Any, queryset: QuerySet[AIModel]) -> None:
        self._set_active(request, queryset, False)

    def _set_active(self, request: Any, queryset: QuerySet[AIModel], is_active: bool) -> None:
        self.run_action(
            request,
            queryset,
            lambda row: services.update_model(actor_name=request.user.username, model=row, is_active=is_active),
        )


class InForceFilter(admin.SimpleListFilter):
    """The map as it is, unless its history is asked for."""

    title = _("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("all", _("with history"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[NameMapEntry]) -> QuerySet[NameMapEntry]:
        return queryset if self.value() == "all" else queryset.filter(until_version=None)


@admin.register(NameMapEntry)
class NameMapEntryAdmin(ReadOnlyAdmin):
    """Read-only: a line is never edited, a new version is published."""

    view_right = act_right = RIGHT
    list_display = ("old_name", "kind", "callable_model", "bill_as_called", "reason", "approved_by", "from_version")
    list_filter = (InForceFilter, "kind")
    list_select_related = ("callable_model", "from_version")
    search_fields = ("old_name", "callable_model__name")
    fields = (
        "old_name",
        "kind",
        "callable_model",
        "bill_as_called",
        "reason",
        "approved_by",
        "from_version",
        "until_version",
    )
    actions_list = ("publish_change", "export_csv")

    @action(description=_("Publish changes"), url_path="publish", permissions=["act"])
    def publish_change(self, request: Any) -> HttpResponse:
        form = NameMapPublishForm(
            request.POST or None,
            request.FILES or None,
            initial={"version": selectors.newest_name_map_version(), "bill_as_called": True},
        )
        if request.method == "POST" and form.is_valid():
            try:
                version = services.publish_name_map(
                    actor_name=request.user.username,
                    changes=form.cleaned_data["changes"],
                    reason=form.cleaned_data["reason"],
                    expected_version=form.cleaned_data["version"],
                )
            except PortalError as error:
                form.add_error(None, error.message)
            else:
                said = (
                    gettext("Version %s is published.") % version.number
                    if version
                    else gettext("Nothing differs from the map.")
                )
                messages.success(request, said)
                return HttpResponseRedirect(reverse("admin:models_catalog_namemapentry_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Publish changes of the name map"),
            "form": form,
        }
        return TemplateResponse(request, "admin/models_catalog/name_map_publish.html", context)

    @action(description=_("Export CSV"), url_path="csv", permissions=["act"])
    def export_csv(self, request: HttpRequest) -> HttpResponse:
        response = HttpResponse(to_csv(selectors.current_name_map()), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="name-map-v{selectors.newest_name_map_version()}.csv"'
        return response


@admin.register(NameMapVersion)
class NameMapVersionAdmin(ReadOnlyAdmin):
    view_right = RIGHT
    list_display = ("number", "created_at", "created_by", "reason")
    search_fields = ("=number", "created_by", "reason")
    fields = ("number", "created_at", "created_by", "reason")
