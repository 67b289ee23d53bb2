"""Forms of the task pages: they read what was typed; selectors and services decide."""

from datetime import timedelta
from typing import Any

import orjson
from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts.models import Group
from billing.forms import PERIODS
from config.foundation.clock import now
from gateway.models_tasks import MediaTask
from gateway.selectors_tasks import OPEN, TaskFilters
from models_catalog.parameters import Wanted

MOST_BYTES = 20_000
KINDS = [("", gettext_lazy("any")), *MediaTask.Kind.choices]
STATES = [("", gettext_lazy("any")), (OPEN, gettext_lazy("not over yet")), *MediaTask.State.choices]


class TaskFilterForm(forms.Form):
    """Everything is in the address, so a link reproduces the view."""

    period = forms.ChoiceField(label=gettext_lazy("Period"), choices=PERIODS, required=False, initial="30")
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=KINDS, required=False)
    state = forms.ChoiceField(label=gettext_lazy("State"), choices=STATES, required=False)
    model = forms.CharField(label=gettext_lazy("Model asked for"), max_length=255, required=False)
    tail = forms.RegexField(label=gettext_lazy("Key tail"), regex=r"^[A-Za-z0-9]{4}$", required=False, max_length=4)
    task = forms.CharField(label=gettext_lazy("Task or request id"), max_length=64, required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=64, required=False)
    template = forms.CharField(label=gettext_lazy("Template"), max_length=64, required=False)
    same = forms.RegexField(label=gettext_lazy("Parameter hash"), regex=r"^[0-9a-f]{64}$", required=False)
    person = forms.CharField(label=gettext_lazy("Person"), max_length=150, required=False)

    def __init__(self, data: Any = None, *, is_staff: bool = False, **kwargs: Any) -> None:
        if data is not None and not data.get("period"):
            data = data.copy()
            data["period"] = "30"
        super().__init__(data, **kwargs)
        if not is_staff:
            del self.fields["person"]

    def filters(self) -> TaskFilters:
        """What the selector is asked; fields that could not be read are left out."""
        data = getattr(self, "cleaned_data", {})
        return TaskFilters(
            kind=data.get("kind") or "",
            state=data.get("state") or "",
            model=data.get("model") or "",
            key_tail=data.get("tail") or "",
            task_id=data.get("task") or "",
            failure_code=data.get("reason") or "",
            template=data.get("template") or "",
            parameters_hash=data.get("same") or "",
            person=data.get("person") or "",
            since=now() - timedelta(days=int(data.get("period") or "30")),
        )


class ParametersField(forms.CharField):
    """Parameters as a JSON object."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"rows": 8, "spellcheck": "false", "class": "mono"}
        super().__init__(widget=forms.Textarea(attrs=attrs), max_length=MOST_BYTES, **kwargs)

    def clean(self, value: Any) -> dict[str, Any]:
        text = super().clean(value) or "{}"
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise forms.ValidationError(_('This is no JSON. Write it like {"size": "1024x1024", "seed": 0}.')) from None
        if not isinstance(found, dict):
            raise forms.ValidationError(_("Write a JSON object: names with values in braces."))
        return found


class PreflightForm(forms.Form):
    """A request to be checked without a call."""

    model = forms.ChoiceField(label=pgettext_lazy("AI", "Model"))
    parameters = ParametersField(label=gettext_lazy("Parameters"), required=False)
    references = forms.IntegerField(
        label=gettext_lazy("Reference pictures"), min_value=0, max_value=100, initial=0, required=False
    )
    has_text = forms.BooleanField(label=gettext_lazy("With a prompt"), required=False, initial=True)

    def __init__(self, data: Any = None, *, models: list[str], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["model"].choices = [(name, name) for name in models]  # type: ignore[attr-defined]

    def wanted(self) -> Wanted:
        data = self.cleaned_data
        return Wanted(data["parameters"], data["references"] or 0, data["has_text"])


class DecisionForm(forms.Form):
    """How a task in doubt ended."""

    decision = forms.ChoiceField(
        label=gettext_lazy("What is known"),
        choices=[
            ("link", gettext_lazy("the provider knows it by this id: ask there")),
            ("settle", gettext_lazy("it was delivered: charge this length")),
            ("release", gettext_lazy("it gave nothing: give the money back")),
        ],
        widget=forms.RadioSelect,
    )
    upstream_task_id = forms.CharField(label=gettext_lazy("Id at the provider"), max_length=255, required=False)
    seconds = forms.DecimalField(
        label=gettext_lazy("Seconds delivered"), min_value=0, max_value=3600, decimal_places=3, required=False
    )
    size = forms.CharField(label=gettext_lazy("Size delivered"), max_length=32, required=False)
    note = forms.CharField(label=gettext_lazy("How you know"), max_length=255)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        needed = {"link": "upstream_task_id", "settle": "seconds"}.get(data.get("decision", ""))
        if needed and data.get(needed) in (None, ""):
            self.add_error(needed, _("This is needed for the decision."))
        return data


class RefundForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=255)


class TemplateForm(forms.Form):
    """A new template, or (without team and name) a new version of one."""

    team = forms.ModelChoiceField(label=gettext_lazy("Team"), queryset=Group.objects.none(), empty_label=None)
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=64,
        help_text=gettext_lazy("Letters, digits, - and _; programs call it by this name."),
    )
    model_name = forms.ChoiceField(label=pgettext_lazy("AI", "Model"))
    parameters = ParametersField(
        label=gettext_lazy("Parameters"),
        required=False,
        help_text=gettext_lazy("A JSON object. The prompt stays in the request."),
    )
    note = forms.CharField(label=gettext_lazy("Note"), max_length=255, required=False)

    def __init__(self, data: Any = None, *, models: list[str], teams: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["model_name"].choices = [(name, name) for name in models]  # type: ignore[attr-defined]
        if teams is None:
            del self.fields["team"], self.fields["name"]
        else:
            self.fields["team"].queryset = teams  # type: ignore[attr-defined]


class RunForm(forms.Form):
    key = forms.TypedChoiceField(label=gettext_lazy("Paid by the key"), coerce=int)
    prompt = forms.CharField(
        label=gettext_lazy("Prompt"),
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("It goes to the provider and is not kept here."),
    )

    def __init__(self, data: Any = None, *, keys: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["key"].choices = keys  # type: ignore[attr-defined]
