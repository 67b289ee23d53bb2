"""Forms of the reconciliation pages: they read; services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, User
from billing.models import DeskItem, Difference
from config.foundation.money import parse_usd
from config.foundation.redaction import looks_like_key


class StateForm(forms.Form):
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("any")), *Difference.State.choices])


class DeskFilterForm(forms.Form):
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=[("", _("any")), *DeskItem.Kind.choices])
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("any")), *DeskItem.State.choices])


class _Reasoned(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=255)

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"].strip()
        if any(looks_like_key(word) for word in reason.split()):
            raise forms.ValidationError(_("This looks like an API key. It was not stored."))
        return reason


class DecideForm(_Reasoned):
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


class DeskActForm(_Reasoned):
    act = forms.ChoiceField(
        label=_("What to do"),
        choices=[
            ("settle", _("charge it now")),
            ("write_off", _("write it off: the operator bears it")),
            ("ignore", _("set it aside: nothing is owed")),
        ],
    )
    amount = forms.CharField(
        label=_("Amount, USD"),
        max_length=24,
        required=False,
        help_text=_("Only to charge less than the whole, or what was not known."),
    )
    payer = forms.CharField(
        label=_("Who pays"),
        max_length=191,
        required=False,
        help_text=_("A user name, or the code of a team after #. Empty: who is named on the item."),
    )

    def clean_amount(self) -> int | None:
        text = self.cleaned_data["amount"].strip()
        if not text:
            return None
        try:
            nano = parse_usd(text)
        except ValueError:
            raise forms.ValidationError(_("This is not an amount of money.")) from None
        if not 0 < nano < 2**62:
            raise forms.ValidationError(_("The amount must be greater than zero."))
        return nano

    def clean_payer(self) -> User | Group | None:
        text = self.cleaned_data["payer"].strip()
        if not text:
            return None
        found: User | Group | None = (
            Group.objects.filter(code=text[1:]).first() if text.startswith("#") else User.objects.filter(username=text).first()
        )
        if found is None:
            raise forms.ValidationError(_("There is no such person or team."))
        return found
