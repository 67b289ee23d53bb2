"""Money from outside: payments through a provider, its events, what nobody could be given, and what was paid back."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from billing.models.ledger import LedgerEntry


class Payment(models.Model):
    """An order to pay: made here, paid at the provider. The id is the order's at the provider, and the act in the ledger."""

    class State(models.TextChoices):
        CREATED = "created", _("waits for the payment")
        PAID = "paid", _("paid")
        UNMATCHED = "unmatched", _("paid otherwise than ordered")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("expired")
        REFUNDED = "refunded", _("refunded")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payments", verbose_name=_("person")
    )
    provider = models.CharField(_("provider"), max_length=20)
    session_id = models.CharField(_("session"), max_length=191, blank=True)
    provider_payment_id = models.CharField(_("payment at the provider"), max_length=191, blank=True)
    checkout_url = models.TextField(blank=True)
    amount_nano = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    refunded_nano = models.BigIntegerField(_("refunded amount"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.CREATED)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    entry = models.ForeignKey(
        LedgerEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("entry")
    )

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "session_id"], condition=~Q(session_id=""), name="payment_session_once"
            ),
            models.UniqueConstraint(
                fields=["provider", "provider_payment_id"], condition=~Q(provider_payment_id=""), name="payment_provider_once"
            ),
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="payment_positive"),
            models.CheckConstraint(
                condition=Q(refunded_nano__gte=0, refunded_nano__lte=F("amount_nano")), name="payment_refund_not_more"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["paid", "refunded"]) | Q(entry__isnull=False), name="payment_paid_has_entry"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="payment_of_person"),
            models.Index(fields=["-created_at", "-id"], name="payment_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"


class PaymentEvent(models.Model):
    """What the provider told, word for word, once per event id; worked off afterwards, so that a crash loses nothing."""

    class State(models.TextChoices):
        STORED = "stored", _("stored")
        WAITING = "waiting", _("waits for another event")
        DONE = "done", _("done")
        IGNORED = "ignored", _("needs nothing")
        UNMATCHED = "unmatched", _("unmatched")

    provider = models.CharField(_("provider"), max_length=20)
    event_id = models.CharField(_("event"), max_length=191)
    event_type = models.CharField(_("kind"), max_length=80)
    payload = models.TextField()
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.STORED)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.PROTECT, related_name="events", verbose_name=_("payment")
    )

    class Meta:
        verbose_name = _("event of a provider")
        verbose_name_plural = _("events of providers")
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="payment_event_once")]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=["stored", "waiting"]), name="payment_event_open"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class IncomingPayment(models.Model):
    """Money that came in and belongs to nobody yet. It lies in the suspense account until a person assigns or returns it."""

    class Source(models.TextChoices):
        PROVIDER = "provider", _("payment provider")
        TRANSFER = "transfer", _("bank transfer")

    class Why(models.TextChoices):
        WRONG_AMOUNT = "wrong_amount", _("another amount than ordered")
        WRONG_CURRENCY = "wrong_currency", _("another currency than ordered")
        UNKNOWN_ORDER = "unknown_order", _("unknown order")
        PAID_TWICE = "paid_twice", _("paid twice")
        TRANSFER = "transfer", _("bank transfer without a recipient")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        ASSIGNED = "assigned", _("assigned")
        RETURNED = "returned", _("returned")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.CharField(_("source"), max_length=10, choices=Source.choices)
    provider = models.CharField(_("provider"), max_length=20, blank=True)
    reference = models.CharField(_("reference"), max_length=191)
    why = models.CharField(_("why it is here"), max_length=16, choices=Why.choices)
    # In the smallest unit of its currency, as it was received.
    amount_minor = models.BigIntegerField(_("amount received"))
    currency = models.CharField(_("currency"), max_length=3)
    # What lies in the suspense account; none for another currency until somebody says what it is worth.
    booked_nano = models.BigIntegerField(_("amount"), null=True, blank=True)
    payer = models.CharField(_("payer"), max_length=191, blank=True)
    received_at = models.DateTimeField(_("received"))
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.PROTECT, related_name="strays", verbose_name=_("payment")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("assigned to the person"),
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("assigned to the team")
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("entered by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("closed by"),
    )
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("unmatched payment")
        verbose_name_plural = _("unmatched payments")
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="incoming_newest"),
            models.Index(fields=["state", "-received_at", "-id"], name="incoming_state"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "provider", "reference"], name="incoming_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="incoming_positive"),
            models.CheckConstraint(condition=Q(state="open") ^ Q(closed_at__isnull=False), name="incoming_closed_has_time"),
            models.CheckConstraint(condition=Q(user=None) | Q(group=None), name="incoming_one_owner"),
        ]

    def __str__(self) -> str:
        return self.reference


class PaymentDispute(models.Model):
    """A payer asks their bank for the money back: it leaves the purse and waits until the provider says who won."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        WON = "won", _("won")
        LOST = "lost", _("lost")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes", verbose_name=_("payment"))
    provider_dispute_id = models.CharField(_("dispute at the provider"), max_length=191, unique=True)
    amount_nano = models.BigIntegerField(_("amount"))
    # The provider's word, such as "fraudulent" or "product_not_received".
    reason = models.CharField(_("reason"), max_length=80, blank=True)
    # The provider's own state in between, such as "needs_response" or "under_review".
    provider_state = models.CharField(_("state at the provider"), max_length=40, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    due_at = models.DateTimeField(_("answer due"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    # Purse to suspense when it opened, and from there back (won) or to cash (lost).
    entry = models.ForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="+", verbose_name=_("entry"))
    closing_entry = models.ForeignKey(
        LedgerEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("closing entry")
    )
    note = models.CharField(_("note"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("dispute of a payment")
        verbose_name_plural = _("disputes of payments")
        constraints = [
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="dispute_positive"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at=None, closing_entry=None)
                | (~Q(state="open") & Q(closed_at__isnull=False, closing_entry__isnull=False)),
                name="dispute_closed_has_entry",
            ),
        ]

    def __str__(self) -> str:
        return self.provider_dispute_id


class PaymentRefund(models.Model):
    """Money on its way back to a payer. The id is the idempotency key at the provider and the act in the ledger."""

    class State(models.TextChoices):
        ASKED = "asked", _("not sent yet")
        SENT = "sent", _("sent to the provider")
        DONE = "done", _("done")
        FAILED = "failed", _("failed, booked back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("payment")
    )
    incoming = models.ForeignKey(
        IncomingPayment,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("unmatched payment"),
    )
    provider_refund_id = models.CharField(_("refund at the provider"), max_length=191, blank=True)
    amount_nano = models.BigIntegerField(_("amount"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ASKED)
    reason = models.CharField(_("reason"), max_length=255)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=255, blank=True)
    entry = models.ForeignKey(
        LedgerEntry, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("entry")
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("asked by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)

    class Meta:
        verbose_name = _("refund to a payer")
        verbose_name_plural = _("refunds to payers")
        constraints = [
            models.UniqueConstraint(
                fields=["provider_refund_id"], condition=~Q(provider_refund_id=""), name="refund_provider_once"
            ),
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="refund_positive"),
            models.CheckConstraint(condition=Q(payment=None) ^ Q(incoming=None), name="refund_of_one"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="payment_refund_newest")]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"
