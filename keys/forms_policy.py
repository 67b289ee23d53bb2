"""Forms of the policy pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import NoKeysMixin
from accounts.models import Group, User
from keys.models import AccessPolicy

AS_POLICY = ""


class PeopleField(forms.CharField):
    """User names, one a line; gives the people."""

    def clean(self, value: Any) -> list[User]:
        names = [name.strip() for name in (super().clean(value) or "").replace(",", "\n").splitlines() if name.strip()]
        found = {person.username: person for person in User.objects.filter(username__in=names)}
        unknown = [name for name in names if name not in found]
        if unknown:
            raise forms.ValidationError(_("There is nobody of this user name: %(name)s"), params={"name": unknown[0][:100]})
        return [found[name] for name in dict.fromkeys(names)]


class PersonField(forms.CharField):
    """One user name; gives the person."""

    def clean(self, value: Any) -> User | None:
        name = super().clean(value)
        person = User.objects.filter(username=name).first()
        if person is None:
            raise forms.ValidationError(_("There is nobody of this user name."))
        return person


class PolicyForm(NoKeysMixin, forms.Form):
    """Who may create keys, and what teams that are not listed may spend."""

    issuers = forms.ChoiceField(label=_("Who may create keys"), choices=AccessPolicy.Issuers.choices, widget=forms.RadioSelect)
    named_issuers = PeopleField(
        label=_("Also these people"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("User names, one a line. Operators may always."),
    )
    team_money = forms.ChoiceField(
        label=_("Teams not listed may spend"),
        choices=AccessPolicy.Money.choices,
        widget=forms.RadioSelect,
        help_text=_("Test balance is what keys of purpose test spend; every other key spends production balance."),
    )
    text = forms.CharField(
        label=_("The policy in words"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("For those who read this page; nothing is enforced from it."),
    )


class TeamMoneyForm(forms.Form):
    """What one team may spend."""

    team = forms.ModelChoiceField(label=_("Team"), queryset=Group.objects.none())
    money = forms.ChoiceField(
        label=_("It may spend"),
        required=False,
        choices=[(AS_POLICY, _("as teams that are not listed")), *AccessPolicy.Money.choices],
    )

    def __init__(self, *args: Any, teams: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["team"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = teams


class ReviewForm(forms.Form):
    """Who reviews which quota, and when next."""

    group = forms.ModelChoiceField(label=_("Group"), queryset=Group.objects.none(), required=False, empty_label=_("all groups"))
    reviewer = PersonField(label=_("Reviewer"), max_length=191, help_text=_("User name."))
    next_on = forms.DateField(label=_("Next on"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    every_days = forms.IntegerField(label=_("Then every so many days"), initial=90, min_value=1, max_value=3650)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["group"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Group.objects.order_by("code")


class ReviewDoneForm(NoKeysMixin, forms.Form):
    """What the reviewer found."""

    note = forms.CharField(label=_("What was found"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))
