"""Forms of the account pages: they read and check what was typed; services decide."""

import zoneinfo
from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import password_validators_help_texts
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, GroupMembership, Role, User
from config.foundation.redaction import looks_like_key

DAYS = [(1, "1"), (3, "3"), (7, "7"), (14, "14"), (30, "30")]


@lru_cache(maxsize=1)
def zone_choices() -> list[tuple[str, str]]:
    """Every IANA zone that is a place, UTC first."""
    places = sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith(("Etc/", "posix/")))
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in places)]


class NoKeysMixin:
    """Refuses a pasted API key in any text field with a kind word, and does not repeat it on the page."""

    data: Any

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] | None = super().clean()  # type: ignore[misc]
        for name, value in list((cleaned or {}).items()):
            if isinstance(value, str) and "password" not in name and looks_like_key(value):
                self.add_error(name, _("This looks like an API key. Please do not paste keys here."))  # type: ignore[attr-defined]
                self.data = self.data.copy()  # type: ignore[attr-defined]
                self.data[self.add_prefix(name)] = ""  # type: ignore[attr-defined]
        return cleaned


class ProfileForm(NoKeysMixin, forms.Form):
    display_name = forms.CharField(label=_("Display name"), max_length=191, required=False)
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=zone_choices, help_text=_("Every time on the pages and in mails is shown in this zone.")
    )


class InvitationForm(NoKeysMixin, forms.Form):
    """Inviting somebody: administrators choose a role, team owners a role in the team."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.USER)
    team_role = forms.ChoiceField(label=_("Role in the team"), choices=GroupMembership.TeamRole.choices, initial="member")
    language = forms.ChoiceField(label=_("Language of the mail"), choices=settings.LANGUAGES)
    valid_days = forms.TypedChoiceField(label=_("The link works for, days"), choices=DAYS, coerce=int, initial=7)

    def __init__(self, *args: Any, team: Group | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["role" if team else "team_role"]


class AcceptForm(NoKeysMixin, forms.Form):
    username = forms.CharField(
        label=_("User name"), max_length=191, help_text=_("You can log in with it or with your e-mail address.")
    )
    display_name = forms.CharField(label=_("Display name"), max_length=191, required=False)
    password = forms.CharField(
        label=_("Password"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    password_again = forms.CharField(
        label=_("Password again"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=zone_choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = " ".join(password_validators_help_texts())

    def clean_password_again(self) -> str:
        again: str = self.cleaned_data["password_again"]
        if again != self.cleaned_data.get("password"):
            raise forms.ValidationError(_("The two passwords are not the same."))
        return again


class TeamForm(NoKeysMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=191)
    code = forms.SlugField(label=_("Code"), max_length=60, help_text=_("Short and lasting: it appears in reports and filters."))
    owner = forms.CharField(label=_("First owner"), max_length=191, help_text=_("User name of the person who runs the team."))

    def clean_owner(self) -> User:
        owner = User.objects.filter(username=self.cleaned_data["owner"].strip(), is_active=True).first()
        if owner is None:
            raise forms.ValidationError(_("There is no enabled person with this user name."))
        return owner


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    reason = forms.CharField(label=_("Reason"), max_length=255, required=False, help_text=_("Kept in the audit trail."))


class ReasonForm(NoKeysMixin, forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=255, required=False, help_text=_("Kept in the audit trail."))
