"""Statements, payments, refunds, conversions, the desk, alerts, web hooks, fences and policy on the wire."""

from typing import Any, ClassVar

from rest_framework import serializers

from billing.models import (
    AlertEvent,
    AlertKind,
    AlertRule,
    CurrencyConversion,
    DeskItem,
    Payment,
    PaymentDispute,
    Statement,
)
from billing.pricing.tiers import HIGHEST_TIER
from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from config.foundation.labels import Label
from config.foundation.money import decimal_usd
from keys.models import AccessPolicy


class StatementOut(OutSerializer):
    """``lines`` as the pages show them; amounts in them are whole nano-units. Only with one statement, not in a list."""

    labels_of = "statement"

    id = serializers.IntegerField()
    number = serializers.CharField()
    month = serializers.DateField(source="month_on", format="%Y-%m")
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    currency = serializers.CharField()
    time_zone = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    opening = UsdOut(source="opening_nano")
    credits = UsdOut(source="credits_nano")
    usage = UsdOut(source="usage_nano")
    expiry = UsdOut(source="expiry_nano")
    adjustments = UsdOut(source="adjustments_nano")
    earlier = UsdOut(source="earlier_nano")
    closing = UsdOut(source="closing_nano")
    issued_at = serializers.DateTimeField()


class StatementDetailOut(StatementOut):
    lines: Any = serializers.DictField(source="figures.lines")
    files = serializers.SerializerMethodField()

    def get_files(self, statement: Statement) -> list[dict[str, Any]]:
        """Format, language, SHA-256 and size of each file as it was issued."""
        rows = statement.files.order_by("format", "language").values("format", "language", "sha256", "byte_count")
        return [dict(row) for row in rows]


class StatementIssueIn(InSerializer):
    """``who`` is a user name or the code of a team."""

    month = serializers.RegexField(r"^\d{4}-\d{2}$")
    who = serializers.CharField(max_length=191)


class StatementIssuedOut(OutSerializer):
    """``status``: issued, present (it was there and stays as it is) or empty (nothing to state)."""

    labels_of = "statement_issued"
    audience: ClassVar[Label] = Label.OPERATOR

    status = serializers.CharField()
    id = serializers.IntegerField(allow_null=True)


class PaymentOut(OutSerializer):
    labels_of = "payment"

    id = serializers.UUIDField()
    username = serializers.CharField(source="user.username")
    provider = serializers.CharField()
    state = serializers.ChoiceField(Payment.State.choices)
    amount = UsdOut(source="amount_nano")
    refunded = UsdOut(source="refunded_nano")
    currency = serializers.CharField()
    entry_id = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)


class DisputeOut(OutSerializer):
    labels_of = "dispute"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.UUIDField()
    payment_id = serializers.UUIDField()
    provider_dispute_id = serializers.CharField()
    state = serializers.ChoiceField(PaymentDispute.State.choices)
    provider_state = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    amount = UsdOut(source="amount_nano")
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)


class CallRefundOut(OutSerializer):
    labels_of = "call_refund"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    call_id = serializers.UUIDField(source="request_id")
    amount = UsdOut(source="amount_nano")
    reason = serializers.CharField()
    by = serializers.CharField(source="actor.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class CallRefundIn(InSerializer):
    """Without ``amount`` all that is left of the charge. The same ``transaction_id`` asks once."""

    call_id = serializers.UUIDField()
    amount = UsdIn(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=255)
    evidence_url = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    transaction_id = serializers.UUIDField(required=False)


class ConversionOut(OutSerializer):
    """Amounts are decimal strings of their own currency."""

    labels_of = "conversion"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.UUIDField()
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    from_currency = serializers.CharField()
    to_currency = serializers.CharField()
    given = serializers.SerializerMethodField()
    received = serializers.SerializerMethodField()
    rounding = serializers.SerializerMethodField()
    rate_numerator = serializers.IntegerField()
    rate_denominator = serializers.IntegerField()
    reason = serializers.CharField()
    by = serializers.CharField(source="actor.username")
    created_at = serializers.DateTimeField()

    def get_given(self, row: CurrencyConversion) -> str:
        return decimal_usd(row.from_nano)

    def get_received(self, row: CurrencyConversion) -> str:
        return decimal_usd(row.to_nano)

    def get_rounding(self, row: CurrencyConversion) -> str:
        return decimal_usd(row.residue_nano)


class ConversionIn(InSerializer):
    """Out of the prepaid purse of one person or team. The rate is a fraction of two whole numbers."""

    user_id = serializers.IntegerField(min_value=1, required=False)
    group_id = serializers.IntegerField(min_value=1, required=False)
    from_currency = serializers.RegexField(r"^[A-Z]{3}$")
    to_currency = serializers.RegexField(r"^[A-Z]{3}$")
    amount = UsdIn()
    rate_numerator = serializers.IntegerField(min_value=1, max_value=10**15)
    rate_denominator = serializers.IntegerField(min_value=1, max_value=10**15)
    reason = serializers.CharField(max_length=255)
    evidence_url = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    transaction_id = serializers.UUIDField(required=False)


class DeskItemOut(OutSerializer):
    labels_of = "desk_item"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(DeskItem.Kind.choices)
    state = serializers.ChoiceField(DeskItem.State.choices)
    reason = serializers.CharField()
    call_id = serializers.UUIDField(source="request_id", allow_null=True)
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    amount = UsdOut(source="amount_nano")
    settled = UsdOut(source="settled_nano", allow_null=True)
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)


class DeskActIn(InSerializer):
    """``act``: settle charges it (``amount`` for less than all), write_off lets the operator bear it, ignore sets it aside."""

    act = serializers.ChoiceField([("settle", "settle"), ("write_off", "write off"), ("ignore", "ignore")])
    reason = serializers.CharField(max_length=255)
    amount = UsdIn(required=False, allow_null=True, default=None)
    user_id = serializers.IntegerField(min_value=1, required=False)
    group_id = serializers.IntegerField(min_value=1, required=False)


class AlertOut(OutSerializer):
    """A crossing that was told, or its recovery. What the numbers count depends on the kind."""

    labels_of = "alert"

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(AlertKind.choices)
    phase = serializers.ChoiceField(AlertEvent.Phase.choices)
    subject = serializers.CharField(allow_blank=True)
    threshold = serializers.IntegerField()
    value = serializers.IntegerField()
    fired_at = serializers.DateTimeField()


class AlertRuleOut(OutSerializer):
    """``thresholds`` are nano-USD for balances, per cent for limits, times the usual for odd spend, a count for the house."""

    labels_of = "alert_rule"

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(AlertKind.choices)
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    key_id = serializers.IntegerField(allow_null=True)
    thresholds = serializers.ListField(child=serializers.IntegerField())
    channels = serializers.ListField(child=serializers.ChoiceField(AlertRule.Channel.choices))
    is_enabled = serializers.BooleanField()
    pauses_key = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class AlertRuleChangeIn(InSerializer):
    """What is left out stays as it is. ``is_enabled`` false: nothing is told any more."""

    thresholds = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=2**62), max_length=50, required=False
    )
    channels = serializers.ListField(child=serializers.ChoiceField(AlertRule.Channel.choices), max_length=50, required=False)
    is_enabled = serializers.BooleanField(required=False)
    pauses_key = serializers.BooleanField(required=False)


class AlertRuleIn(AlertRuleChangeIn):
    """For oneself, or for a team one owns or a key one has; with ``of_house`` for the house. What is left out is as usual."""

    kind = serializers.ChoiceField(AlertKind.choices)
    team_id = serializers.IntegerField(min_value=1, required=False)
    key_id = serializers.IntegerField(min_value=1, required=False)
    of_house = serializers.BooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum((attrs["of_house"], "team_id" in attrs, "key_id" in attrs)) > 1:
            raise serializers.ValidationError({"team_id": ["Name one of team_id, key_id and of_house, or none of them."]})
        return attrs


class HookOut(OutSerializer):
    labels_of = "hook"

    id = serializers.IntegerField()
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    team = serializers.CharField(source="group.code", default=None, allow_null=True)
    purpose = serializers.CharField()
    url = serializers.CharField()
    secret_tail = serializers.CharField()
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class HookMadeOut(HookOut):
    """The answer that makes a web hook, with its signing secret in clear; it is told here and never again."""

    shown_once: ClassVar[frozenset[str]] = frozenset({"clear"})

    clear = serializers.CharField()


class HookIn(InSerializer):
    """One's own, unless ``team_id`` names a team one owns."""

    url = serializers.CharField(max_length=500)
    team_id = serializers.IntegerField(min_value=1, required=False)


class HookChangeIn(InSerializer):
    is_active = serializers.BooleanField()


class FenceOut(OutSerializer):
    """``highest_tier`` null: no fence. ``stopped`` are the open models it stops."""

    labels_of = "fence"
    audience: ClassVar[Label] = Label.OPERATOR

    group_id = serializers.IntegerField(source="group.pk")
    group_code = serializers.CharField(source="group.code")
    highest_tier = serializers.IntegerField(source="fence.highest_tier", default=None, allow_null=True)
    also_allowed = serializers.ListField(child=serializers.CharField(), source="fence.also_allowed", default=list)
    stopped = serializers.ListField(child=serializers.CharField())


class FenceIn(InSerializer):
    """Null takes the fence away."""

    highest_tier = serializers.IntegerField(min_value=1, max_value=HIGHEST_TIER, allow_null=True)
    also_allowed = serializers.ListField(child=serializers.CharField(max_length=255), default=list)


class PolicyOut(OutSerializer):
    labels_of = "policy"

    issuers = serializers.ChoiceField(AccessPolicy.Issuers.choices)
    team_money = serializers.ChoiceField(AccessPolicy.Money.choices)
    text = serializers.CharField(allow_blank=True)


class PolicyIn(InSerializer):
    """``named_issuers`` are user names."""

    issuers = serializers.ChoiceField(AccessPolicy.Issuers.choices)
    team_money = serializers.ChoiceField(AccessPolicy.Money.choices)
    text = serializers.CharField(max_length=5000, allow_blank=True, default="")
    named_issuers = serializers.ListField(child=serializers.CharField(max_length=191), default=list)
