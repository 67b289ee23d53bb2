"""Forms of the fence pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.pricing.tiers import HIGHEST_TIER
from config.foundation.money import parse_usd

TIERS = [(number, str(number)) for number in range(1, HIGHEST_TIER + 1)]
SHOWN_TIERS = range(2, 6)


class UsdField(forms.CharField):
    """US dollars as typed; gives nano-USD, None when empty."""

    def clean(self, value: Any) -> int | None:
        text = (super().clean(value) or "").strip()
        if not text:
            return None
        try:
            return parse_usd(text)
        except ValueError:
            raise forms.ValidationError(_("Write an amount such as 10 or 2.50.")) from None


class TiersForm(forms.Form):
    """Where each tier begins; an empty field: there is no such tier."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number in SHOWN_TIERS:
            self.fields[f"tier_{number}"] = UsdField(
                label=_("Tier %(number)d begins at") % {"number": number},
                required=False,
                max_length=30,
                help_text=_("US dollars for a reference call. Empty: no such tier."),
            )

    def starts(self) -> dict[int, int]:
        found = {number: self.cleaned_data.get(f"tier_{number}") for number in SHOWN_TIERS}
        return {number: nano for number, nano in found.items() if nano is not None}


class FenceForm(forms.Form):
    """How far up a group may go."""

    highest_tier = forms.TypedChoiceField(
        label=_("Highest tier"), required=False, coerce=int, empty_value=None, choices=[("", _("no fence")), *TIERS]
    )
    also_allowed = forms.CharField(
        label=_("Models allowed all the same"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("Names of models beyond that tier, one a line."),
    )

    def clean_also_allowed(self) -> list[str]:
        return self.cleaned_data["also_allowed"].replace(",", "\n").splitlines()


class ModelTierForm(forms.Form):
    """The tier of a model, said outright."""

    number = forms.TypedChoiceField(
        label=_("Tier"), required=False, coerce=int, empty_value=None, choices=[("", _("by its price")), *TIERS]
    )
