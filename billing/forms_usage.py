"""The form of the usage page: whose, over which days of which zone, cut how. Everything is in the address."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.forms import zone_choices
from accounts.models import Group, User
from accounts.rights import may
from billing.form_fields import refuse_key
from billing.selectors.statements import owned_teams
from billing.selectors.usage_cuts import MOST_DAYS, RIGHT, Period
from billing.statements.months import zone_of

SPANS = (7, 30, 90, 365)
DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
WHERE = [
    ("here", _("charged here")),
    ("old", _("at the old gateway")),
    ("both", _("both")),
]


class UsageForm(forms.Form):
    """``days`` up to today, or ``since`` and ``until``; what cannot be read is left out and said.

    An address that does not say whose is about everybody for those who may see that, and about oneself for all others.
    """

    whose = forms.ChoiceField(label=_("Whose"), required=False)
    who = forms.CharField(label=_("Person"), max_length=191, required=False)
    days = forms.IntegerField(required=False, min_value=1, max_value=MOST_DAYS, widget=forms.HiddenInput)
    since = forms.DateField(label=pgettext_lazy("time", "From"), required=False, widget=DATE)
    until = forms.DateField(label=pgettext_lazy("time", "To"), required=False, widget=DATE)
    zone = forms.ChoiceField(label=_("Time zone"), choices=zone_choices, required=False)
    where = forms.ChoiceField(label=_("Calls"), choices=WHERE, required=False)
    by = forms.CharField(required=False, max_length=16, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, actor: User, moment: datetime) -> None:
        values = data.copy()
        self.actor, self.moment = actor, moment
        values["zone"] = values.get("zone") or zone_of(actor)
        values["where"] = values.get("where") or "here"
        # Who may see everybody's usage came for that: one's own is one choice away.
        if may(actor, RIGHT) and not {"whose", "who"} & set(values):
            values["whose"] = "all"
        super().__init__(values)
        teams: list[Group] = list(owned_teams(actor))
        choices = [("", _("mine")), *((f"team:{team.code}", str(team)) for team in teams)]
        if may(actor, RIGHT):
            choices.append(("all", _("everybody")))
        else:
            del self.fields["who"]
        if len(choices) == 1:
            del self.fields["whose"]
        else:
            self.fields["whose"].choices = choices  # type: ignore[attr-defined]

    def clean_who(self) -> str:
        return str(refuse_key(self.cleaned_data["who"].strip()))

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        since, until = data.get("since"), data.get("until")
        if since and until and not 0 <= (until - since).days < MOST_DAYS:
            self.add_error("until", _("Choose 1 to 400 days."))
        return data

    def period(self) -> Period:
        data = getattr(self, "cleaned_data", {})
        zone = data.get("zone") or zone_of(self.actor)
        today = self.moment.astimezone(ZoneInfo(zone)).date()
        days = data.get("days") or 30
        since, until = data.get("since"), data.get("until")
        if since or until:
            last = min(until or today, date(2200, 1, 1))
            first = max(since or last - timedelta(days=days - 1), date(2000, 1, 1))
            if 0 <= (last - first).days < MOST_DAYS:
                return Period(first, last, zone)
        return Period(today - timedelta(days=days - 1), today, zone)

    def named(self) -> dict[str, str]:
        """What ``scope_for`` is asked."""
        data = getattr(self, "cleaned_data", {})
        whose, who = data.get("whose") or "", data.get("who") or ""
        if who:
            return {"who": who}
        if whose.startswith("team:"):
            return {"team": whose.removeprefix("team:")}
        return {"who": whose}
