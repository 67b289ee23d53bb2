"""Stripe Checkout through the official library. The only file that knows how Stripe names things."""

import json
from typing import Any

import stripe
from django.conf import settings

from billing.services.payments.provider import (
    BadSignature,
    Checkout,
    Dispute,
    EventFacts,
    ProviderRefused,
    ProviderUnavailable,
    Refund,
)

# Seconds an event may be old when it arrives; Stripe signs every delivery anew.
TOLERANCE = 300
KINDS = {
    "checkout.session.completed": "paid",
    "checkout.session.async_payment_succeeded": "paid",
    "checkout.session.async_payment_failed": "failed",
    "checkout.session.expired": "expired",
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "charge.refund.updated": "refund",
    "charge.dispute.created": "dispute",
    "charge.dispute.updated": "dispute",
    "charge.dispute.closed": "dispute",
    "charge.dispute.funds_withdrawn": "dispute",
    "charge.dispute.funds_reinstated": "dispute",
}
# A warning is no dispute yet: no money has left. When it is closed none will.
DISPUTE_OUTCOMES = {"won": "won", "lost": "lost", "prevented": "won"}
REFUND_STATES = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}


class StripeProvider:
    name = "stripe"

    def __init__(self) -> None:
        self.checkout_origin = settings.STRIPE_CHECKOUT_ORIGIN
        self._client = stripe.StripeClient(
            settings.STRIPE_API_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE},
            max_network_retries=1,
            http_client=stripe.RequestsClient(timeout=15),
        )

    def create_checkout(self, *, order_id: str, amount_minor: int, currency: str, return_url: str, email: str) -> Checkout:
        product = {"name": "Balance"}
        price = {"currency": currency.lower(), "unit_amount": amount_minor, "product_data": product}
        params: Any = {
            "mode": "payment",
            "client_reference_id": order_id,
            "metadata": {"order_id": order_id},
            "payment_intent_data": {"metadata": {"order_id": order_id}},
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": return_url,
            "cancel_url": return_url,
            **({"customer_email": email} if email else {}),
        }
        session = self._call(lambda: self._client.v1.checkout.sessions.create(params, {"idempotency_key": order_id}))
        return Checkout(session.id, session.url or "")

    def refund(self, *, payment_id: str, amount_minor: int, reference: str) -> Refund:
        params: Any = {"payment_intent": payment_id, "amount": amount_minor, "metadata": {"refund_id": reference}}
        made = self._call(lambda: self._client.v1.refunds.create(params, {"idempotency_key": reference}))
        return Refund(made.id, REFUND_STATES.get(made.status or "", "pending"))

    def dispute(self, *, dispute_id: str) -> Dispute:
        found = self._call(lambda: self._client.v1.disputes.retrieve(dispute_id))
        return _dispute(json.loads(str(found)))

    def verified(self, *, body: bytes, signature: str) -> EventFacts:
        for secret in settings.STRIPE_WEBHOOK_SECRET.split(","):
            try:
                stripe.WebhookSignature.verify_header(body.decode(), signature, secret.strip(), TOLERANCE)
                return self.facts_of(body.decode())
            except (stripe.SignatureVerificationError, ValueError, KeyError, TypeError, AttributeError):
                continue
        raise BadSignature

    def facts_of(self, payload: str) -> EventFacts:
        event = json.loads(payload)
        thing, kind = event["data"]["object"], KINDS.get(event["type"], "other")
        if kind == "paid" and thing.get("payment_status") == "unpaid":
            # A slow way to pay: the money, or its failure, is told by a later event.
            kind = "other"
        if kind == "dispute" and str(thing.get("status", "")).startswith("warning_"):
            kind = "other"
        meta = thing.get("metadata") or {}
        is_refund = kind == "refund"
        return EventFacts(
            event_id=str(event["id"])[:191],
            event_type=str(event["type"])[:80],
            kind=kind,
            order_id=str(thing.get("client_reference_id") or meta.get("order_id") or "")[:64],
            session_id="" if is_refund else str(thing.get("id") or "")[:191],
            payment_id=str(thing.get("payment_intent") or "")[:191],
            amount_minor=int(thing.get("amount" if is_refund else "amount_total") or 0),
            currency=str(thing.get("currency") or "").upper()[:3],
            payer=str((thing.get("customer_details") or {}).get("email") or "")[:191],
            refund_id=str(thing.get("id") or "")[:191] if is_refund else "",
            refund_reference=str(meta.get("refund_id") or "")[:64] if is_refund else "",
            refund_state=REFUND_STATES.get(str(thing.get("status")), "pending") if is_refund else "",
            dispute=_dispute(thing) if kind == "dispute" else None,
        )

    def _call(self, verb: Any) -> Any:
        try:
            return verb()
        except (stripe.APIConnectionError, stripe.RateLimitError):
            raise ProviderUnavailable from None
        except stripe.StripeError as error:
            if (error.http_status or 500) >= 500:
                raise ProviderUnavailable from None
            raise ProviderRefused from None


def _dispute(thing: dict[str, Any]) -> Dispute:
    state = str(thing.get("status") or "")[:40]
    return Dispute(
        dispute_id=str(thing["id"])[:191],
        payment_id=str(thing.get("payment_intent") or "")[:191],
        amount_minor=int(thing.get("amount") or 0),
        currency=str(thing.get("currency") or "").upper()[:3],
        outcome=DISPUTE_OUTCOMES.get(state, "open"),
        state=state,
        reason=str(thing.get("reason") or "")[:80],
        due=int((thing.get("evidence_details") or {}).get("due_by") or 0),
    )
