"""Spend limits in the admin: set, changed and removed through the service."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models import SpendLimit, SpendWindow
from billing.services.budgets import set_spend_limit
from config.foundation.admin import PortalAdmin, usd, usd_column
from config.foundation.clock import now
from config.foundation.money import decimal_usd, parse_usd


class LimitForm(forms.ModelForm):
    """The limit in dollars; the row keeps nano-dollars."""

    limit = forms.CharField(
        label=_("Limit, USD"),
        required=False,
        help_text=_("Empty: no such limit."),
        widget=UnfoldAdminTextInputWidget,
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        required=False,
        help_text=_("Its days and months are counted. Empty: that of the account."),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = SpendLimit
        fields = ("key", "user", "group", "span", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["limit"] = decimal_usd(self.instance.limit_nano)

    def clean_limit(self) -> int | None:
        text = self.cleaned_data["limit"].strip()
        try:
            nano = parse_usd(text) if text else None
        except ValueError:
            raise forms.ValidationError(_("An amount has at most nine decimal places.")) from None
        if nano is not None and not 0 <= nano < 2**62:
            raise forms.ValidationError(_("A limit is not negative."))
        if nano is None and not self.instance.pk:
            raise forms.ValidationError(_("Give an amount."))
        return nano

    def _get_validation_exclusions(self) -> set[str]:
        # What the row itself must be is the service's to say.
        return super()._get_validation_exclusions() | {"scope", "limit_nano", "counts_from"}  # type: ignore[misc,no-any-return]

    def validate_constraints(self) -> None:
        """The service changes the limit that is there; a second one cannot come about."""


@admin.register(SpendLimit)
class SpendLimitAdmin(PortalAdmin):
    """How much a key, a member, a team or a person may spend."""

    form = LimitForm
    view_right = "keys.view"
    change_right = "keys.manage"
    add_right = "keys.manage"
    list_display = ("scope", "whom", "span", usd_column("limit_nano", _("limit")), "spent", "held", "time_zone")
    list_filter = ("scope", "span")
    search_fields = ("key__name", "user__username", "group__code")
    ordering = ("-id",)
    autocomplete_fields = ("key", "user", "group")
    now_in_window = ("spent", "held")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        target = ("key", "user", "group", "span")
        return (*target, "limit", "time_zone", *self.now_in_window) if obj else (*target, "limit", "time_zone")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("key", "user", "group", "span", *self.now_in_window) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[SpendLimit]:
        at = now()
        # The window that runs: a list asks for all its rows at once.
        window = SpendWindow.objects.filter(Q(ends_at=None) | Q(ends_at__gt=at), limit=OuterRef("pk"), starts_at__lte=at)
        running = {f"{name}_now": Subquery(window.values(name)[:1]) for name in ("spent_nano", "held_nano")}
        return super().get_queryset(request).select_related("key", "user", "group").annotate(**running)

    @display(description=_("for"))
    def whom(self, limit: SpendLimit) -> str:
        return " / ".join(str(part) for part in (limit.key, limit.group, limit.user) if part)

    @display(description=_("limit"))
    def limit(self, limit: SpendLimit) -> str:
        """For those who may look and not change."""
        return usd(limit.limit_nano)

    @display(description=_("spent in this window"))
    def spent(self, limit: Any) -> str:
        return usd(limit.spent_nano_now or 0)

    @display(description=_("held"))
    def held(self, limit: Any) -> str:
        return usd(limit.held_nano_now or 0)

    def write(self, request: Any, instance: SpendLimit | None, form: forms.ModelForm, change: bool) -> SpendLimit:
        data = form.cleaned_data
        target = (
            {"key": instance.key, "user": instance.user, "group": instance.group, "span": instance.span}
            if instance
            else {name: data[name] for name in ("key", "user", "group", "span")}
        )
        made = set_spend_limit(actor=request.user, limit_nano=data["limit"], time_zone=data["time_zone"], **target)
        return made or instance or form.instance
