"""Forms of the alert pages: they read thresholds; services decide."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from billing.models import AlertChoice, AlertEvent, AlertKind, AlertRule, HookEndpoint
from config.foundation.money import format_usd, parse_usd

KINDS: dict[str, Any] = {
    **dict(AlertKind.choices),
    AlertChoice.DIGEST: gettext_lazy("daily digest of what fired"),
}


class AlertFilterForm(forms.Form):
    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"), required=False, choices=[("", gettext_lazy("any")), *AlertKind.choices]
    )
    phase = forms.ChoiceField(
        label=gettext_lazy("Phase"), required=False, choices=[("", gettext_lazy("any")), *AlertEvent.Phase.choices]
    )


class RuleForm(forms.Form):
    """One rule: thresholds as a person writes them, where to tell, and whether at all."""

    is_enabled = forms.BooleanField(label=gettext_lazy("Tell me"), required=False)
    thresholds = forms.CharField(max_length=200)
    by_mail = forms.BooleanField(label=gettext_lazy("by mail"), required=False)
    by_hook = forms.BooleanField(label=gettext_lazy("by web hook"), required=False)
    pauses_key = forms.BooleanField(
        label=gettext_lazy("and pause the key"),
        required=False,
        help_text=gettext_lazy("Its calls get 403 until you resume it with one click."),
    )

    LABELS: dict[str, tuple[Any, Any]] = {
        AlertKind.BALANCE_LOW: (
            gettext_lazy("When the balance falls below, USD"),
            gettext_lazy("Amounts with spaces between them, such as 10 5 1. Each tells once until the balance recovers."),
        ),
        AlertKind.LIMIT_USE: (
            gettext_lazy("When a key has used of its limit, per cent"),
            gettext_lazy("Figures with spaces between them, such as 80 100."),
        ),
        AlertKind.ODD_SPEND: (
            gettext_lazy("When five minutes cost this many times the usual"),
            gettext_lazy("A whole number from 2. The usual is what the key itself spent at this hour over the past two weeks."),
        ),
    }

    def __init__(self, data: Any = None, *, rule: AlertRule, **kwargs: Any) -> None:
        self.rule = rule
        channels = AlertRule.Channel
        initial = {
            "is_enabled": rule.is_enabled,
            "thresholds": " ".join(self._written(one) for one in rule.thresholds),
            "by_mail": channels.MAIL in rule.channels,
            "by_hook": channels.HOOK in rule.channels,
            "pauses_key": rule.pauses_key,
        }
        super().__init__(data, initial=initial, **kwargs)
        label, help_text = self.LABELS[rule.kind]
        self.fields["thresholds"].label = label
        self.fields["thresholds"].help_text = help_text
        if rule.kind != AlertKind.ODD_SPEND:
            del self.fields["pauses_key"]

    def clean_thresholds(self) -> list[int]:
        words = self.cleaned_data["thresholds"].replace(";", " ").split()
        try:
            return [self._read(word) for word in words]
        except ValueError:
            raise forms.ValidationError(_("This cannot be read as figures with spaces between them.")) from None

    def values(self) -> dict[str, Any]:
        """What the service is asked to set."""
        data = self.cleaned_data
        wanted = {AlertRule.Channel.MAIL: data["by_mail"], AlertRule.Channel.HOOK: data["by_hook"]}
        return {
            "kind": self.rule.kind,
            "user": self.rule.user,
            "group": self.rule.group,
            "key": self.rule.key,
            "thresholds": data["thresholds"],
            "channels": [channel for channel, is_wanted in wanted.items() if is_wanted],
            "is_enabled": data["is_enabled"],
            "pauses_key": data.get("pauses_key", False),
        }

    def _read(self, word: str) -> int:
        if self.rule.kind == AlertKind.BALANCE_LOW:
            return parse_usd(word)
        if not word.rstrip("%").isdecimal() or len(word) > 12:
            raise ValueError
        return int(word.rstrip("%"))

    def _written(self, threshold: int) -> str:
        if self.rule.kind != AlertKind.BALANCE_LOW:
            return str(threshold)
        return format_usd(threshold).removeprefix("$").removesuffix(".00").replace(",", "")


class MailChoiceForm(forms.Form):
    """One box per kind that concerns this member of staff."""

    def __init__(self, data: Any = None, *, choices: dict[str, bool], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        for kind, by_mail in choices.items():
            self.fields[kind] = forms.BooleanField(label=KINDS[kind], required=False, initial=by_mail)


class HookForm(forms.Form):
    """A new web hook: where to, and for whom."""

    url = forms.CharField(
        label=gettext_lazy("Address"), max_length=500, help_text=gettext_lazy("A public one that begins with https://.")
    )
    purpose = forms.ChoiceField(
        label=gettext_lazy("It gets"),
        choices=HookEndpoint.Purpose.choices,
        required=False,
        help_text=gettext_lazy("The secret of a web hook for tasks also signs callbacks that a request names itself."),
    )
    scope = forms.ChoiceField(label=pgettext_lazy("scope", "Of"))

    def __init__(self, data: Any = None, *, scopes: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["scope"].choices = scopes  # type: ignore[attr-defined]
