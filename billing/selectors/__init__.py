"""Reads of money, usage and calls. Each takes the actor and answers NotFound for what is not theirs."""

from billing.selectors.balance import Balance, LedgerLine, PurseBalance, balance_of, balance_of_group, ledger_lines
from billing.selectors.calls import CallFilters, CallPage, call_detail, calls_for
from billing.selectors.usage import UsageChart, UsageDay, usage_by_day
from billing.selectors.usage_cuts import Period, Report, Scope, scope_for, usage_chart, usage_report

__all__ = [
    "Balance",
    "CallFilters",
    "CallPage",
    "LedgerLine",
    "Period",
    "PurseBalance",
    "Report",
    "Scope",
    "UsageChart",
    "UsageDay",
    "balance_of",
    "balance_of_group",
    "call_detail",
    "calls_for",
    "ledger_lines",
    "scope_for",
    "usage_by_day",
    "usage_chart",
    "usage_report",
]
