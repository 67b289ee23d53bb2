"""What the tests of payments share: the double of the provider, a paid order, the web hook's door."""

from typing import Any

from django.test import Client

from accounts.models import User
from billing.models import LedgerAccount, Payment
from billing.services.payments import orders
from tests.billing.stripe_double import paid_event, signed

USD = 10**9
HOOK = "/payments/webhooks/stripe/"


def ordered(user: User, amount: int = 20 * USD) -> Payment:
    return orders.start_payment(actor=user, amount_nano=amount)


def tell(event: dict[str, Any], **more: Any) -> Any:
    """The event as Stripe sends it, through the real door."""
    body, signature = signed(event, **more)
    return Client().post(HOOK, body, content_type="application/json", headers={"stripe-signature": signature})


def paid(user: User, amount: int = 20 * USD) -> Payment:
    payment = ordered(user, amount)
    assert tell(paid_event(payment)).status_code == 200
    payment.refresh_from_db()
    return payment


def balance(user: User) -> int:
    return sum(LedgerAccount.objects.filter(user=user).values_list("balance_nano", flat=True))
