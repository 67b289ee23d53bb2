"""Forms of the money and call pages: they read what was typed; selectors and services decide."""

import uuid
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.form_fields import CurrencyField, DollarsField, PayerField, refuse_key
from billing.models import LedgerAccount, LedgerEntry, RequestLog
from billing.selectors import CallFilters
from billing.selectors.calls import FAILED
from billing.statements.months import parse_month
from config.foundation.clock import now
from config.foundation.outcomes import Outcome

PERIODS = [
    ("1", _("last 24 hours")),
    ("7", _("last 7 days")),
    ("30", _("last 30 days")),
    ("90", _("last 90 days")),
    ("400", _("all")),
]
OUTCOMES = [("", _("any")), (FAILED, _("failed, of any kind")), *Outcome.choices]
DATETIME = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class _Filters(forms.Form):
    """A filter form shows the period it uses, also when the address names none."""

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        if data is not None and not data.get("period"):
            data = data.copy()
            data["period"] = "7"
        super().__init__(data, **kwargs)


class CallFilterForm(_Filters):
    """Filters of one's own calls; everything is in the address, so a link reproduces the view."""

    period = forms.ChoiceField(label=_("Period"), choices=PERIODS, required=False, initial="7")
    outcome = forms.ChoiceField(label=_("Result"), choices=OUTCOMES, required=False)
    model = forms.CharField(label=_("Model asked for"), max_length=255, required=False)
    tail = forms.RegexField(label=_("Key tail"), regex=r"^[A-Za-z0-9]{4}$", required=False, max_length=4)
    key = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=1, max_value=2**62)
    origin = forms.ChoiceField(
        label=_("Served"), required=False, widget=forms.HiddenInput, choices=[("", ""), *RequestLog.Origin.choices]
    )

    def clean_model(self) -> str:
        return refuse_key(self.cleaned_data["model"].strip())

    def filters(self) -> CallFilters:
        """What the selector is asked; fields that could not be read are left out."""
        data = getattr(self, "cleaned_data", {})
        days = int(data.get("period") or "7")
        return CallFilters(
            since=now() - timedelta(days=days),
            outcome=data.get("outcome") or "",
            model=data.get("model") or "",
            key_tail=data.get("tail") or "",
            key_id=data.get("key"),
            origin=data.get("origin") or "",
        )


class FindForm(_Filters):
    """Filters of the support search, beside the one box that recognises what was typed."""

    period = forms.ChoiceField(label=_("Period"), choices=PERIODS, required=False, initial="7")
    since = forms.DateTimeField(
        label=pgettext_lazy("time", "From"), required=False, widget=DATETIME, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    )
    until = forms.DateTimeField(
        label=pgettext_lazy("time", "To"), required=False, widget=DATETIME, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    )
    tail = forms.RegexField(label=_("Key tail"), regex=r"^[A-Za-z0-9]{4}$", required=False, max_length=4)
    model = forms.CharField(label=_("Model asked for"), max_length=255, required=False)
    outcome = forms.ChoiceField(label=_("Result"), choices=OUTCOMES, required=False)
    status = forms.IntegerField(label=_("HTTP status"), required=False, min_value=100, max_value=599)
    group = forms.CharField(label=_("Group"), max_length=191, required=False)
    person = forms.CharField(label=_("Person"), max_length=191, required=False)

    def clean_model(self) -> str:
        return refuse_key(self.cleaned_data["model"].strip())

    def clean_group(self) -> str:
        return refuse_key(self.cleaned_data["group"].strip())

    def clean_person(self) -> str:
        return refuse_key(self.cleaned_data["person"].strip())

    def filters(self, user_id: int | None) -> CallFilters:
        data = getattr(self, "cleaned_data", {})
        days = int(data.get("period") or "7")
        return CallFilters(
            since=data.get("since") or (data.get("until") or now()) - timedelta(days=days),
            until=data.get("until"),
            key_tail=data.get("tail") or "",
            model=data.get("model") or "",
            outcome=data.get("outcome") or "",
            http_status=data.get("status"),
            group_code=data.get("group") or "",
            user_id=user_id,
        )


class RedeemForm(forms.Form):
    """A redemption code as its holder typed it."""

    code = forms.CharField(
        label=_("Redemption code"),
        max_length=128,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )


class TopUpForm(forms.Form):
    """Money that finance books to a person or a team, with the reason that stays in the ledger."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    to = PayerField(label=_("Person or team"))
    amount = DollarsField(label=_("Amount"))
    currency = CurrencyField(
        label=_("Currency"),
        initial="USD",
        required=False,
        help_text=_("Calls are paid in USD. Other money needs a second person, and is converted before it can be spent."),
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=255, help_text=_("For instance the invoice or the transfer. It stays in the ledger.")
    )
    is_test = forms.BooleanField(
        label=_("Test money"),
        required=False,
        help_text=_("Goes to the test purse: only keys of purpose test spend it, and they spend nothing else."),
    )

    def clean_reason(self) -> Any:
        return refuse_key(self.cleaned_data["reason"].strip())

    def clean_currency(self) -> str:
        return self.cleaned_data["currency"] or "USD"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("is_test") and data.get("currency", "USD") != "USD":
            self.add_error("currency", _("Test money is in USD."))
        return data


class LedgerFilterForm(forms.Form):
    """Filters of the ledger page."""

    kind = forms.ChoiceField(label=_("Kind of entry"), choices=[("", _("any")), *LedgerEntry.Kind.choices], required=False)
    account = forms.IntegerField(label=_("Account number"), required=False, min_value=1, max_value=2**62)
    person = forms.CharField(label=_("Person"), max_length=191, required=False)
    account_kind = forms.ChoiceField(
        label=_("Kind of account"), choices=[("", _("any")), *LedgerAccount.Kind.choices], required=False
    )

    def clean_person(self) -> str:
        return refuse_key(self.cleaned_data["person"].strip())


class StatementAskForm(forms.Form):
    """Which month, and whose."""

    month = forms.CharField(label=_("Month"), max_length=7, widget=forms.TextInput(attrs={"type": "month"}))
    who = forms.CharField(label=_("User name or team code"), max_length=191, required=False)

    def clean_month(self) -> date:
        month = parse_month(self.cleaned_data["month"])
        if month is None or month.year < 2000:
            raise forms.ValidationError(_("Write a month such as 2026-08."))
        return month

    def clean_who(self) -> str:
        return str(refuse_key(self.cleaned_data["who"].strip()))
