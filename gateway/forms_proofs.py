"""Forms of proofs of names."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from gateway.models import Feature
from keys.models import ApiKey


class BorrowedKeyForm(forms.Form):
    key = forms.ChoiceField(label=_("Test key"), choices=[])

    def __init__(self, *args: Any, keys: Sequence[ApiKey], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].choices = [(str(key.pk), f"{key.name} ({key.owner or key.team})") for key in keys]  # type: ignore[attr-defined]


class ProofForm(BorrowedKeyForm):
    with_called_names = forms.BooleanField(label=_("Names called in the last 30 days too"), required=False)


class FeaturesForm(NoKeysMixin, forms.Form):
    name = forms.CharField(label=_("Model"), max_length=255, help_text=_("As the client names it."))
    features = forms.MultipleChoiceField(
        label=_("Its users need"),
        required=False,
        choices=[(code, word) for code, word in Feature.choices if code != Feature.PLAIN],
        widget=forms.CheckboxSelectMultiple,
    )
    note = forms.CharField(label=_("Note"), max_length=255, required=False)
