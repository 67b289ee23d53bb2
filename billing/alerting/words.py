"""An event in words: subject, sentence, figures and what to do, in the language that is active."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import AlertEvent, AlertKind
from config.foundation.money import format_usd


@dataclass(frozen=True, slots=True)
class Said:
    """``facts`` are (label, value); ``path`` is the page to look at, below the portal's address."""

    subject: str
    sentence: str
    facts: list[tuple[str, str]]
    advice: str
    path: str


def of(event: AlertEvent) -> Said:
    """The words of an event."""
    teller = _OVER.get(event.kind) if event.phase == AlertEvent.Phase.RESOLVED else None
    return (teller or _FIRED[event.kind])(event, event.figures)


def threshold_text(kind: str, value: int) -> str:
    """A threshold or value with its unit."""
    if kind == AlertKind.BALANCE_LOW:
        return format_usd(value, 4)
    if kind == AlertKind.LIMIT_USE:
        return f"{value} %"
    if kind == AlertKind.ODD_SPEND:
        return _("%(times)s times") % {"times": value}
    return str(value)


def _balance(event: AlertEvent, figures: dict[str, Any]) -> Said:
    balance, threshold = format_usd(event.value, 2), format_usd(event.threshold, 2)
    team = event.rule.group
    named = {"balance": balance, "threshold": threshold, "team": team}
    return Said(
        (_("The balance of %(team)s is low: %(balance)s") if team else _("Your balance is low: %(balance)s")) % named,
        _("The balance is %(balance)s. It has fallen below %(threshold)s, where it was to be told.") % named,
        [(_("Balance"), format_usd(event.value)), (_("Threshold"), format_usd(event.threshold))],
        _("When it is used up, calls are refused until money is added."),
        "/billing/",
    )


def _balance_over(event: AlertEvent, figures: dict[str, Any]) -> Said:
    balance = format_usd(event.value, 2)
    team = event.rule.group
    named = {"balance": balance, "team": team}
    return Said(
        (_("The balance of %(team)s has recovered: %(balance)s") if team else _("Your balance has recovered: %(balance)s"))
        % named,
        _("The balance is %(balance)s again, above every threshold that was told.") % named,
        [(_("Balance"), format_usd(event.value))],
        "",
        "/billing/",
    )


def _limit(event: AlertEvent, figures: dict[str, Any]) -> Said:
    named = {"name": figures.get("name") or event.subject, "used": event.value}
    return Said(
        _("“%(name)s” has used %(used)s %% of its limit") % named,
        _("“%(name)s” has used %(used)s %% of what it may spend.") % named,
        [
            (_("Spent"), format_usd(figures.get("spent_nano", 0))),
            (_("Limit"), format_usd(figures.get("limit_nano", 0))),
            (_("Told at"), f"{event.threshold} %"),
        ],
        _("Once it is used up, its calls are refused. Raise the limit, or use another key."),
        f"/keys/{figures['key_id']}/" if figures.get("key_id") else "/billing/",
    )


def _odd(event: AlertEvent, figures: dict[str, Any]) -> Said:
    times = f"{event.figures.get('times_tenths', 0) / 10:g}"
    named = {"name": figures.get("name", event.subject), "times": times}
    facts = [
        (_("Spent in five minutes"), format_usd(figures.get("spent_nano", 0), 4)),
        (_("Usual in five minutes"), format_usd(figures.get("usual_nano", 0), 4)),
        (_("Odd from"), format_usd(figures.get("bound_nano", 0), 4)),
        (_("Calls"), str(figures.get("calls", 0))),
        (_("Windows compared"), str(figures.get("sample_size", 0))),
    ]
    advice = _("If this is not you, disable the key and issue a new one. If it is, nothing needs to be done.")
    if figures.get("is_paused"):
        advice = _("The key is paused: its calls get 403. Resume it on its page with one click.")
    path = f"/keys/{figures['key_id']}/" if figures.get("key_id") else "/alerts/"
    return Said(
        _("Odd spend: “%(name)s” spends %(times)s times its usual") % named,
        _("“%(name)s” spent %(times)s times in the last five minutes of what is usual for it at this hour.") % named,
        facts,
        advice,
        path,
    )


def _unpriced(event: AlertEvent, figures: dict[str, Any]) -> Said:
    calls = int(figures.get("calls", event.value))
    named = {"model": figures.get("model", event.subject), "count": calls}
    return Said(
        _("“%(model)s” has no price and was asked for") % named,
        ngettext(
            "%(count)d call for “%(model)s” was refused because the model has no price.",
            "%(count)d calls for “%(model)s” were refused because the model has no price.",
            calls,
        )
        % named,
        [(_("Calls"), str(calls)), (_("People"), str(figures.get("people", 0)))],
        _("Give it a price, or close it to the groups that see it. Until then its calls are refused, never free."),
        "/models/",
    )


def _holds(event: AlertEvent, figures: dict[str, Any]) -> Said:
    named = {"count": event.value}
    return Said(
        ngettext("%(count)d hold should have ended", "%(count)d holds should have ended", event.value) % named,
        _("Holds are open for more than five minutes after their time: the sweeper does not run, or cannot end them."),
        [(_("Holds"), str(event.value)), (_("Held"), format_usd(figures.get("amount_nano", 0)))],
        _("See whether worker and beat run. The money stays held until the sweeper ends the holds."),
        "/alerts/",
    )


def _holds_over(event: AlertEvent, figures: dict[str, Any]) -> Said:
    return Said(_("No hold is overdue any more"), _("Every hold that was overdue has ended."), [], "", "/alerts/")


def _deliveries(event: AlertEvent, figures: dict[str, Any]) -> Said:
    return Said(
        _("Messages do not arrive"),
        _("Mails or web hooks failed within the last hour or fail again and again."),
        [
            (_("Mails that failed"), str(figures.get("mails_failed", 0))),
            (_("Mails tried three times or more"), str(figures.get("mails_struggling", 0))),
            (_("Web hooks that failed"), str(figures.get("hooks_failed", 0))),
        ],
        _("See the error beside each row. What failed can be sent again there."),
        "/mail/",
    )


def _deliveries_over(event: AlertEvent, figures: dict[str, Any]) -> Said:
    return Said(_("Messages arrive again"), _("No mail and no web hook has failed within the last hour."), [], "", "/alerts/")


def _difference(event: AlertEvent, figures: dict[str, Any]) -> Said:
    named = {"count": event.value}
    return Said(
        ngettext("Reconciliation: %(count)d difference is open", "Reconciliation: %(count)d differences are open", event.value)
        % named,
        _("Ledger, request logs, roll-ups and holds do not agree everywhere."),
        [(_("Open differences"), str(event.value))],
        _("Open the list, and explain, fix or write off each one."),
        "/finance/reconcile/",
    )


def _difference_over(event: AlertEvent, figures: dict[str, Any]) -> Said:
    return Said(
        _("Reconciliation: no difference is open"),
        _("Ledger, request logs, roll-ups and holds agree, or every difference is decided."),
        [],
        "",
        "/finance/reconcile/",
    )


Teller = Callable[[AlertEvent, dict[str, Any]], Said]
_FIRED: dict[str, Teller] = {
    AlertKind.BALANCE_LOW: _balance,
    AlertKind.LIMIT_USE: _limit,
    AlertKind.ODD_SPEND: _odd,
    AlertKind.UNPRICED_MODEL: _unpriced,
    AlertKind.OLD_HOLDS: _holds,
    AlertKind.DELIVERY_FAILING: _deliveries,
    AlertKind.DIFFERENCE: _difference,
}
_OVER: dict[str, Teller] = {
    AlertKind.BALANCE_LOW: _balance_over,
    AlertKind.OLD_HOLDS: _holds_over,
    AlertKind.DELIVERY_FAILING: _deliveries_over,
    AlertKind.DIFFERENCE: _difference_over,
}
