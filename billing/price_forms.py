"""Forms of the price pages: a list to import, two versions to compare, the billing rules by outcome."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from billing.form_fields import refuse_key
from billing.forms import DATETIME
from billing.models import OutcomeRule, PriceVersion
from billing.outcome_rules import EVENTS, FIXED, OutcomeRules
from billing.price_compare import Example
from billing.price_import import DEFAULT_RISE

MOST_TOKENS = 10_000_000
PAIR = "|"


class PriceListForm(forms.Form):
    """A price list to look at: nothing is written by it."""

    file = forms.FileField(
        label=_("Price list, CSV or XLSX"),
        help_text=_("Take an export as the pattern. Dollars per 1,000,000 tokens, per call, per image or per second."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.xlsx"}),
    )
    valid_from = forms.DateTimeField(
        label=_("In force from"),
        required=False,
        widget=DATETIME,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        help_text=_("Empty: at once. Prices never change backwards."),
    )
    rise_percent = forms.IntegerField(
        label=_("Mark a rise above, per cent"), min_value=0, max_value=10_000, initial=DEFAULT_RISE
    )
    removes = forms.BooleanField(label=_("Models that the list leaves out lose their price"), required=False)
    note = forms.CharField(label=_("Note"), max_length=500, required=False)

    def clean_note(self) -> str:
        return refuse_key(self.cleaned_data["note"].strip())


class CompareForm(forms.Form):
    """Which two versions, for which groups, with which example. Everything is in the address."""

    a = forms.TypedChoiceField(label=_("Left"), coerce=int, required=False)
    ga = forms.ChoiceField(label=_("Group on the left"), required=False)
    b = forms.TypedChoiceField(label=_("Right"), coerce=int, required=False)
    gb = forms.ChoiceField(label=_("Group on the right"), required=False)
    q = forms.CharField(label=_("Model contains"), max_length=100, required=False)
    least = forms.DecimalField(
        label=_("Difference of at least, per cent"), required=False, min_value=0, max_value=10_000, decimal_places=1
    )
    input = forms.IntegerField(label=_("Example: input tokens"), required=False, min_value=0, max_value=MOST_TOKENS)
    cached = forms.IntegerField(label=_("of these cached"), required=False, min_value=0, max_value=MOST_TOKENS)
    output = forms.IntegerField(label=_("Example: output tokens"), required=False, min_value=0, max_value=MOST_TOKENS)
    changed = forms.ChoiceField(label=_("Models"), choices=[("", _("all")), ("on", _("Only what differs"))], required=False)

    def __init__(
        self,
        data: Any,
        *,
        versions: list[PriceVersion],
        groups: tuple[list[tuple[str, str]], list[tuple[str, str]]],
    ) -> None:
        super().__init__(data)
        choices = [(version.pk, str(version)) for version in versions]
        for name in ("a", "b"):
            self.fields[name].choices = choices  # type: ignore[attr-defined]
        for name, pairs in zip(("ga", "gb"), groups, strict=True):
            self.fields[name].choices = [("", _("no group, factor 1")), *map(_pair_choice, pairs)]  # type: ignore[attr-defined]

    def example(self) -> Example:
        data = getattr(self, "cleaned_data", {})
        plain = Example()
        values = (data.get("input"), data.get("cached"), data.get("output"))
        return Example(
            plain.input_tokens if values[0] is None else values[0],
            plain.cached_tokens if values[1] is None else values[1],
            plain.output_tokens if values[2] is None else values[2],
        )


class OutcomeRulesForm(forms.Form):
    """A table of the billing rules: a row for each way to end that may be changed, a column for each source of usage."""

    note = forms.CharField(label=_("Why"), max_length=500, required=False)

    def __init__(self, data: Any, *, rules: OutcomeRules) -> None:
        super().__init__(data)
        for event in EVENTS:
            if event in FIXED:
                continue
            for source in ("reported", "counted"):
                self.fields[f"{event}-{source}"] = forms.ChoiceField(
                    label=OutcomeRule.Event(event).label,
                    choices=OutcomeRule.Action.choices,
                    initial=rules.action(event, is_counted=source == "counted"),
                )

    def clean_note(self) -> str:
        return refuse_key(self.cleaned_data["note"].strip())

    def cells(self) -> dict[str, tuple[str, str]]:
        data = self.cleaned_data
        return {event: (data[f"{event}-reported"], data[f"{event}-counted"]) for event in EVENTS if f"{event}-reported" in data}


class OutcomeGroupForm(forms.Form):
    """Whose table is shown: everybody's, or a billing group's."""

    group = forms.ModelChoiceField(
        label=_("Group"),
        queryset=Group.objects.order_by("code"),
        to_field_name="code",
        required=False,
        empty_label=_("everybody"),
    )


def _pair_choice(pair: tuple[str, str]) -> tuple[str, str]:
    group, payer = pair
    return f"{group}{PAIR}{payer}", f"{group} < {payer}" if payer else group


def pair_of(text: str) -> tuple[str, str]:
    """(group, payer's group) out of a choice."""
    group, _sign, payer = text.partition(PAIR)
    return group, payer
