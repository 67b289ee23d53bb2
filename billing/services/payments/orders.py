"""Orders to pay: made here, paid at the provider, credited when the provider's event says so. Nano-USD."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from billing.models import Payment
from billing.services.payments.chosen import required_provider
from billing.services.payments.provider import ProviderRefused
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from config.foundation.money import NANO_PER_USD

CENT = NANO_PER_USD // 100


def start_payment(*, actor: User, amount_nano: int, order_id: UUID | None = None) -> Payment:
    """An order and the provider's page for it; the same ``order_id`` makes one order.

    The order is committed before the provider is asked: whatever is paid finds it. Raises PaymentsOff, InvalidInput,
    ProviderUnavailable (the order stays and can be tried again) and ProviderRefused.
    """
    if not actor.is_active:
        raise NotAllowed
    chosen = required_provider()
    _check(amount_nano)
    payment = _order(actor, amount_nano, chosen.name, order_id or uuid7())
    if payment.session_id:
        return payment
    try:
        page = chosen.create_checkout(
            order_id=str(payment.pk),
            amount_minor=amount_nano // CENT,
            currency=payment.currency,
            return_url=settings.PUBLIC_URL.rstrip("/") + reverse("payment_detail", args=[payment.pk]),
            email=actor.email,
        )
    except ProviderRefused:
        Payment.objects.filter(pk=payment.pk, state=Payment.State.CREATED).update(state=Payment.State.FAILED, closed_at=now())
        raise
    Payment.objects.filter(pk=payment.pk, session_id="").update(session_id=page.session_id, checkout_url=page.url)
    payment.refresh_from_db()
    return payment


@transaction.atomic
def _order(actor: User, amount_nano: int, provider_name: str, order_id: UUID) -> Payment:
    values: dict[str, Any] = {"user": actor, "amount_nano": amount_nano, "provider": provider_name}
    payment, is_new = Payment.objects.get_or_create(pk=order_id, defaults=values)
    if not is_new and (payment.user_id, payment.amount_nano) != (actor.pk, amount_nano):
        raise Conflict(_("This order was made already, with other figures."))
    if is_new:
        audit.record(actor=actor, action="payment.started", target=payment, after={"amount_nano": amount_nano})
    return payment


def _check(amount_nano: int) -> None:
    least, most = settings.TOP_UP_MIN_USD * NANO_PER_USD, settings.TOP_UP_MAX_USD * NANO_PER_USD
    if not least <= amount_nano <= most or amount_nano % CENT:
        words = _("An amount in whole cents, from %(least)d to %(most)d US dollars.")
        text = words % {"least": settings.TOP_UP_MIN_USD, "most": settings.TOP_UP_MAX_USD}
        raise InvalidInput(text, fields={"amount": [text]})
