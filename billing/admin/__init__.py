"""Money, payments, prices and calls in the admin."""

from billing.admin import approvals, calls, ledger, limits, payments, prices

__all__ = ["approvals", "calls", "ledger", "limits", "payments", "prices"]
