"""Forms of data planes."""

from django import forms
from django.utils.translation import gettext_lazy as _

from gateway.models import DataPlane
from gateway.services.planes import LONGEST_OVERLAP_HOURS

KINDS = [choice for choice in DataPlane.Kind.choices if choice[0] != DataPlane.Kind.EMBEDDED]


class PlaneForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=128)
    kind = forms.ChoiceField(label=_("Engine"), choices=KINDS)
    may_read_secrets = forms.BooleanField(
        label=_("May read upstream credentials"),
        required=False,
        help_text=_("Each reading is in the audit log. Without it the engine has the credentials in its own environment."),
    )


class RotateForm(forms.Form):
    overlap_hours = forms.IntegerField(
        label=_("The old token works on for, hours"), min_value=0, max_value=LONGEST_OVERLAP_HOURS, initial=24
    )
