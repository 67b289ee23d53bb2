"""Forms of codes and of acts that two people stand behind."""

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, User
from billing.forms import DATETIME, refuse_key
from billing.models import AdjustmentRequest, CodeBatch, LedgerAccount, LedgerEntry
from billing.services.code_batches import NewBatch
from config.foundation.money import parse_usd

MOMENTS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


class DollarsField(forms.CharField):
    """An amount in dollars as nano-USD; ``signed`` lets it be negative, ``zero`` lets it be nothing."""

    def __init__(self, *, signed: bool = False, zero: bool = False, most: int = 10**15, **kwargs: Any) -> None:
        self.signed, self.zero, self.most = signed, zero, most
        super().__init__(max_length=32, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            nano = parse_usd(text)
        except ValueError:
            raise forms.ValidationError(_("Write an amount such as 10 or 2.50.")) from None
        if abs(nano) > self.most:
            raise forms.ValidationError(_("The amount is too large."))
        if (nano < 0 and not self.signed) or (nano == 0 and not self.zero):
            raise forms.ValidationError(_("The amount must be greater than zero."))
        return nano


def find_payer(text: str) -> User | Group:
    """The person (user name or e-mail address) or team (code) of this name; raises ValidationError."""
    cleaned = refuse_key(text.strip())
    person = User.objects.filter(username=cleaned).first()
    person = person or User.objects.filter(email__iexact=cleaned).exclude(email="").first()
    payer = person or Group.objects.filter(code=cleaned, kind=Group.Kind.TEAM).first()
    if payer is None:
        raise forms.ValidationError(_("There is no such person or team."))
    return payer


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


class AdjustmentForm(forms.Form):
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
    to = forms.CharField(
        label=_("Person or team"),
        max_length=191,
        required=False,
        help_text=_("User name or e-mail address of a person, or the code of a team."),
    )
    purse_kind = forms.ChoiceField(
        label=_("Purse"),
        required=False,
        initial="prepaid",
        choices=[(kind.value, kind.label) for kind in LedgerAccount.PURSES],
    )
    amount = DollarsField(
        label=_("Amount in US dollars"),
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
    evidence = forms.URLField(
        label=_("Evidence"),
        max_length=500,
        required=False,
        assume_scheme="https",
        help_text=_("Address of the ticket or document."),
    )

    def clean_reason(self) -> Any:
        return refuse_key(self.cleaned_data["reason"].strip())

    def clean_evidence(self) -> Any:
        address = self.cleaned_data["evidence"]
        if address and not address.startswith(("https://", "http://")):
            raise forms.ValidationError(_("An address begins with https://."))
        return address

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("kind") == AdjustmentRequest.Kind.REVERSAL:
            data["entry_row"] = LedgerEntry.objects.filter(pk=data.get("entry") or 0).first()
            if data["entry_row"] is None:
                self.add_error("entry", _("There is no entry of this number."))
            return data
        if not data.get("to"):
            self.add_error("to", _("Name a person or a team."))
        else:
            try:
                data["payer"] = find_payer(data["to"])
            except forms.ValidationError as wrong:
                self.add_error("to", wrong)
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
