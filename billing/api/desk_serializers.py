"""Codes, approvals and what finance does, on the wire. Amounts are strings of US dollars."""

from typing import Any, ClassVar

from rest_framework import serializers

from billing.models import AdjustmentRequest, CodeBatch, RedemptionCode
from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from config.foundation.labels import Label

EXPIRY = "The expiry ends the code; what was redeemed before stays in the purse without a term."


class CodeBatchIn(InSerializer):
    """Codes made in one act. The same ``transaction_id`` makes them once."""

    name = serializers.CharField(max_length=120)
    count = serializers.IntegerField(min_value=1, max_value=10_000)
    amount = UsdIn()
    purse_kind = serializers.ChoiceField(CodeBatch.PurseKind.choices)
    prefix = serializers.RegexField(r"^[A-Za-z0-9]{0,12}$", required=False, default="", allow_blank=True)
    expires_at = serializers.DateTimeField(required=False, default=None, allow_null=True, help_text=EXPIRY)
    max_per_person = serializers.IntegerField(min_value=1, max_value=1000, required=False, default=None, allow_null=True)
    note = serializers.CharField(max_length=255)
    transaction_id = serializers.UUIDField(required=False)


class CodeStateOut(OutSerializer):
    labels_of = "code_state"
    audience: ClassVar[Label] = Label.OPERATOR

    state = serializers.ChoiceField(RedemptionCode.State.choices)
    count = serializers.IntegerField()
    amount = UsdOut(source="nano")


class CodeBatchOut(OutSerializer):
    """``ends`` says what the expiry ends."""

    labels_of = "code_batch"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.UUIDField(source="batch.pk")
    name = serializers.CharField(source="batch.name")
    purse_kind = serializers.ChoiceField(CodeBatch.PurseKind.choices, source="batch.purse_kind")
    amount = UsdOut(source="batch.amount_nano")
    code_count = serializers.IntegerField(source="batch.code_count")
    expires_at = serializers.DateTimeField(source="batch.expires_at", allow_null=True)
    ends = serializers.SerializerMethodField()
    max_per_person = serializers.IntegerField(source="batch.max_per_person", allow_null=True)
    note = serializers.CharField(source="batch.note", allow_blank=True)
    created_at = serializers.DateTimeField(source="batch.created_at")
    created_by = serializers.CharField(source="batch.created_by.username")
    exported_at = serializers.DateTimeField(source="batch.exported_at", allow_null=True)
    states = CodeStateOut(many=True)

    def get_ends(self, _line: Any) -> str:
        return "code"


class ClearCodesOut(OutSerializer):
    """The clear codes, in the one answer that takes them."""

    labels_of = "code_batch"
    audience: ClassVar[Label] = Label.OPERATOR
    shown_once: ClassVar[frozenset[str]] = frozenset({"codes"})

    id = serializers.UUIDField()
    codes = serializers.ListField(child=serializers.CharField())


class CodeOut(OutSerializer):
    labels_of = "code"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    tail = serializers.CharField()
    state = serializers.ChoiceField(RedemptionCode.State.choices)
    amount = UsdOut(source="amount_nano")
    purse_kind = serializers.ChoiceField(CodeBatch.PurseKind.choices)
    used_at = serializers.DateTimeField(allow_null=True)
    used_by = serializers.CharField(source="used_by.username", default=None, allow_null=True)


class CodesChangeIn(InSerializer):
    """Which codes (all of the batch when left out), and why."""

    reason = serializers.CharField(max_length=255)
    code_ids = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False, max_length=1000)


class CodesChangedOut(OutSerializer):
    labels_of = "codes_changed"
    audience: ClassVar[Label] = Label.OPERATOR

    count = serializers.IntegerField()


class RevalueIn(InSerializer):
    """Another value for open codes. With ``dry_run`` nothing is written; without, the numbers of the dry run are repeated."""

    amount = UsdIn()
    reason = serializers.CharField(max_length=255)
    dry_run = serializers.BooleanField(default=True)
    expected_count = serializers.IntegerField(min_value=0, required=False)
    expected_difference = UsdIn(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["dry_run"] and not {"expected_count", "expected_difference"} <= set(attrs):
            raise serializers.ValidationError({"expected_count": ["Repeat the numbers of the dry run."]})
        return attrs


class RevaluationOut(OutSerializer):
    """``request_id`` names the request when a second person has to approve it."""

    labels_of = "revaluation"
    audience: ClassVar[Label] = Label.OPERATOR

    count = serializers.IntegerField()
    paused_count = serializers.IntegerField()
    old_total = UsdOut(source="old_nano")
    new_total = UsdOut(source="new_nano")
    difference = UsdOut(source="difference_nano")
    is_done = serializers.BooleanField()
    request_id = serializers.IntegerField(allow_null=True)


class ApprovalOut(OutSerializer):
    labels_of = "approval"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(AdjustmentRequest.Kind.choices)
    state = serializers.ChoiceField(AdjustmentRequest.State.choices)
    amount = UsdOut(source="amount_nano")
    currency = serializers.CharField()
    purse_id = serializers.IntegerField(allow_null=True)
    entry_id = serializers.IntegerField(allow_null=True)
    batch_id = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()
    evidence_url = serializers.CharField(allow_blank=True)
    requested_by = serializers.CharField(source="requested_by.username")
    requested_at = serializers.DateTimeField()
    is_alone = serializers.BooleanField()
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_note = serializers.CharField(allow_blank=True)
    by_override = serializers.IntegerField(source="override_id", allow_null=True)
    transaction_id = serializers.UUIDField()


class DecisionIn(InSerializer):
    note = serializers.CharField(max_length=255, allow_blank=True, default="")
