"""Forms of the reconciliation pages: they read; services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.form_fields import DollarsField, PayerField
from billing.models import DeskItem, Difference
from billing.money_forms import ReasonForm


class StateForm(forms.Form):
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("any")), *Difference.State.choices])


class DeskFilterForm(forms.Form):
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=[("", _("any")), *DeskItem.Kind.choices])
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("any")), *DeskItem.State.choices])


class DecideForm(ReasonForm):
    act = forms.ChoiceField(
        label=_("What became of it"),
        choices=[("explain", _("explained")), ("fix", _("fixed by an entry")), ("write_off", _("written off"))],
    )
    entry = forms.IntegerField(
        label=_("Ledger entry"),
        required=False,
        min_value=1,
        max_value=2**62,
        help_text=_("The number of the entry that put it right."),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("act") == "fix" and not data.get("entry"):
            self.add_error("entry", _("Name the entry that fixed it."))
        return data


class DeskActForm(ReasonForm):
    act = forms.ChoiceField(
        label=_("What to do"),
        choices=[
            ("settle", _("charge it now")),
            ("write_off", _("write it off: the operator bears it")),
            ("ignore", _("set it aside: nothing is owed")),
        ],
    )
    amount = DollarsField(
        label=_("Amount, USD"),
        required=False,
        help_text=_("Only to charge less than the whole, or what was not known."),
    )
    payer = PayerField(
        label=_("Who pays"),
        required=False,
        help_text=_("A user name, or the code of a team after #. Empty: who is named on the item."),
    )
