"""Forms of the catalogue. A credential has a field to go in and none to come out."""

import re
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from config.foundation.errors import PortalError
from models_catalog.description_form import RuleRowsField, rows_of
from models_catalog.errors import UnusableAddress
from models_catalog.models import AIModel, NameMapEntry, Upstream, UpstreamModel
from models_catalog.name_map_csv import from_csv
from models_catalog.services.name_map import NameChange
from models_catalog.services.upstreams import usable_address


def few_lines(rows: int = 4) -> forms.Textarea:
    return UnfoldAdminTextareaWidget(attrs={"rows": rows})


class CapitalLabels:
    """Labels of our own fields begin like those Django makes from model fields."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label) if field.label else field.label


class WordsField(forms.CharField):
    """Words divided by commas or line breaks, as a list without repetitions."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": few_lines(), **kwargs})

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        if isinstance(value, list | tuple):
            return list(value)
        return list(dict.fromkeys(filter(None, (word.strip() for word in re.split(r"[,\n\r]", value or "")))))

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial or []) != self.to_python(data)


class ServedModelsField(forms.CharField):
    """One model a line; ``our name = their name`` where the upstream knows it by another."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": few_lines(6), **kwargs})

    def to_python(self, value: Any) -> dict[str, str]:  # type: ignore[override]
        served: dict[str, str] = {}
        for line in filter(None, (line.strip() for line in (value or "").splitlines())):
            ours, _sep, theirs = line.partition(" = ")
            if ours.strip() in served:
                raise forms.ValidationError(_("This model is named twice: %(name)s"), params={"name": ours.strip()})
            served[ours.strip()] = theirs.strip() or ours.strip()
        return served


class UpstreamForm(CapitalLabels, forms.ModelForm):
    base_url = forms.CharField(
        label=_("base URL"), max_length=500, help_text=_("Without /v1 at the end."), widget=UnfoldAdminTextInputWidget
    )
    credential = forms.CharField(
        label=_("credential"),
        required=False,
        strip=True,
        max_length=4000,
        help_text=_("Stored sealed and never shown again. Leave empty to keep the stored one."),
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    group_codes = WordsField(
        label=_("groups"), required=False, help_text=_("One a line. Empty: every group that may call the model.")
    )
    served_models = ServedModelsField(
        label=_("models"), required=False, help_text=_("One a line; “our name = its name” where the upstream's name differs.")
    )
    reason = forms.CharField(label=_("reason"), required=False, max_length=500, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Upstream
        fields = ("name", "provider", "base_url", "state", "group_codes", "priority", "weight", "timeout_seconds", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            # A credential typed in enables it; "enabled" without one says that it needs none.
            self.initial.setdefault("state", Upstream.State.NEEDS_CREDENTIAL)
        else:
            rows = self.instance.served.order_by("model__name").values_list("model__name", "upstream_name")
            lines = [ours if ours == theirs else f"{ours} = {theirs}" for ours, theirs in rows]
            self.initial["served_models"] = "\n".join(lines)

    def _get_validation_exclusions(self) -> set[str]:
        # Django's URL rule refuses a host without a dot, which inner networks have; clean_base_url is the rule here.
        return {*super()._get_validation_exclusions(), "base_url"}  # type: ignore[misc]

    def clean_base_url(self) -> str:
        try:
            return usable_address(self.cleaned_data["base_url"])
        except UnusableAddress as error:
            raise forms.ValidationError(error.message) from None


class AIModelForm(CapitalLabels, forms.ModelForm):
    capabilities = WordsField(label=_("capabilities"), required=False, help_text=_("One a line, for example vision, tools."))
    group_codes = WordsField(
        label=_("groups with access"), required=False, help_text=_("One group code a line; * stands for every group.")
    )
    reason = forms.CharField(label=_("reason"), required=False, max_length=500, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = AIModel
        fields = (
            "name",
            "display_name",
            "modality",
            "capabilities",
            "context_tokens",
            "max_output_tokens",
            "is_active",
            "note",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["group_codes"] = sorted(self.instance.access.values_list("group_code", flat=True))


class NameMapPublishForm(CapitalLabels, forms.Form):
    """Several lines, typed or from a CSV file, published as one version."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    lines = forms.CharField(
        label=_("changes"),
        required=False,
        help_text=_(
            "One a line: old name, kind, called name. Kinds: same, alias, replacement, retired; “remove” takes it out."
        ),
        widget=few_lines(8),
    )
    csv_file = forms.FileField(
        label=_("or a CSV file"),
        required=False,
        help_text=_("The columns of the export. Lines that are not in it stay."),
        widget=UnfoldAdminFileFieldWidget,
    )
    bill_as_called = forms.BooleanField(
        label=_("billed by the called name"), required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )
    reason = forms.CharField(label=_("reason"), max_length=500, widget=UnfoldAdminTextInputWidget)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if bool(data.get("lines")) == bool(data.get("csv_file")):
            raise forms.ValidationError(_("Type lines or choose a file, one of the two."))
        try:
            data["changes"] = self._changes(data)
        except PortalError as error:
            raise forms.ValidationError(error.message) from None
        return data

    def _changes(self, data: dict[str, Any]) -> list[NameChange]:
        if data.get("csv_file"):
            return from_csv(data["csv_file"].read())
        changes = []
        for number, line in enumerate(data["lines"].splitlines(), start=1):
            if not line.strip():
                continue
            old_name, kind, target = ([part.strip() for part in line.split(",")] + ["", ""])[:3]
            if line.count(",") > 2 or kind not in (*NameMapEntry.Kind.values, "remove"):
                raise forms.ValidationError(_("Line %(number)d cannot be read."), params={"number": number})
            bill, reason = bool(data.get("bill_as_called")), data.get("reason", "")
            changes.append(NameChange(old_name, "" if kind == "remove" else kind, target, bill, reason))
        return changes


class TargetForm(CapitalLabels, forms.ModelForm):
    """What a target takes, field by field; left empty, everything passes."""

    inputs = forms.MultipleChoiceField(
        label=_("may be led by"),
        required=False,
        choices=[("text", pgettext_lazy("what leads a request", "text")), ("image", _("pictures"))],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Nothing ticked: both."),
    )
    references_min = forms.IntegerField(
        label=_("pictures at least"), required=False, min_value=0, max_value=100, widget=UnfoldAdminIntegerFieldWidget
    )
    references_max = forms.IntegerField(
        label=_("pictures at most"), required=False, min_value=0, max_value=100, widget=UnfoldAdminIntegerFieldWidget
    )
    rules = RuleRowsField(
        label=_("parameters"),
        required=False,
        help_text=_(
            "One row for each parameter of a request. Values: those it takes, with commas (1024x1024, 1536x1024); or a type, "
            'with limits for numbers (seed: whole number, from 0). In quotes a value is a text: "4". Refused: a request '
            "with it is refused. "
            "An empty row is left out, and save to get more empty rows."
        ),
    )
    strict = forms.BooleanField(
        label=_("nothing else"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Parameters that have no row are refused; else they pass."),
    )
    reason = forms.CharField(label=_("reason"), required=False, max_length=255, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = UpstreamModel
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known: dict[str, Any] = self.instance.parameters or {}
        limits = known.get("references") or {}
        shown: dict[str, Any] = {
            "inputs": known.get("inputs") or [],
            "references_min": limits.get("min"),
            "references_max": limits.get("max"),
            "rules": rows_of(known.get("parameters") or {}),
            "strict": bool(known.get("strict")),
        }
        self.initial = {**self.initial, **shown}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        low, high = data.get("references_min"), data.get("references_max")
        if low is not None and high is not None and low > high:
            self.add_error("references_max", _("At most is less than at least."))
        return data

    def description(self) -> dict[str, Any]:
        """The description the fields stand for; only what was filled in."""
        data = self.cleaned_data
        limits = {end: data[f"references_{end}"] for end in ("min", "max") if data[f"references_{end}"] is not None}
        found = {"inputs": data["inputs"], "references": limits, "parameters": data["rules"], "strict": data["strict"]}
        return {name: value for name, value in found.items() if value}
