"""Refunds to payers, and money that belongs to nobody yet, on the wire."""

from typing import Any, ClassVar

from rest_framework import serializers

from billing.form_fields import refuse_key
from billing.models import IncomingPayment, PaymentRefund
from billing.services.payments.unmatched import MOST_MINOR
from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from config.foundation.labels import Label


class PaymentRefundOut(OutSerializer):
    """Of a payment, or of an unmatched one that went back."""

    labels_of = "payment_refund"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.UUIDField()
    payment_id = serializers.UUIDField(allow_null=True)
    unmatched_id = serializers.UUIDField(source="incoming_id", allow_null=True)
    state = serializers.ChoiceField(PaymentRefund.State.choices)
    amount = UsdOut(source="amount_nano")
    reason = serializers.CharField()
    provider_refund_id = serializers.CharField(allow_blank=True)
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    by = serializers.CharField(source="asked_by.username", default=None, allow_null=True)
    entry_id = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class PaymentRefundIn(InSerializer):
    """The same ``transaction_id`` pays once. ``with_debt``: it is spent already, and a second person is asked to let the
    balance go below zero."""

    payment_id = serializers.UUIDField()
    amount = UsdIn()
    reason = serializers.CharField(max_length=255, validators=[refuse_key])
    with_debt = serializers.BooleanField(default=False)
    transaction_id = serializers.UUIDField(required=False)


class UnmatchedPaymentOut(OutSerializer):
    """``amount_minor`` in the smallest unit of its currency, as it was received; ``booked`` is what lies in suspense, null
    for another currency until somebody says what it is worth."""

    labels_of = "unmatched_payment"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.UUIDField()
    source: Any = serializers.ChoiceField(IncomingPayment.Source.choices)
    provider = serializers.CharField(allow_blank=True)
    reference = serializers.CharField()
    why = serializers.ChoiceField(IncomingPayment.Why.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    booked = UsdOut(source="booked_nano", allow_null=True)
    payer = serializers.CharField(allow_blank=True)
    received_at = serializers.DateTimeField()
    payment_id = serializers.UUIDField(allow_null=True)
    state = serializers.ChoiceField(IncomingPayment.State.choices)
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    entered_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    closed_by = serializers.CharField(source="closed_by.username", default=None, allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)


class TransferIn(InSerializer):
    """A bank transfer that names nobody we know. Its reference is taken once."""

    reference = serializers.CharField(max_length=191, validators=[refuse_key])
    amount_minor = serializers.IntegerField(min_value=1, max_value=MOST_MINOR)
    currency = serializers.RegexField(r"^[A-Z]{3}$")
    payer = serializers.CharField(max_length=191, default="", allow_blank=True, validators=[refuse_key])
    received_at = serializers.DateTimeField()


class AssignIn(InSerializer):
    """Whose money it is. ``worth`` in US dollars, only for money in another currency. The same ``transaction_id`` asks a
    second person once."""

    user_id = serializers.IntegerField(min_value=1, required=False)
    group_id = serializers.IntegerField(min_value=1, required=False)
    worth = UsdIn(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=255, validators=[refuse_key])
    transaction_id = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("user_id" in attrs) == ("group_id" in attrs):
            raise serializers.ValidationError({"user_id": ["Name one person or one team."]})
        return attrs


class ReturnIn(InSerializer):
    reason = serializers.CharField(max_length=255, validators=[refuse_key])
