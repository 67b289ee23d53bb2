"""Forms of codes and of acts that two people stand behind."""

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.form_fields import CurrencyField, DollarsField, PayerField, refuse_key
from billing.forms import DATETIME
from billing.models import AdjustmentRequest, CodeBatch, LedgerAccount, LedgerEntry
from billing.services.code_batches import NewBatch

MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


class CodeBatchForm(forms.Form):
    """A batch of codes to make."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    name = forms.CharField(
        label=_("Name of the batch"), max_length=120, help_text=_("The ledger and the users' entries show it.")
    )
    count = forms.IntegerField(label=_("How many codes"), min_value=1, max_value=10_000)
    amount = DollarsField(label=_("Worth of each, in US dollars"), most=10**12)
    purse_kind = forms.ChoiceField(
        label=_("Purse"),
        choices=CodeBatch.PurseKind.choices,
        help_text=_("Bonus: given away, used first. Prepaid: sold, counts like money paid in."),
    )
    beginning = forms.CharField(
        label=_("Beginning of every code"),
        max_length=12,
        required=False,
        help_text=_("Letters and digits, for instance SPRING."),
    )
    expires_at = forms.DateTimeField(
        label=_("Can be redeemed until"),
        required=False,
        widget=DATETIME,
        input_formats=MOMENTS,
        help_text=_("The end is for the code. What was redeemed before stays in the purse without a term."),
    )
    max_per_person = forms.IntegerField(label=_("Most codes for one person"), min_value=1, max_value=1000, required=False)
    note = forms.CharField(
        label=_("Why"), max_length=255, help_text=_("For instance the campaign. It stays in the audit trail.")
    )

    def clean_name(self) -> Any:
        return refuse_key(self.cleaned_data["name"].strip())

    def new_batch(self) -> NewBatch:
        data = self.cleaned_data
        expires: datetime | None = data["expires_at"]
        return NewBatch(
            name=data["name"],
            count=data["count"],
            amount_nano=data["amount"],
            purse_kind=data["purse_kind"],
            prefix=data["beginning"].strip(),
            expires_at=expires,
            max_per_person=data["max_per_person"],
            note=refuse_key(data["note"]),
        )


class ReasonForm(forms.Form):
    """Why, for the audit trail."""

    reason = forms.CharField(label=_("Reason"), max_length=255)

    def clean_reason(self) -> Any:
        return refuse_key(self.cleaned_data["reason"].strip())


class RevalueForm(ReasonForm):
    """Another value for what nobody redeemed yet; ``seen`` are the numbers of the dry run that was shown."""

    amount = DollarsField(label=_("New worth of each, in US dollars"), most=10**12)
    seen = forms.RegexField(regex=r"^(-?\d{1,18},){4}-?\d{1,18}$", required=False, widget=forms.HiddenInput)
    field_order = ("amount", "reason")


class EvidenceMixin(forms.Form):
    """Where the ticket or document lies."""

    evidence = forms.URLField(
        label=_("Evidence"),
        max_length=500,
        required=False,
        assume_scheme="https",
        help_text=_("Address of the ticket or document."),
    )

    def clean_evidence(self) -> Any:
        address = self.cleaned_data["evidence"]
        if address and not address.startswith(("https://", "http://")):
            raise forms.ValidationError(_("An address begins with https://."))
        return address


class AdjustmentForm(EvidenceMixin):
    """A correction, a credit limit or a reversal to ask for."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    kind = forms.ChoiceField(
        label=_("What"),
        choices=[
            ("adjustment", _("Correct a balance")),
            ("credit_limit", _("Set a credit limit")),
            ("reversal", _("Take an entry back")),
        ],
    )
    to = PayerField(label=_("Person or team"), required=False)
    purse_kind = forms.ChoiceField(
        label=_("Purse"),
        required=False,
        initial="prepaid",
        choices=[(kind.value, kind.label) for kind in LedgerAccount.PURSES],
    )
    currency = CurrencyField(label=_("Currency"), initial="USD", required=False)
    amount = DollarsField(
        label=_("Amount"),
        signed=True,
        zero=True,
        required=False,
        help_text=_("A correction of -2.50 takes, 2.50 gives. A credit limit of 0 ends it."),
    )
    entry = forms.IntegerField(
        label=_("Number of the entry"), required=False, min_value=1, max_value=2**62, help_text=_("Only to take one back.")
    )
    allow_debt = forms.BooleanField(label=_("Also when it leaves a debt"), required=False)
    reason = forms.CharField(label=_("Reason"), max_length=255, help_text=_("It stays in the ledger and the audit trail."))
    field_order = ("once", "kind", "to", "purse_kind", "currency", "amount", "entry", "allow_debt", "reason", "evidence")

    def clean_reason(self) -> Any:
        return refuse_key(self.cleaned_data["reason"].strip())

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("kind") == AdjustmentRequest.Kind.REVERSAL:
            data["entry_row"] = LedgerEntry.objects.filter(pk=data.get("entry") or 0).first()
            if data["entry_row"] is None:
                self.add_error("entry", _("There is no entry of this number."))
            return data
        if not data.get("to") and "to" not in self.errors:
            self.add_error("to", _("Name a person or a team."))
        if data.get("kind") == AdjustmentRequest.Kind.CREDIT_LIMIT and data.get("currency") not in ("", "USD"):
            self.add_error("currency", _("Calls are paid in USD, so a credit limit is in USD."))
        amount = data.get("amount")
        if "amount" not in self.errors:
            if amount is None or (amount == 0 and data.get("kind") == AdjustmentRequest.Kind.ADJUSTMENT):
                self.add_error("amount", _("Write an amount such as 10 or 2.50."))
            elif amount < 0 and data.get("kind") == AdjustmentRequest.Kind.CREDIT_LIMIT:
                self.add_error("amount", _("A credit limit is not negative."))
        return data


class DecisionForm(forms.Form):
    """A second person's words; needed for a no."""

    note = forms.CharField(label=_("Note"), max_length=255, required=False)

    def clean_note(self) -> Any:
        return refuse_key(self.cleaned_data["note"].strip())
