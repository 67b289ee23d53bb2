"""Which payment provider is set up here."""

from django.conf import settings

from billing.services.payments.provider import PaymentsOff, Provider


def provider() -> Provider | None:
    """The provider that is set up, None when paying by card is off."""
    if settings.PAYMENT_PROVIDER != "stripe":
        return None
    from billing.services.payments.stripe_provider import StripeProvider

    return StripeProvider()


def required_provider(name: str = "") -> Provider:
    """The provider that is set up; raises PaymentsOff when there is none, or another than ``name``."""
    found = provider()
    if found is None or (name and found.name != name):
        raise PaymentsOff
    return found
