"""Sources, import runs, plans and batches on the wire."""

from typing import Any, ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer, UsdOut
from config.foundation.labels import Label
from migrations_center.models import ImportIssue, ImportRun, KeyChoice, Source, Wave, WaveMember


class SourceOut(OutSerializer):
    labels_of = "source"
    audience: ClassVar[Label] = Label.SUPPORT

    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    product = serializers.ChoiceField(Source.Product.choices)
    kind = serializers.ChoiceField(Source.Kind.choices)
    quota_per_unit = serializers.CharField()
    created_at = serializers.DateTimeField()


class ImportRunRowOut(OutSerializer):
    labels_of = "import_run"
    audience: ClassVar[Label] = Label.SUPPORT

    id = serializers.UUIDField()
    source: Any = serializers.CharField(source="source.code", default=None, allow_null=True)
    state = serializers.ChoiceField(ImportRun.State.choices)
    started_by = serializers.CharField(source="started_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)


class ImportRunOut(ImportRunRowOut):
    """``report`` has the shape that docs/migration-guide.md fixes."""

    report: Any = serializers.JSONField()
    progress: Any = serializers.JSONField()


class ImportRunOperatorOut(ImportRunOut):
    audience: ClassVar[Label] = Label.OPERATOR

    options: Any = serializers.JSONField()


class ImportIssueOut(OutSerializer):
    labels_of = "import_issue"
    audience: ClassVar[Label] = Label.SUPPORT

    kind = serializers.ChoiceField(ImportIssue.Kind.choices)
    table = serializers.CharField()
    row_id = serializers.CharField(allow_blank=True)
    label: Any = serializers.CharField(allow_blank=True)
    reason = serializers.CharField()
    detail: Any = serializers.JSONField()


class PlanOut(OutSerializer):
    labels_of = "plan"
    audience: ClassVar[Label] = Label.SUPPORT

    id = serializers.IntegerField()
    name = serializers.CharField()
    source: Any = serializers.CharField(source="source.code")
    created_at = serializers.DateTimeField()


class WaveOut(OutSerializer):
    labels_of = "wave"
    audience: ClassVar[Label] = Label.SUPPORT

    id = serializers.IntegerField()
    plan = serializers.IntegerField(source="plan_id")
    number = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(Wave.State.choices)
    planned_at = serializers.DateTimeField(allow_null=True)
    window_hours = serializers.IntegerField()
    observation_hours = serializers.IntegerField()
    switched_at = serializers.DateTimeField(allow_null=True)
    gone_back_at = serializers.DateTimeField(allow_null=True)
    member_count = serializers.IntegerField()


class WaveMemberOut(OutSerializer):
    """Opening = spent here + closed, once gone back."""

    labels_of = "wave_member"
    audience: ClassVar[Label] = Label.SUPPORT

    user_id = serializers.IntegerField()
    username = serializers.CharField(source="user.username")
    state = serializers.ChoiceField(WaveMember.State.choices)
    opening = UsdOut(source="opening_nano", allow_null=True)
    spent = UsdOut(source="spent_nano", allow_null=True)
    closed = UsdOut(source="closed_nano", allow_null=True)
    switched_at = serializers.DateTimeField(allow_null=True)
    back_at = serializers.DateTimeField(allow_null=True)


class WaveKeyOut(OutSerializer):
    """A key of a wave. ``adopted_at`` null: not seen on the new side; ``old_calls``: at the old side since the switch."""

    labels_of = "wave_key"
    audience: ClassVar[Label] = Label.SUPPORT

    key_id = serializers.IntegerField(source="key.pk")
    name = serializers.CharField(source="key.name")
    username = serializers.CharField()
    choice = serializers.ChoiceField(KeyChoice.Choice.choices)
    is_live = serializers.BooleanField()
    unconfirmed_relays = serializers.IntegerField()
    adopted_at = serializers.DateTimeField(allow_null=True)
    client = serializers.CharField()
    old_calls = serializers.IntegerField()


class WaveKeyChoiceIn(InSerializer):
    key_ids = serializers.ListField(child=serializers.IntegerField(min_value=1), min_length=1, max_length=1000)
    choice = serializers.ChoiceField(KeyChoice.Choice.choices)
    overlap_hours = serializers.IntegerField(min_value=0, max_value=720, default=72)
    reason = serializers.CharField(max_length=191, allow_blank=True, default="")


class WaveReasonIn(InSerializer):
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")
