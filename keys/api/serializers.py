"""API keys on the wire: the clear key is in the one answer that makes it, tails everywhere else."""

from typing import ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from keys.models import ApiKey, KeySecret


class KeySecretOut(OutSerializer):
    labels_of = "key_secret"

    id = serializers.IntegerField()
    tail = serializers.CharField()
    origin = serializers.ChoiceField(KeySecret.Origin.choices)
    created_at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class KeyOut(OutSerializer):
    """``model_names`` null: every model of the group; an empty list: none. ``networks`` empty: from anywhere."""

    labels_of = "key"

    id = serializers.IntegerField()
    name = serializers.CharField()
    purpose = serializers.ChoiceField(ApiKey.Purpose.choices)
    owner_id = serializers.IntegerField(allow_null=True)
    team_id = serializers.IntegerField(allow_null=True)
    member_id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(ApiKey.State.choices)
    state_reason = serializers.CharField(allow_blank=True)
    route = serializers.ChoiceField(ApiKey.Route.choices)
    model_names = serializers.ListField(child=serializers.CharField(), allow_null=True)
    networks = serializers.ListField(child=serializers.CharField())
    group_code = serializers.CharField(source="group.code", default=None, allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    secrets = KeySecretOut(source="secrets.all", many=True)


class KeyIssuedOut(KeyOut):
    """The answer that makes a secret, with the whole key in ``clear``: it is told here and never again."""

    shown_once: ClassVar[frozenset[str]] = frozenset({"clear"})

    clear = serializers.CharField()


class KeyIn(InSerializer):
    """A new key, of the person who asks unless ``team_id`` (or, for operators, ``owner_id``) says whose."""

    name = serializers.CharField(max_length=191)
    purpose = serializers.ChoiceField(ApiKey.Purpose.choices, default=ApiKey.Purpose.PRODUCTION)
    owner_id = serializers.IntegerField(min_value=1, required=False)
    team_id = serializers.IntegerField(min_value=1, required=False)
    member_id = serializers.IntegerField(min_value=1, required=False)
    model_names = serializers.ListField(child=serializers.CharField(), allow_null=True, default=None)
    networks = serializers.ListField(child=serializers.CharField(), default=list)
    expires_at = serializers.DateTimeField(allow_null=True, default=None)
    limit = UsdIn(required=False, allow_null=True, default=None)


class KeyChangeIn(InSerializer):
    name = serializers.CharField(max_length=191, required=False)
    purpose = serializers.ChoiceField(ApiKey.Purpose.choices, required=False)
    model_names = serializers.ListField(child=serializers.CharField(), allow_null=True, required=False)
    networks = serializers.ListField(child=serializers.CharField(), required=False)
    expires_at = serializers.DateTimeField(allow_null=True, required=False)
    member_id = serializers.IntegerField(min_value=1, allow_null=True, required=False)


class RotateIn(InSerializer):
    overlap_hours = serializers.IntegerField(min_value=0, max_value=720, default=24)


class KeyReasonIn(InSerializer):
    reason = serializers.CharField(max_length=191, allow_blank=True, default="")


class KeyEnableIn(InSerializer):
    """Nothing to say; an empty body."""


class KeyLimitOut(OutSerializer):
    """``limit`` null: as much as the payer's balance."""

    labels_of = "key_limit"

    limit = UsdOut(source="limit_nano", allow_null=True)
    spent = UsdOut(source="spent_nano")
    held = UsdOut(source="held_nano")


class KeyLimitIn(InSerializer):
    limit = UsdIn(allow_null=True)
