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
        label=_("Key"), max_length=191, help_text=_("Its last four characters, its name or its number. Never the key itself.")
    )
    model = forms.CharField(label=_("Model"), max_length=255, help_text=_("As the client names it."))
    address = forms.CharField(
        label=_("Network address"), max_length=64, required=False, help_text=_("Empty: one of the key's own networks.")
    )
    at = forms.DateTimeField(
        label=_("Time"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TIME_FORMAT),
        input_formats=[TIME_FORMAT, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
        help_text=_("Empty: now, balance and limits included."),
    )
    path = forms.ChoiceField(
        label=_("Address called"), required=False, choices=[(path, path) for path in ENDPOINTS], initial=CHAT.path
    )
    max_tokens = forms.IntegerField(
        label=_("Longest answer, tokens"),
        required=False,
        min_value=0,
        max_value=10_000_000,
        help_text=_("Empty: the client names none."),
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
