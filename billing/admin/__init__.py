"""Money, prices and calls in the admin."""

from billing.admin import calls, ledger, limits, prices

__all__ = ["calls", "ledger", "limits", "prices"]
