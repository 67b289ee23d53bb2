"""Forms of giving money of calls back and of converting money. ``seen`` are the figures of the preview that was shown."""

import uuid
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.form_fields import CurrencyField, DollarsField, PayerField, RateField, refuse_key
from billing.money_forms import EvidenceMixin, ReasonForm
from billing.selectors.calls import parse_request_id


class CallRefundForm(EvidenceMixin, ReasonForm):
    """Which call, how much, and why."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    seen = forms.CharField(max_length=200, required=False, widget=forms.HiddenInput)
    call = forms.CharField(
        label=_("Request id"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text=_("As on the page of the call, in the answer's header x-request-id, or in an export."),
    )
    amount = DollarsField(
        label=_("Amount in US dollars"), required=False, help_text=_("Empty: all that was charged and not given back yet.")
    )
    field_order = ("call", "amount", "reason", "evidence")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = _("The person sees it beside the money that came back.")

    def clean_call(self) -> UUID:
        found = parse_request_id(refuse_key(self.cleaned_data["call"].strip()))
        if found is None:
            raise forms.ValidationError(_("This is not a request id."))
        return found


class ConversionForm(EvidenceMixin, ReasonForm):
    """Whose money, from which currency into which, at what rate."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    seen = forms.CharField(max_length=200, required=False, widget=forms.HiddenInput)
    to = PayerField(label=_("Person or team"))
    from_currency = CurrencyField(label=_("From currency"), initial="EUR")
    amount = DollarsField(label=_("Amount in that currency"))
    to_currency = CurrencyField(label=_("Into currency"), initial="USD")
    rate = RateField(
        label=_("Rate"),
        help_text=_("How much one unit is worth in the other currency, with as many decimals as the bank gives: 1.08517."),
    )
    field_order = ("to", "from_currency", "amount", "to_currency", "rate", "reason", "evidence")
