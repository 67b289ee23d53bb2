"""What programs send and read of creative tasks and templates."""

from typing import Any, ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer, UsdOut
from config.foundation.labels import Label
from gateway.models_tasks import MediaTask


class TaskOut(OutSerializer):
    """One task, as whoever made it sees it."""

    labels_of = "task"
    id = serializers.CharField(source="public_id")
    request_id = serializers.UUIDField(source="pk")
    kind = serializers.ChoiceField(MediaTask.Kind.choices)
    state = serializers.ChoiceField(MediaTask.State.choices)
    progress = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    model = serializers.CharField(source="asked_model")
    billed_model = serializers.CharField()
    endpoint = serializers.CharField()
    user_id = serializers.IntegerField(allow_null=True)
    team_id = serializers.IntegerField(allow_null=True)
    key_id = serializers.IntegerField(allow_null=True)
    key_tail = serializers.CharField()
    parameters = serializers.DictField()
    parameters_hash = serializers.CharField()
    reference_count = serializers.IntegerField()
    template_id = serializers.IntegerField(allow_null=True)
    template_number = serializers.IntegerField(allow_null=True)
    held = UsdOut(source="held_nano")
    cost = UsdOut(source="cost_nano")
    item_count = serializers.IntegerField()
    delivered_ms = serializers.IntegerField()
    delivered_size = serializers.CharField()
    failure_code = serializers.CharField()
    failure_reason = serializers.CharField()
    assets = serializers.ListField(child=serializers.DictField())
    assets_expire_at = serializers.DateTimeField(allow_null=True)


class TaskOperatorOut(TaskOut):
    """The same with the inner route."""

    audience: ClassVar[Label] = Label.OPERATOR
    upstream_id = serializers.IntegerField(allow_null=True)
    upstream_name = serializers.CharField()
    upstream_task_id = serializers.CharField()
    doubt = serializers.CharField()


class CallbackOut(OutSerializer):
    labels_of = "task_callback"
    id = serializers.UUIDField(source="pk")
    event_id = serializers.UUIDField(source="sent_id")
    kind = serializers.CharField()
    address = serializers.CharField()
    state = serializers.CharField()
    attempts = serializers.SerializerMethodField()

    def get_attempts(self, delivery: Any) -> list[dict[str, Any]]:
        return [
            {"at": one.at.isoformat(), "http_status": one.http_status, "duration_ms": one.duration_ms, "error": one.error}
            for one in delivery.tries.all()
        ]


class PreflightIn(InSerializer):
    model = serializers.CharField(max_length=255)
    parameters = serializers.DictField(required=False, default=dict)
    references = serializers.IntegerField(min_value=0, max_value=100, required=False, default=0)
    has_text = serializers.BooleanField(required=False, default=True)


class ProblemOut(OutSerializer):
    labels_of = "preflight_problem"
    field = serializers.CharField()
    allowed = serializers.CharField()


class VerdictOut(OutSerializer):
    labels_of = "preflight_verdict"
    name = serializers.CharField()
    is_described = serializers.BooleanField()
    is_accepted = serializers.BooleanField()
    problems = ProblemOut(many=True)


class PreflightOut(OutSerializer):
    labels_of = "preflight"
    model = serializers.CharField()
    is_accepted = serializers.BooleanField()
    targets = VerdictOut(many=True, source="verdicts")


class TemplateVersionOut(OutSerializer):
    labels_of = "task_template_version"
    number = serializers.IntegerField()
    model_name = serializers.CharField()
    parameters = serializers.DictField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", default="")


class TemplateOut(OutSerializer):
    labels_of = "task_template"
    id = serializers.IntegerField(source="pk")
    team_id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(MediaTask.Kind.choices)
    is_active = serializers.BooleanField()
    versions = TemplateVersionOut(many=True)


class TemplateVersionIn(InSerializer):
    model_name = serializers.CharField(max_length=255)
    parameters = serializers.DictField(required=False, default=dict)
    note = serializers.CharField(max_length=255, required=False, allow_blank=True, default="")


class TemplateIn(TemplateVersionIn):
    team_id = serializers.IntegerField(min_value=1)
    name = serializers.CharField(max_length=64)
