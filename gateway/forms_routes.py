"""Forms of fallback rules and shapes of errors."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from gateway.models import ErrorProfile, FallbackRule
from models_catalog.models import AIModel


class FallbackForm(forms.Form):
    from_model = forms.ModelChoiceField(AIModel.objects.none(), label=_("Asked model"))
    to_model = forms.ModelChoiceField(AIModel.objects.none(), label=_("Answers instead"))
    triggers = forms.MultipleChoiceField(
        choices=FallbackRule.Trigger.choices, label=_("When"), widget=forms.CheckboxSelectMultiple
    )
    is_price_protected = forms.BooleanField(
        label=_("Price protected"),
        required=False,
        initial=True,
        help_text=_("The call never costs more than the asked model would have."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=255)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = AIModel.objects.filter(is_active=True)
        for name in ("from_model", "to_model"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = models


class ProfileForm(forms.Form):
    group = forms.ModelChoiceField(Group.objects.none(), label=_("Group"), required=False, empty_label=_("everybody"))
    profile = forms.ChoiceField(
        label=_("Shape"), required=False, choices=[("", _("as everybody")), *ErrorProfile.Profile.choices]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["group"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Group.objects.order_by("code")
