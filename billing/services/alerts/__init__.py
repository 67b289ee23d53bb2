"""Alerts: rules people set, the looks that Celery takes, and what is told, once per crossing."""

from billing.services.alerts.balances import check_balances
from billing.services.alerts.digest import send_digests
from billing.services.alerts.odd import check_odd_spend, fold_spend_windows
from billing.services.alerts.rules import choose_mails, rule_of, set_rule
from billing.services.alerts.watch import check_deliveries, check_holds, check_limits, check_unpriced, tell_differences

__all__ = [
    "check_balances",
    "check_deliveries",
    "check_holds",
    "check_limits",
    "check_odd_spend",
    "check_unpriced",
    "choose_mails",
    "fold_spend_windows",
    "rule_of",
    "send_digests",
    "set_rule",
    "tell_differences",
]
