"""What the ledger's answer to a reservation means for the client."""

from billing.services.ledger import LIMIT_STATUSES, ReserveResult
from config.foundation.money import format_usd
from gateway.contract import denials
from gateway.contract.types import Denial


def refusal_of(result: ReserveResult) -> Denial:
    """Why the ledger holds no money for a call, in the client's words."""
    if result.status == "no_balance":
        return denials.NO_BALANCE
    if result.status not in LIMIT_STATUSES or result.span is None:
        return denials.SERVICE_UNAVAILABLE
    scope = result.status.removesuffix("_limit")
    left = format_usd(max(0, result.available_nano))
    return denials.limit_reached(scope, result.span, left, result.resets_at, result.time_zone or "UTC")
