"""What a payment provider is to the portal: four calls. Amounts are in the smallest unit of their currency (cents)."""

from dataclasses import dataclass
from typing import Protocol

from config.foundation.errors import Conflict, PortalError


class PaymentsOff(Conflict):
    """Paying by card is not set up here. Ask the operators how to top up."""

    code = "payments_off"


class ProviderUnavailable(PortalError):
    """The payment provider does not answer. Nothing was charged; try again in a few minutes."""

    code = "provider_unavailable"
    http_status = 503


class ProviderRefused(Conflict):
    """The payment provider refused this."""

    code = "provider_refused"


class BadSignature(PortalError):
    """The signature of this event does not fit."""

    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page of the provider where an order is paid."""

    session_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Refund:
    """``state``: pending, succeeded or failed."""

    refund_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """``outcome``: open, won or lost; ``state`` is the provider's own word for it; ``due`` a Unix time or 0."""

    dispute_id: str
    payment_id: str
    amount_minor: int
    currency: str
    outcome: str
    state: str
    reason: str
    due: int


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What an event says. ``kind``: paid, failed, expired, refund, dispute or other; fields that do not apply are empty."""

    event_id: str
    event_type: str
    kind: str
    order_id: str = ""
    session_id: str = ""
    payment_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    payer: str = ""
    refund_id: str = ""
    refund_reference: str = ""
    refund_state: str = ""
    dispute: Dispute | None = None


class Provider(Protocol):
    """``name`` is stored with every payment; ``checkout_origin`` is where the browser is sent."""

    name: str
    checkout_origin: str

    def create_checkout(self, *, order_id: str, amount_minor: int, currency: str, return_url: str, email: str) -> Checkout:
        """The page to pay an order on; the same order gives the same page. Raises ProviderUnavailable, ProviderRefused."""
        ...

    def refund(self, *, payment_id: str, amount_minor: int, reference: str) -> Refund:
        """Send money back; the same reference sends it once. Raises ProviderUnavailable, ProviderRefused."""
        ...

    def dispute(self, *, dispute_id: str) -> Dispute:
        """How a dispute stands now. Raises ProviderUnavailable, ProviderRefused."""
        ...

    def verified(self, *, body: bytes, signature: str) -> EventFacts:
        """The event of this body; raises BadSignature."""
        ...

    def facts_of(self, payload: str) -> EventFacts:
        """The event of a body that was verified before."""
        ...
