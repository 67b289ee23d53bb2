"""Forms of plans and waves: they read what was typed; services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from accounts.models import User
from gateway.models import OldEntry
from migrations_center.models import Source

KEY_CHOICES = [("", _("any")), ("none", _("none")), ("one", _("one")), ("some", _("two or more"))]
TIME_FORMAT = "%Y-%m-%dT%H:%M"


class PlanForm(NoKeysMixin, forms.Form):
    source = forms.ModelChoiceField(label=_("Source"), queryset=Source.objects.none())
    name = forms.CharField(label=_("Name"), max_length=128)
    old_entry = forms.ModelChoiceField(
        label=_("Old entry"), queryset=OldEntry.objects.none(), required=False, empty_label=_("a new one, see below")
    )
    entry_url = forms.URLField(
        label=_("Address of the old gateway"),
        required=False,
        max_length=500,
        assume_scheme="https",
        help_text=_("Without /v1 at the end. Calls are passed on to it until their people are switched."),
    )

    def __init__(self, *args: Any, sources: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = sources  # type: ignore[attr-defined]
        self.fields["old_entry"].queryset = OldEntry.objects.filter(is_active=True)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if not cleaned.get("old_entry") and not cleaned.get("entry_url"):
            self.add_error("entry_url", _("Choose an old entry or give the address of a new one."))
        return cleaned


class WaveForm(NoKeysMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=128)
    planned_at = forms.DateTimeField(
        label=_("Planned for"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TIME_FORMAT),
        input_formats=[TIME_FORMAT, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
    )
    window_hours = forms.IntegerField(
        label=_("Rollback window, hours"),
        min_value=1,
        max_value=24 * 90,
        initial=168,
        help_text=_("How long going back stays open after the switch."),
    )
    observation_hours = forms.IntegerField(
        label=_("Observation, hours"),
        min_value=0,
        max_value=24 * 90,
        initial=24,
        help_text=_("How long the calls are watched before the next wave may start."),
    )

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["planned_at"].help_text = _("In your time zone: %(zone)s.") % {"zone": zone}


class MemberFilterForm(forms.Form):
    """Whom to put into a wave; every field narrows the list, the list of names replaces it."""

    text = forms.CharField(label=_("Name or e-mail"), required=False)
    group = forms.ChoiceField(label=_("Group"), required=False)
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("any")), *User.State.choices])
    keys = forms.ChoiceField(label=_("Keys"), required=False, choices=KEY_CHOICES)
    used_before = forms.DateField(label=_("Last call before"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    used_after = forms.DateField(label=_("Last call since"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    names = forms.CharField(
        label=_("List of names"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("User names, separated by spaces, commas or lines."),
    )

    def __init__(self, *args: Any, groups: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].choices = [("", _("any")), *((code, code) for code in groups)]  # type: ignore[attr-defined]
