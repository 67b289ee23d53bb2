"""Forms of the register of entries: they read what was typed; services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from accounts.models import Role, User
from gateway.models import EntryPoint


class EntryForm(NoKeysMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=128)
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("What stands in the clients, such as https://gateway.example.org/v1."),
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    side = forms.ChoiceField(label=_("Side"), choices=EntryPoint.Side.choices)
    family = forms.ChoiceField(label=_("Protocol"), choices=EntryPoint.Family.choices)
    environment = forms.ChoiceField(label=_("Environment"), choices=EntryPoint.Environment.choices)
    state = forms.ChoiceField(label=_("State"), choices=EntryPoint.State.choices)
    owner = forms.ModelChoiceField(
        label=_("Owner"), queryset=User.objects.none(), help_text=_("Who is asked when something is wrong with it.")
    )
    note = forms.CharField(label=_("Note"), max_length=255, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        staff = User.objects.exclude(role=Role.USER).filter(state="enabled").order_by("username")
        self.fields["owner"].queryset = staff  # type: ignore[attr-defined]
