"""The form of all limits of one key, person, team or member."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import zone_choices
from billing.forms_fences import UsdField
from billing.selectors.limit_lines import LimitLine
from billing.services.limits import Limits
from config.foundation.money import format_usd
from keys.services_limits import MOST, CallFigures

STOPS = _("Stops: a call that does not fit is refused. Empty: no limit.")


class LimitsForm(forms.Form):
    """Money in all, a month, a day; calls and tokens a minute; calls at once."""

    total = UsdField(label=_("US dollars in all"), required=False, max_length=30, help_text=STOPS)
    monthly = UsdField(label=_("US dollars a month"), required=False, max_length=30, help_text=STOPS)
    daily = UsdField(label=_("US dollars a day"), required=False, max_length=30, help_text=STOPS)
    time_zone = forms.ChoiceField(
        label=_("Days and months by the clock of"),
        required=False,
        help_text=_("A limit begins anew at midnight there."),
    )
    requests_per_minute = forms.IntegerField(
        label=_("Calls a minute"), required=False, min_value=1, max_value=MOST["requests_per_minute"], help_text=STOPS
    )
    tokens_per_minute = forms.IntegerField(
        label=_("Tokens a minute"),
        required=False,
        min_value=1,
        max_value=MOST["tokens_per_minute"],
        help_text=_("Input and max_tokens count before the call, what was used after it. Stops. Empty: no limit."),
    )
    parallel_calls = forms.IntegerField(
        label=_("Calls at once"), required=False, min_value=1, max_value=MOST["parallel_calls"], help_text=STOPS
    )

    def __init__(self, *args: Any, lines: list[LimitLine], zone: str, **kwargs: Any) -> None:
        held = {line.kind: line for line in lines}
        initial: dict[str, Any] = {"time_zone": next((x.time_zone for x in lines if x.kind in ("daily", "monthly")), zone)}
        for span in ("total", "monthly", "daily"):
            if span in held:
                initial[span] = format_usd(held[span].limit).removeprefix("$").replace(",", "")
        for field, kind in (("requests_per_minute", "calls"), ("tokens_per_minute", "tokens"), ("parallel_calls", "slots")):
            if kind in held:
                initial[field] = held[kind].limit
        kwargs["initial"] = initial
        super().__init__(*args, **kwargs)
        choice = self.fields["time_zone"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = zone_choices()

    def limits(self) -> Limits:
        data = self.cleaned_data
        calls = CallFigures(data["requests_per_minute"], data["tokens_per_minute"], data["parallel_calls"])
        return Limits(data["total"], data["monthly"], data["daily"], data["time_zone"], calls)
