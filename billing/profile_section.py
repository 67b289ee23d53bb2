"""The person's low-balance alert, as a section of the profile page."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from billing.models import BalanceAlert
from billing.services.alerts import DEFAULT_THRESHOLD_NANO, set_threshold
from config.foundation.money import format_usd, parse_usd


class AlertForm(forms.Form):
    is_enabled = forms.BooleanField(label=gettext_lazy("Mail me when my balance falls below this amount"), required=False)
    threshold = forms.CharField(
        label=gettext_lazy("Amount, USD"),
        max_length=24,
        help_text=gettext_lazy("You get one mail each time the balance falls below it."),
    )

    def clean_threshold(self) -> int:
        try:
            nano = parse_usd(self.cleaned_data["threshold"])
        except ValueError:
            raise forms.ValidationError(_("This is not an amount of money.")) from None
        if not 0 <= nano < 2**62:
            raise forms.ValidationError(_("The amount cannot be negative or that large."))
        return nano


class AlertSection:
    key = "alert"
    title: str | Promise = gettext_lazy("Low balance")
    submit_label: str | Promise = gettext_lazy("Save the alert")

    def form(self, user: User, data: Any = None) -> forms.Form:
        alert = BalanceAlert.objects.filter(user=user).first()
        nano = alert.threshold_nano if alert else DEFAULT_THRESHOLD_NANO
        shown = format_usd(nano).removeprefix("$")
        return AlertForm(data, initial={"is_enabled": alert.is_enabled if alert else True, "threshold": shown})

    def save(self, request: HttpRequest, user: User, form: forms.Form) -> str:
        values = form.cleaned_data
        set_threshold(actor=user, user=user, threshold_nano=values["threshold"], is_enabled=values["is_enabled"])
        if not values["is_enabled"]:
            return _("You get no mail about your balance.")
        return _("You get a mail when your balance falls below %(amount)s.") % {"amount": format_usd(values["threshold"])}
