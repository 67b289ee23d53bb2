"""Balances, ledger lines, usage, calls and prices on the wire. Amounts are strings of US dollars."""

from typing import Any, ClassVar

from rest_framework import serializers

from billing.models import OutcomeRule, PriceBook, PriceRule, RequestLog
from billing.selectors import UsageDay
from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from config.foundation.labels import Label
from config.foundation.money import decimal_usd
from config.foundation.outcomes import Outcome


class PurseOut(OutSerializer):
    labels_of = "purse"

    id = serializers.IntegerField(source="account_id")
    kind = serializers.CharField()
    origin = serializers.CharField(allow_blank=True)
    balance = UsdOut(source="balance_nano")
    held = UsdOut(source="held_nano")
    credit_limit = UsdOut(source="credit_limit_nano")
    available = UsdOut(source="available_nano")
    is_spendable = serializers.BooleanField()


class BalanceOut(OutSerializer):
    """``total`` counts what cannot be spent here yet, ``available`` is what a call can hold now."""

    labels_of = "balance"

    user_id = serializers.IntegerField()
    total = UsdOut(source="total_nano")
    available = UsdOut(source="available_nano")
    held = UsdOut(source="held_nano")
    purses = PurseOut(many=True)


class LedgerLineOut(OutSerializer):
    labels_of = "ledger_line"

    entry_id = serializers.IntegerField()
    transaction_id = serializers.UUIDField()
    kind = serializers.CharField()
    purse_id = serializers.IntegerField(source="account_id")
    purse_kind = serializers.CharField()
    origin = serializers.CharField(allow_blank=True)
    amount = UsdOut(source="amount_nano")
    balance_after = UsdOut(source="balance_nano")
    booked_at = serializers.DateTimeField()
    effective_at = serializers.DateTimeField()
    reason = serializers.CharField(allow_blank=True)


class PostingOut(OutSerializer):
    labels_of = "posting"
    audience: ClassVar[Label] = Label.OPERATOR

    entry_id = serializers.IntegerField()
    transaction_id = serializers.UUIDField()
    kind = serializers.CharField()
    status = serializers.ChoiceField([("posted", "booked now"), ("repeated", "was booked before")])


class TopUpIn(InSerializer):
    """Money that came in, for one person or one team. The same ``transaction_id`` books once."""

    user_id = serializers.IntegerField(min_value=1, required=False)
    group_id = serializers.IntegerField(min_value=1, required=False)
    amount = UsdIn()
    reason = serializers.CharField(max_length=255)
    transaction_id = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("user_id" in attrs) == ("group_id" in attrs):
            raise serializers.ValidationError({"user_id": ["Name one person or one team."]})
        return attrs


class AdjustmentIn(InSerializer):
    """A correction to ask for: positive gives, negative takes. The same ``transaction_id`` asks once."""

    purse_id = serializers.IntegerField(min_value=1)
    amount = UsdIn()
    reason = serializers.CharField(max_length=255)
    evidence_url = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    transaction_id = serializers.UUIDField(required=False)


class CreditLimitIn(InSerializer):
    """How far calls may draw a purse below zero."""

    purse_id = serializers.IntegerField(min_value=1)
    limit = UsdIn()
    reason = serializers.CharField(max_length=255)
    evidence_url = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    transaction_id = serializers.UUIDField(required=False)


class ReversalIn(InSerializer):
    reason = serializers.CharField(max_length=255)
    evidence_url = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    allow_debt = serializers.BooleanField(default=False)
    transaction_id = serializers.UUIDField(required=False)


class RedeemIn(InSerializer):
    code = serializers.CharField(max_length=128, write_only=True)


class RedeemedOut(OutSerializer):
    labels_of = "redeemed"

    amount = UsdOut(source="amount_nano")
    purse_kind = serializers.CharField()


class UsageDayOut(OutSerializer):
    labels_of = "usage_day"

    day = serializers.DateField()
    call_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = UsdOut(source="cost_nano")
    by_model = serializers.SerializerMethodField()

    def get_by_model(self, day: UsageDay) -> dict[str, str]:
        return {name: decimal_usd(nano) for name, nano in day.by_model.items()}


class UsageOut(OutSerializer):
    """UTC days, oldest first; ``models`` are the dearest ones, "other" stands for the rest."""

    labels_of = "usage"

    user_id = serializers.IntegerField()
    days = UsageDayOut(many=True)
    models = serializers.ListField(child=serializers.CharField())
    total = UsageDayOut()


class RepeatOut(OutSerializer):
    """Calls that are the same call again, as one case (R041): the sum charged, and how many gave no result. ``told_by``: the
    body, or the figures, of calls of an old gateway that carry no body. ``request_ids``: the newest first."""

    labels_of = "repeat"

    count = serializers.IntegerField()
    cost = UsdOut(source="cost_nano")
    failed_count = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    told_by = serializers.ChoiceField([("body", "the same body"), ("figures", "the same figures")])
    request_ids = serializers.ListField(child=serializers.UUIDField(), source="ids")


class CallRowOut(OutSerializer):
    """A call in a list: without the arithmetic of its price. ``repeat``: the case it stands for, in a folded list."""

    labels_of = "call"

    id = serializers.UUIDField()
    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    first_token_ms = serializers.IntegerField(allow_null=True)
    key_id = serializers.IntegerField(allow_null=True)
    key_name = serializers.CharField(allow_blank=True)
    key_tail = serializers.CharField(allow_blank=True)
    endpoint = serializers.CharField(allow_blank=True)
    is_stream = serializers.BooleanField()
    asked_model = serializers.CharField(allow_blank=True)
    billed_model = serializers.CharField(allow_blank=True)
    served_model = serializers.CharField(allow_blank=True)
    outcome = serializers.ChoiceField(Outcome.choices)
    http_status = serializers.IntegerField()
    error_code = serializers.CharField(allow_blank=True)
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    modality = serializers.CharField()
    audio_input_tokens = serializers.IntegerField()
    audio_output_tokens = serializers.IntegerField()
    image_count = serializers.IntegerField()
    media_ms = serializers.IntegerField()
    character_count = serializers.IntegerField()
    media_size = serializers.CharField(allow_blank=True)
    media_quality = serializers.CharField(allow_blank=True)
    usage_source = serializers.ChoiceField(RequestLog.UsageSource.choices)
    held = UsdOut(source="held_nano")
    cost = UsdOut(source="cost_nano")
    client_family = serializers.CharField(allow_blank=True)
    client_network = serializers.CharField(allow_blank=True)
    origin = serializers.ChoiceField(RequestLog.Origin.choices)
    repeat = RepeatOut(allow_null=True, default=None)


class CallRowSupportOut(CallRowOut):
    audience: ClassVar[Label] = Label.SUPPORT

    user_id = serializers.IntegerField(allow_null=True)
    username = serializers.CharField(source="user.username", default=None, allow_null=True)
    group_code = serializers.CharField(allow_blank=True)


class CallOut(CallRowOut):
    price_detail: Any = serializers.JSONField()


class CallSupportOut(CallRowSupportOut):
    price_detail: Any = serializers.JSONField()


class CallOperatorOut(CallSupportOut):
    audience: ClassVar[Label] = Label.OPERATOR

    route = serializers.CharField()
    attempts: Any = serializers.JSONField()
    price_version_id = serializers.IntegerField(allow_null=True)
    source_ref = serializers.CharField(allow_blank=True)
    fallback_rule_id = serializers.IntegerField(allow_null=True)


class RepeatSupportOut(RepeatOut):
    """A case with its calls, the newest first; whose they are only support is told."""

    audience: ClassVar[Label] = Label.SUPPORT

    calls = CallRowSupportOut(many=True)


class PriceOut(OutSerializer):
    """What one million tokens, or one call, costs the person who asks; null: no price, so it cannot be called yet. ``others``:
    an image of a size and quality, a second of video or sound, a million characters, and tokens of special kinds."""

    labels_of = "price"

    model_name = serializers.CharField(source="model.name")
    basis = serializers.ChoiceField([*PriceRule.Basis.choices, ("", "no price")])
    input = UsdOut(source="input_nano", allow_null=True)
    cached_input = UsdOut(source="cached_nano", allow_null=True)
    output = UsdOut(source="output_nano", allow_null=True)
    per_call = UsdOut(source="call_nano", allow_null=True)
    others = serializers.DictField(child=UsdOut())


class OutcomeRuleOut(OutSerializer):
    """What the person who asks pays for a call that ended so; ``counted``: when the upstream reported no usage."""

    labels_of = "outcome_rule"

    event = serializers.ChoiceField(OutcomeRule.Event.choices)
    reported = serializers.ChoiceField(OutcomeRule.Action.choices)
    counted = serializers.ChoiceField(OutcomeRule.Action.choices)


class PriceBookOut(OutSerializer):
    labels_of = "price_book"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    formula = serializers.ChoiceField(PriceBook.Formula.choices)
    quota_per_unit = serializers.DecimalField(max_digits=24, decimal_places=6)
    is_default = serializers.BooleanField()


class PriceRuleOut(OutSerializer):
    """Prices per 1,000,000 units, or per call or item."""

    labels_of = "price_rule"
    audience: ClassVar[Label] = Label.OPERATOR

    model_name = serializers.CharField()
    basis = serializers.ChoiceField(PriceRule.Basis.choices)
    input = UsdOut(source="input_nano")
    cached_input = UsdOut(source="cached_nano", allow_null=True)
    cache_write = UsdOut(source="cache_write_nano", allow_null=True)
    output = UsdOut(source="output_nano")
    per_call = UsdOut(source="call_nano")
    per_item = UsdOut(source="item_nano")
    minimum = UsdOut(source="minimum_nano")
    reasoning = UsdOut(source="reasoning_nano", allow_null=True)
    audio_input = UsdOut(source="audio_input_nano", allow_null=True)
    audio_output = UsdOut(source="audio_output_nano", allow_null=True)
    characters = UsdOut(source="character_nano", allow_null=True)
    units = serializers.DictField(source="unit_prices", child=UsdOut())
    rounding = serializers.ChoiceField(PriceRule.Rounding.choices)
    rounded_to = UsdOut(source="rounding_step_nano")
    source_figures: Any = serializers.DictField()


class MultiplierOut(OutSerializer):
    labels_of = "multiplier"
    audience: ClassVar[Label] = Label.OPERATOR

    group_code = serializers.CharField()
    payer_group_code = serializers.CharField(allow_blank=True)
    multiplier = serializers.DecimalField(max_digits=24, decimal_places=12)


class PriceVersionRowOut(OutSerializer):
    labels_of = "price_version"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    book = serializers.CharField(source="book.code")
    number = serializers.IntegerField()
    valid_from = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)


class PriceVersionOut(PriceVersionRowOut):
    rules = PriceRuleOut(many=True)
    multipliers = MultiplierOut(many=True)


class PriceRuleIn(InSerializer):
    model_name = serializers.CharField(max_length=255)
    basis = serializers.ChoiceField(PriceRule.Basis.choices, default=PriceRule.Basis.TOKEN)
    input = UsdIn(default=0)
    cached_input = UsdIn(allow_null=True, default=None)
    cache_write = UsdIn(allow_null=True, default=None)
    output = UsdIn(default=0)
    per_call = UsdIn(default=0)
    per_item = UsdIn(default=0)
    minimum = UsdIn(default=0)
    reasoning = UsdIn(allow_null=True, default=None)
    audio_input = UsdIn(allow_null=True, default=None)
    audio_output = UsdIn(allow_null=True, default=None)
    characters = UsdIn(allow_null=True, default=None)
    units = serializers.DictField(child=UsdIn(), default=dict)
    rounding = serializers.ChoiceField(PriceRule.Rounding.choices, default=PriceRule.Rounding.HALF_EVEN)
    rounded_to = UsdIn(default=1)
    source_figures: Any = serializers.DictField(default=dict)


class MultiplierIn(InSerializer):
    group_code = serializers.CharField(max_length=191)
    payer_group_code = serializers.CharField(max_length=191, allow_blank=True, default="")
    multiplier = serializers.DecimalField(max_digits=24, decimal_places=12, min_value=0)


class PriceVersionIn(InSerializer):
    """A whole version: every price and multiplier that holds from ``valid_from`` (now, if left out)."""

    book = serializers.SlugRelatedField(slug_field="code", queryset=PriceBook.objects.all())
    rules = PriceRuleIn(many=True)
    multipliers = MultiplierIn(many=True, default=list)
    note = serializers.CharField(max_length=2000, allow_blank=True, default="")
    valid_from = serializers.DateTimeField(required=False)
