"""The question of explain access: which key, which model, from where, when, at which address."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from gateway.contract.endpoints import CHAT, ENDPOINTS

TIME_FORMAT = "%Y-%m-%dT%H:%M"


class AccessForm(NoKeysMixin, forms.Form):
    key = forms.CharField(
        label=_("Key"), max_length=191, widget=forms.TextInput(attrs={"placeholder": _("tail, name or number")})
    )
    model = forms.CharField(label=_("Model"), max_length=255)
    address = forms.CharField(
        label=_("Network address"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": _("any of the key's own")}),
    )
    at = forms.DateTimeField(
        label=_("Time"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TIME_FORMAT),
        input_formats=[TIME_FORMAT, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )
    path = forms.ChoiceField(
        label=_("Address called"), required=False, choices=[(path, path) for path in ENDPOINTS], initial=CHAT.path
    )
    max_tokens = forms.IntegerField(
        label=_("Longest answer, tokens"),
        required=False,
        min_value=0,
        max_value=10_000_000,
        widget=forms.NumberInput(attrs={"placeholder": _("not named")}),
    )

    def clean_address(self) -> str:
        address = str(self.cleaned_data["address"]).strip()
        if address:
            try:
                validate_ipv46_address(address)
            except ValidationError:
                raise ValidationError(_("Write an address such as 203.0.113.7.")) from None
        return address

    def clean_path(self) -> str:
        return str(self.cleaned_data["path"] or CHAT.path)

    def question(self) -> dict[str, Any]:
        """The values of ``gateway.access.Question``; the form is valid."""
        return {name: self.cleaned_data[name] for name in ("model", "address", "at", "path", "max_tokens")}
