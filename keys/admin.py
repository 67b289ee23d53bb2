"""API keys in the admin: tails alone, changes through the services."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from config.foundation.admin import PortalAdmin, ReadOnlyInline
from keys import services
from keys.models import ApiKey, KeySecret, UseProfile
from keys.services_profiles import change_profile, create_profile


class SecretInline(ReadOnlyInline):
    """What is known of a secret: its last four characters and its times. The digest is not read."""

    model = KeySecret
    fields = ("tail", "origin", "created_at", "valid_until", "revoked_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeySecret]:
        return super().get_queryset(request).defer("digest")


@admin.register(ApiKey)
class ApiKeyAdmin(PortalAdmin):
    """Keys are issued and rotated on the portal's pages, where their clear secret is shown once; never here."""

    view_right = "keys.view"
    change_right = "keys.manage"
    act_right = "keys.manage"
    list_display = ("name", "tails", "owner", "team", "purpose", "state", "route", "expires_at", "last_used_at")
    list_filter = ("state", "route", "purpose")
    list_select_related = ("owner", "team")
    search_fields = ("name", "secrets__tail__exact", "owner__username", "owner__email", "team__code")
    fields = (
        "name",
        "purpose",
        "owner",
        "team",
        "state",
        "state_reason",
        "route",
        "profile",
        "model_names",
        "networks",
        "group",
        "auto_group_codes",
        "expires_at",
        "created_at",
        "last_used_at",
    )
    inlines: ClassVar[list[Any]] = [SecretInline]
    actions = ("enable", "disable", "revoke")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.fields if name not in ("name", "purpose")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).prefetch_related("secrets")

    @display(description=_("tails"))
    def tails(self, key: ApiKey) -> str:
        living = [secret.tail for secret in key.secrets.all() if secret.revoked_at is None]
        return ", ".join(f"...{tail}" for tail in living) or "-"

    def write(self, request: Any, instance: ApiKey, form: forms.ModelForm, change: bool) -> ApiKey:
        data = form.cleaned_data
        return services.rename_key(actor=request.user, key=instance, name=data["name"], purpose=data["purpose"])

    @action(description=_("Enable"), permissions=["act"])
    def enable(self, request: Any, queryset: QuerySet[ApiKey]) -> None:
        self.run_action(request, queryset, lambda key: services.enable_key(actor=request.user, key=key))

    @action(description=_("Disable"), permissions=["act"])
    def disable(self, request: Any, queryset: QuerySet[ApiKey]) -> None:
        self.run_action(request, queryset, lambda key: services.disable_key(actor=request.user, key=key))

    @action(description=_("Revoke for good"), permissions=["act"])
    def revoke(self, request: Any, queryset: QuerySet[ApiKey]) -> None:
        self.run_action(request, queryset, lambda key: services.revoke_key(actor=request.user, key=key))


@admin.register(UseProfile)
class UseProfileAdmin(PortalAdmin):
    """What kinds of work call; keys are bound to a profile on the portal's pages."""

    view_right = "keys.view"
    change_right = "keys.manage"
    add_right = "keys.manage"
    list_display = ("name", "use", "alias", "default_model", "team", "changed_at")
    list_filter = ("use",)
    list_select_related = ("team",)
    search_fields = ("name", "alias", "default_model", "team__code")
    fields = ("team", "use", "name", "alias", "default_model", "model_names", "parameters", "created_at", "changed_at")
    autocomplete_fields = ("team",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("team", "created_at", "changed_at") if obj else ("created_at", "changed_at")

    def write(self, request: Any, instance: UseProfile | None, form: forms.ModelForm, change: bool) -> UseProfile:
        data = form.cleaned_data
        given = {name: data[name] for name in ("use", "name", "alias", "default_model", "model_names")}
        given["parameters"] = data["parameters"] or {}
        if instance is not None:
            return change_profile(actor=request.user, profile=instance, **given)
        return create_profile(actor=request.user, team=data["team"], **given)
