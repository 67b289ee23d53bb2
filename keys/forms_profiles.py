"""Forms of the pages of use profiles: they read what was typed; the services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.forms import NoKeysMixin
from accounts.models import Group, User
from accounts.rights import may
from keys.models import UseProfile
from keys.profile_parameters import EFFORTS
from keys.selectors_limits import call_limit_of_profile
from keys.selectors_profiles import models_to_offer, teams_to_keep
from keys.services_limits import CallFigures

EFFORT_WORDS = (
    pgettext_lazy("effort", "minimal"),
    pgettext_lazy("effort", "low"),
    pgettext_lazy("effort", "medium"),
    pgettext_lazy("effort", "high"),
)
NUMBERS = ("max_output", "temperature", "top_p")
WORDS = ("effort", "size", "quality")
FIGURES = ("requests_per_minute", "tokens_per_minute", "parallel_calls")


class ProfileForm(NoKeysMixin, forms.Form):
    """A use profile: what it is for, what clients call, which model that is, and what is filled in."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Group.objects.none(), required=False)
    use = forms.ChoiceField(label=_("Use"), choices=UseProfile.Use.choices)
    name = forms.CharField(label=_("Name"), max_length=128)
    alias = forms.CharField(
        label=_("Name that clients call"),
        max_length=64,
        help_text=_("Small letters, digits and hyphens, such as writing. It stands in clients where a model's name would."),
    )
    default_model = forms.ChoiceField(label=_("Model it stands for"))
    model_names = forms.MultipleChoiceField(
        label=_("Models that may be called too"), required=False, widget=forms.CheckboxSelectMultiple
    )
    max_output = forms.IntegerField(
        label=_("Longest answer, tokens"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("This and what follows is filled in where a request does not say it. Empty: nothing is."),
    )
    temperature = forms.FloatField(label=_("Temperature"), required=False, min_value=0, max_value=2)
    top_p = forms.FloatField(label=_("Top-p"), required=False, min_value=0, max_value=1)
    effort = forms.ChoiceField(
        label=_("Effort of reasoning"), required=False, choices=[("", "-"), *zip(EFFORTS, EFFORT_WORDS, strict=True)]
    )
    size = forms.CharField(label=_("Size of pictures"), required=False, max_length=32, help_text=_("Such as 1024x1024."))
    quality = forms.CharField(label=_("Quality of pictures"), required=False, max_length=32)
    requests_per_minute = forms.IntegerField(
        label=_("Calls a minute"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("All keys of this profile together. Empty: no limit of its own."),
    )
    tokens_per_minute = forms.IntegerField(label=_("Tokens a minute"), required=False, min_value=1, max_value=2_000_000_000)
    parallel_calls = forms.IntegerField(label=_("Calls at once"), required=False, min_value=1, max_value=100_000)

    def __init__(self, *args: Any, actor: User, profile: UseProfile | None = None, **kwargs: Any) -> None:
        if profile is not None:
            kwargs["initial"] = _initial(profile)
        super().__init__(*args, **kwargs)
        names = models_to_offer(actor)
        # What the profile names already stays choosable: saving must not change it unasked.
        names += [name for name in (profile.model_names if profile else []) if name not in names]
        for field in (self.fields["default_model"], self.fields["model_names"]):
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(name, name) for name in names]
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        if profile is not None:
            del self.fields["team"]
            return
        team.queryset = teams_to_keep(actor)
        if may(actor, "keys.manage"):
            team.empty_label = str(_("the house: open to every key"))
        else:
            team.required, team.empty_label = True, None

    def figures(self) -> CallFigures:
        return CallFigures(**{name: self.cleaned_data[name] for name in FIGURES})

    def values(self) -> dict[str, Any]:
        """What ``create_profile`` and ``change_profile`` take, but for the team and the figures."""
        data = self.cleaned_data
        named = {name: data[name] for name in ("use", "name", "alias", "default_model", "model_names")}
        return {**named, "parameters": {name: data[name] for name in (*NUMBERS, *WORDS)}}


def _initial(profile: UseProfile) -> dict[str, Any]:
    limit = call_limit_of_profile(profile)
    named = {name: getattr(profile, name) for name in ("use", "name", "alias", "default_model", "model_names")}
    return {**named, **profile.parameters, **({name: getattr(limit, name) for name in FIGURES} if limit else {})}


class BindForm(forms.Form):
    """Which keys shall follow a profile."""

    keys = forms.MultipleChoiceField(label=_("Keys"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, keys: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.found = {str(key.pk): key for key in keys}
        field = self.fields["keys"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(pk, key.name) for pk, key in self.found.items()]
