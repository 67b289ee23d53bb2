"""The form of the choice for keys of a wave."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from keys.services import MAX_OVERLAP_HOURS
from migrations_center.models import KeyChoice


class KeyChoiceForm(NoKeysMixin, forms.Form):
    keys = forms.MultipleChoiceField(label=_("Keys"), choices=[], widget=forms.CheckboxSelectMultiple)
    choice = forms.ChoiceField(label=_("What becomes of them"), choices=KeyChoice.Choice.choices)
    overlap_hours = forms.IntegerField(
        label=_("Overlap, hours"),
        min_value=0,
        max_value=MAX_OVERLAP_HOURS,
        initial=72,
    )
    reason = forms.CharField(label=_("Reason"), max_length=191, required=False)

    def __init__(self, *args: Any, key_ids: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["keys"].choices = [(str(key_id), str(key_id)) for key_id in key_ids]  # type: ignore[attr-defined]
