"""What this app says on the wire."""

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer, UsdOut
from config.foundation.labels import Label
from gateway.contract.endpoints import CHAT, ENDPOINTS
from gateway.models import TrialItem, TrialList


class AccessIn(InSerializer):
    """A call as somebody would make it. ``at`` missing: now, balance and limits included."""

    key_id = serializers.IntegerField(min_value=1)
    model = serializers.CharField(max_length=255)
    address = serializers.IPAddressField(required=False, default="")
    at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    path = serializers.ChoiceField([(path, path) for path in ENDPOINTS], required=False, default=CHAT.path)
    max_tokens = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=0, max_value=10_000_000)


class TrialItemOut(OutSerializer):
    """One thing to be shown; ``cause`` says why a check did not show it."""

    labels_of = "trial_item"

    code = serializers.ChoiceField(TrialItem.Code.choices)
    state = serializers.ChoiceField(TrialItem.State.choices)
    cause = serializers.CharField(allow_blank=True)
    error_code = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)
    checked_at = serializers.DateTimeField(allow_null=True)


class TrialOut(OutSerializer):
    """A project on trial, or in production since ``produced_at``."""

    labels_of = "trial"

    team_id = serializers.IntegerField()
    kind = serializers.ChoiceField(TrialList.Kind.choices)
    state = serializers.ChoiceField(TrialList.State.choices)
    check_state = serializers.ChoiceField(TrialList.Check.choices)
    produced_at = serializers.DateTimeField(allow_null=True)
    items = TrialItemOut(source="items.all", many=True)


class TrialIn(InSerializer):
    team_id = serializers.IntegerField(min_value=1)
    kind = serializers.ChoiceField(TrialList.Kind.choices)


class TrialCheckIn(InSerializer):
    key_id = serializers.IntegerField(min_value=1)
    model = serializers.CharField(max_length=255)
    resolution = serializers.CharField(max_length=16, default="1024x1024")
    wide_size = serializers.CharField(max_length=16, default="1536x1024")


class TrialReasonIn(InSerializer):
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class AccessRecordOut(OutSerializer):
    """The record a rule was read from; ``url`` empty when no page shows it to the asker."""

    labels_of = "access_record"
    audience = Label.SUPPORT

    kind = serializers.CharField()
    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    changed_at = serializers.DateTimeField(allow_null=True)


class AccessChangeOut(OutSerializer):
    """Something with a say in the decision that was changed after the time that was asked about."""

    labels_of = "access_change"
    audience = Label.SUPPORT

    at = serializers.DateTimeField()
    action = serializers.CharField()
    object = serializers.CharField()
    by = serializers.CharField()


class AccessOut(OutSerializer):
    """``rule`` is the stable id of the rule that decided. ``held`` and ``available`` null: money was not asked.

    A question about a past time (``is_past``) is decided by the records of now. ``may_have_differed``: some of them changed
    since (``changed_since``, the newest 20), so the verdict then may have been another one; ``has_rule_changed``: the very
    record that decided did."""

    labels_of = "access"
    audience = Label.SUPPORT

    verdict = serializers.ChoiceField([("allow", "allow"), ("deny", "deny")])
    rule = serializers.CharField()
    http_status = serializers.IntegerField()
    error_code = serializers.CharField()
    message = serializers.CharField()
    route = serializers.CharField()
    key_id = serializers.IntegerField()
    asked_model = serializers.CharField()
    billed_model = serializers.CharField()
    group_code = serializers.CharField()
    record = AccessRecordOut(allow_null=True)
    at = serializers.DateTimeField()
    read_at = serializers.DateTimeField()
    config_version = serializers.IntegerField()
    relays_behind = serializers.IntegerField()
    looked_at_money = serializers.BooleanField()
    is_past = serializers.BooleanField()
    has_rule_changed = serializers.BooleanField()
    may_have_differed = serializers.BooleanField()
    changed_since = AccessChangeOut(many=True)
    held = UsdOut(allow_null=True)
    available = UsdOut(allow_null=True)
