"""Forms of the key pages: they read what was typed; the services decide."""

import uuid
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import GroupMembership, User
from config.foundation.errors import PortalError
from config.foundation.money import format_usd, parse_usd
from keys import services
from keys.models import ApiKey, UseProfile
from keys.selectors import models_for_payer, teams_owned_by
from keys.selectors_profiles import profiles_for

OVERLAPS = [(0, _("none: the old secret ends at once")), (1, _("1 hour")), (24, _("24 hours")), (24 * 7, _("7 days"))]
MYSELF = "me"


class KeyFields(forms.Form):
    """Name, purpose, spending limit, models, networks and end of a key."""

    name = forms.CharField(
        label=_("Name"), max_length=191, help_text=_("What uses it, for instance: nightly report. Never the key itself.")
    )
    purpose = forms.ChoiceField(
        label=_("Purpose"), choices=ApiKey.Purpose.choices, help_text=_("One key, one purpose: then one can be stopped alone.")
    )
    limit = forms.CharField(
        label=_("Spending limit in US dollars"),
        required=False,
        help_text=_("In all, beside your balance. Empty: no limit of its own."),
    )
    ends_on = forms.DateField(
        label=_("Ends on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The key works to the end of this day in your time zone. Empty: until you end it."),
    )
    model_names = forms.MultipleChoiceField(
        label=_("Models"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: every model of the group."),
    )
    profile = forms.ChoiceField(
        label=_("Use profile"),
        required=False,
        help_text=_("The key calls the profile's models and follows it when it changes. Then no model is ticked above."),
    )
    networks = forms.CharField(
        label=_("Networks"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("One a line, for instance 203.0.113.0/24. Empty: from anywhere."),
    )

    def __init__(self, *args: Any, actor: User, key: ApiKey | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor, self.key = actor, key
        self.fields["purpose"].initial = ApiKey.Purpose.PRODUCTION
        names = [model.name for model in models_for_payer(key.owner if key else actor, key.team if key else None)]
        # What the key names already stays choosable, also when the model is gone: saving must not change it unasked.
        names += [name for name in (key.model_names or [] if key else []) if name not in names]
        models = self.fields["model_names"]
        assert isinstance(models, forms.MultipleChoiceField)
        models.choices = [(name, name) for name in names]
        if not names:
            del self.fields["model_names"]
        self.profiles = {str(one.pk): one for one in profiles_for(actor).order_by("team__name", "name")}
        if key is not None and key.profile is not None:
            self.profiles.setdefault(str(key.profile_id), key.profile)
        profile = self.fields["profile"]
        assert isinstance(profile, forms.ChoiceField)
        named = [(pk, f"{one.team}: {one}" if one.team else one.name) for pk, one in self.profiles.items()]
        profile.choices = [("", _("none")), *named]
        if not self.profiles:
            del self.fields["profile"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("profile") and cleaned.get("model_names"):
            self.add_error("profile", _("Choose a use profile or tick models, not both."))
        return cleaned

    def chosen_profile(self) -> UseProfile | None:
        return self.profiles.get(self.cleaned_data.get("profile") or "")

    def clean_name(self) -> str:
        return str(_try(services.clean_name, self.cleaned_data["name"]))

    def clean_networks(self) -> list[str]:
        return _try(services.clean_networks, self.cleaned_data["networks"].replace(",", "\n").splitlines())

    def clean_limit(self) -> int | None:
        text = self.cleaned_data["limit"].strip()
        if not text:
            return None
        try:
            nano = parse_usd(text)
        except ValueError:
            raise forms.ValidationError(_("Write an amount such as 10 or 2.50.")) from None
        if not 0 <= nano < 10**18:
            raise forms.ValidationError(_("The limit is between 0 and 1,000,000,000 US dollars."))
        return nano

    def clean_ends_on(self) -> datetime | None:
        """The last instant of the day in the viewer's zone; an end that was there keeps its hour when the day stays."""
        day = self.cleaned_data["ends_on"]
        if day is None:
            return None
        if self.key and self.key.expires_at and timezone.localtime(self.key.expires_at).date() == day:
            return self.key.expires_at
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min)) - timedelta(seconds=1)
        if end <= timezone.now():
            raise forms.ValidationError(_("This day has passed."))
        return end

    def chosen_models(self) -> list[str] | None:
        """None when nothing is ticked; a key that may call nothing stays so until something is ticked."""
        ticked = self.cleaned_data.get("model_names") or []
        if not ticked and self.key is not None and self.key.model_names == []:
            return []
        return ticked or None


class IssueForm(KeyFields):
    """A new key, for oneself or for a team one owns. ``once`` lets a reloaded page not issue a second one."""

    once = forms.UUIDField(widget=forms.HiddenInput)
    belongs_to = forms.ChoiceField(label=_("Belongs to"), help_text=_("Calls are paid by this person or team."))

    field_order = ("once", "name", "purpose", "belongs_to", "limit", "ends_on", "model_names", "profile", "networks")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        self.fields["once"].initial = uuid.uuid4
        self.teams = {str(team.pk): team for team in teams_owned_by(actor)}
        owner = self.fields["belongs_to"]
        assert isinstance(owner, forms.ChoiceField)
        self.members = {
            f"{seat.group_id}/{seat.user_id}": seat
            for seat in GroupMembership.objects.filter(group__in=self.teams.values()).select_related("user", "group")
        }
        seats = [(name, f"{seat.group.name}: {seat.user}") for name, seat in self.members.items()]
        owner.choices = [(MYSELF, _("me")), *((pk, team.name) for pk, team in self.teams.items()), *sorted(seats)]
        if not self.teams:
            del self.fields["belongs_to"]

    def owner_and_team(self) -> dict[str, Any]:
        chosen = self.cleaned_data.get("belongs_to", MYSELF)
        if chosen in self.members:
            return {"team": self.members[chosen].group, "member": self.members[chosen].user}
        return {"owner": self.actor} if chosen == MYSELF else {"team": self.teams[chosen]}


class ChangeForm(KeyFields):
    """The same fields, filled from a key; for a team's key also whose it is."""

    member = forms.ChoiceField(
        label=_("Used by"), required=False, help_text=_("The member's own limits in the team count for its calls from now on.")
    )
    field_order = ("name", "purpose", "member", "limit", "ends_on", "model_names", "networks")

    def __init__(self, *args: Any, key: ApiKey, limit_nano: int | None, **kwargs: Any) -> None:
        kwargs["initial"] = {
            "name": key.name,
            "purpose": key.purpose,
            "limit": "" if limit_nano is None else format_usd(limit_nano).removeprefix("$"),
            "ends_on": timezone.localtime(key.expires_at).date() if key.expires_at else None,
            "model_names": key.model_names or [],
            "profile": str(key.profile_id or ""),
            "networks": "\n".join(key.networks),
            "member": str(key.member_id or ""),
        }
        super().__init__(*args, key=key, **kwargs)
        seats = key.team.memberships.select_related("user").order_by("user__username") if key.team else []
        self.members = {str(seat.user_id): seat.user for seat in seats}
        if key.team is None:
            del self.fields["member"]
            return
        choice = self.fields["member"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", _("nobody in particular")), *((pk, str(user)) for pk, user in self.members.items())]

    def chosen_member(self) -> User | None:
        return self.members.get(self.cleaned_data.get("member", ""))


class RotateForm(forms.Form):
    """How long the old secret goes on working."""

    overlap_hours = forms.TypedChoiceField(
        label=_("The old secret goes on working for"), choices=OVERLAPS, coerce=int, initial=24
    )
    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


class ReasonForm(forms.Form):
    """Why, for the history of the key."""

    reason = forms.CharField(label=_("Reason"), required=False, max_length=191, help_text=_("Kept in the key's history."))


def _try(service: Any, value: Any) -> Any:
    """A service's refusal as the field's error. The typed text is not repeated: it may be a secret."""
    try:
        return service(value)
    except PortalError as refused:
        raise forms.ValidationError(refused.message, code=refused.code) from None
