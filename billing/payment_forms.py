"""Forms of payments: topping up, refunds, and the desk of unmatched money."""

import uuid
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.form_fields import CurrencyField, DollarsField, PayerField, refuse_key
from billing.money_forms import ReasonForm
from billing.services.payments.orders import CENT
from billing.services.payments.unmatched import Transfer


class PaymentStartForm(forms.Form):
    """How much to top up."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    amount = DollarsField(label=_("Amount in US dollars"))


class RefundForm(ReasonForm):
    """How much of a payment to give back."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    amount = DollarsField(label=_("Amount in US dollars"))
    with_debt = forms.BooleanField(
        label=_("It is spent already: ask a second person to let the balance go below zero"), required=False
    )
    field_order = ("amount", "reason", "with_debt")


class AssignForm(ReasonForm):
    """Whose money it is."""

    to = PayerField(label=_("Person or team"))
    worth = DollarsField(label=_("Worth in US dollars"), required=False, help_text=_("Only for money in another currency."))
    field_order = ("to", "worth", "reason")


class TransferForm(forms.Form):
    """A bank transfer that names nobody we know."""

    reference = forms.CharField(label=_("Reference of the transfer"), max_length=191)
    amount = DollarsField(label=_("Amount received"), most=10**17)
    currency = CurrencyField(label=_("Currency"), initial="USD")
    payer = forms.CharField(label=_("Payer"), max_length=191, required=False)
    received_on = forms.DateField(label=_("Received on"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean_reference(self) -> Any:
        return refuse_key(self.cleaned_data["reference"].strip())

    def clean_amount(self) -> int:
        nano: int = self.cleaned_data["amount"]
        if nano % CENT:
            raise forms.ValidationError(_("Write an amount such as 10 or 2.50."))
        return nano

    def transfer(self) -> Transfer:
        data = self.cleaned_data
        received = datetime.combine(data["received_on"], datetime.min.time(), tzinfo=UTC)
        return Transfer(data["reference"], data["amount"] // CENT, data["currency"], refuse_key(data["payer"]), received)


class TransferFileForm(forms.Form):
    """A file of transfers."""

    file = forms.FileField(label=_("CSV file"), help_text=_("Columns: date, amount, currency, payer, reference. At most 1 MB."))

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file.size > 1024 * 1024:
            raise forms.ValidationError(_("The file is larger than 1 MB."))
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise forms.ValidationError(_("The file is not UTF-8 text.")) from None


class DisputeNoteForm(forms.Form):
    """What finance did about a dispute."""

    note = forms.CharField(
        label=_("Note"), max_length=255, help_text=_("For instance which evidence was sent to the provider, and when.")
    )

    def clean_note(self) -> Any:
        return refuse_key(self.cleaned_data["note"].strip())
