"""Forms of trial lists."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from accounts.models import Group
from gateway.forms_proofs import BorrowedKeyForm
from gateway.models import TrialList
from keys.models import ApiKey


class TrialOpenForm(forms.Form):
    team = forms.ChoiceField(label=_("Project"), choices=[])
    kind = forms.ChoiceField(label=_("Kind"), choices=TrialList.Kind.choices)

    def __init__(self, *args: Any, teams: Sequence[Group], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].choices = [(str(team.pk), str(team)) for team in teams]  # type: ignore[attr-defined]


class TrialCheckForm(NoKeysMixin, BorrowedKeyForm):
    model = forms.CharField(label=_("Model"), max_length=255)
    resolution = forms.CharField(label=_("Resolution"), max_length=16)
    wide_size = forms.CharField(label=_("Another ratio"), max_length=16)

    def __init__(self, *args: Any, keys: Sequence[ApiKey], is_creative: bool, **kwargs: Any) -> None:
        super().__init__(*args, keys=keys, **kwargs)
        if not is_creative:
            del self.fields["resolution"]
            del self.fields["wide_size"]
