"""What lies on finance's desk, for the pictures: codes in every state and requests that wait."""

from typing import Any

from django.test import override_settings

from billing.services import approvals, code_batches, codes, ledger
from billing.services.exports import make_export, start_export
from billing.services.payments import unmatched
from billing.services.refunds import refund_call
from config.foundation.clock import now
from tests.billing.helpers import converted
from tests.billing.payment_world import ordered, paid, tell
from tests.billing.stripe_double import SECRET, StripeDouble, dispute_of, event_of
from tests.pages.conftest import DOLLAR, World

PAGES = [
    ("refunds", "fin", "/finance/refunds/"),
    ("refund-new", "fin", "/finance/refunds/new/?call={call}"),
    ("conversions", "fin", "/finance/conversions/"),
    ("conversion-new", "fin", "/finance/conversions/new/?to=alice"),
    ("payment", "fin", "/billing/payments/{payment}/"),
    ("payment-own", "alice", "/billing/payments/{payment}/"),
    ("exports", "alice", "/exports/"),
    ("export", "alice", "/exports/{export}/"),
    ("disputes", "fin", "/finance/disputes/"),
    ("dispute", "fin", "/finance/disputes/{dispute}/"),
]


def paid_and_disputed(world: World, double: StripeDouble, settings: Any) -> dict[str, str]:
    """A provider that is switched on, one payment that came in, and one that is disputed."""
    settings.PAYMENT_PROVIDER, settings.STRIPE_API_KEY = "stripe", "sk_test_" + "x" * 24
    settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_API_BASE = SECRET, double.address
    paid(world.bob, 25 * DOLLAR)
    ordered(world.alice, 10 * DOLLAR)
    payment = paid(world.alice, 40 * DOLLAR)
    tell(event_of("charge.dispute.created", dispute_of(payment)))
    job = start_export(actor=world.alice, name="calls", query="period=30")
    make_export(job.pk)
    return {"export": str(job.pk), "payment": str(payment.pk), "dispute": str(payment.disputes.get().pk)}


def desk_of(world: World) -> dict[str, str]:
    """Fill the desk; gives what the addresses of the gallery name."""
    new = code_batches.NewBatch("Spring campaign of the northern region", 24, 5 * DOLLAR, "bonus", "SPRING", max_per_person=1)
    batch = code_batches.create_batch(actor=world.finance, new=new)
    (first, *_rest) = code_batches.take_codes(actor=world.finance, batch=batch)
    codes.redeem_code(actor=world.bob, presented=first)
    some = batch.codes.filter(pk__in=list(batch.codes.filter(state="unused").values_list("pk", flat=True)[:3]))
    code_batches.set_codes_state(actor=world.finance, codes=some, to="disabled", reason="seen on a forum")
    code_batches.create_batch(actor=world.finance, new=code_batches.NewBatch("Reseller, May", 10, 20 * DOLLAR, "prepaid"))
    purse = ledger.purse_for(user=world.alice)
    asked = approvals.ask(
        actor=world.admin,
        kind="adjustment",
        purse=purse,
        amount_nano=-3 * DOLLAR // 2,
        reason="charged twice on 3 May, see the ticket",
        evidence_url="https://tickets.example.org/4711",
    )
    approvals.ask(actor=world.finance, kind="credit_limit", purse=purse, amount_nano=50 * DOLLAR, reason="contract of June")
    with override_settings(ADJUST_ALONE_USD=1):
        refund_call(actor=world.finance, request_id=world.call_id, amount_nano=1_000_000, reason="the answer was cut short")
    euros = {"user": world.alice, "currency": "EUR", "amount_nano": 120 * DOLLAR}
    large = approvals.top_up_or_ask(actor=world.finance, reason="transfer RE-9", **euros)
    assert not isinstance(large, ledger.PostingResult)
    approvals.approve(actor=world.admin, request=large)
    rate = {"rate_numerator": 108_517, "rate_denominator": 100_000, "reason": "asked by mail"}
    euros |= {"from_currency": euros.pop("currency"), "amount_nano": 100 * DOLLAR + 10_000_000 // 3}
    converted(world.finance, to_currency="USD", **euros, **rate)
    transfer = unmatched.Transfer("RE-2026-0531", 12_550, "USD", "ACME Trading of the northern region", now())
    incoming = unmatched.enter_transfer(actor=world.finance, transfer=transfer)
    unmatched.enter_transfer(actor=world.finance, transfer=unmatched.Transfer("RE-7", 9_900, "EUR", "", now()))
    return {"batch": str(batch.pk), "approval": str(asked.pk), "incoming": str(incoming.pk)}
