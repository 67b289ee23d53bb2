"""Money, prices and calls in the admin."""

from billing.admin import calls, ledger, prices

__all__ = ["calls", "ledger", "prices"]
