"""Payments through a provider, the desk of what fits no order, and refunds."""

from billing.services.payments import events, orders, refunds, unmatched

__all__ = ["events", "orders", "refunds", "unmatched"]
