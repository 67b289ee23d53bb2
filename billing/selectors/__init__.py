"""Reads of money, usage and calls. Each takes the actor and answers NotFound for what is not theirs."""

from billing.selectors.balance import Balance, LedgerLine, PurseBalance, balance_of, balance_of_group, ledger_lines
from billing.selectors.calls import CallFilters, CallPage, call_detail, calls_for
from billing.selectors.usage import Breakdown, BreakdownRow, UsageChart, UsageDay, usage_breakdown, usage_by_day

__all__ = [
    "Balance",
    "Breakdown",
    "BreakdownRow",
    "CallFilters",
    "CallPage",
    "LedgerLine",
    "PurseBalance",
    "UsageChart",
    "UsageDay",
    "balance_of",
    "balance_of_group",
    "call_detail",
    "calls_for",
    "ledger_lines",
    "usage_breakdown",
    "usage_by_day",
]
