"""API keys on the wire: the clear key is in the one answer that makes it, tails everywhere else."""

from typing import ClassVar

from rest_framework import serializers

from config.foundation.api_base import InSerializer, OutSerializer, UsdIn, UsdOut
from keys.models import ApiKey, KeySecret, UseProfile
from keys.profile_parameters import EFFORTS


class KeySecretOut(OutSerializer):
    labels_of = "key_secret"

    id = serializers.IntegerField()
    tail = serializers.CharField()
    origin = serializers.ChoiceField(KeySecret.Origin.choices)
    created_at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class KeyOut(OutSerializer):
    """``model_names`` null: every model of the group, or, with ``profile_id``, those of the use profile; an empty list: none.
    ``networks`` empty: from anywhere."""

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
    profile_id = serializers.IntegerField(allow_null=True)
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
    profile_id = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    networks = serializers.ListField(child=serializers.CharField(), default=list)
    expires_at = serializers.DateTimeField(allow_null=True, default=None)
    limit = UsdIn(required=False, allow_null=True, default=None)


class KeyChangeIn(InSerializer):
    name = serializers.CharField(max_length=191, required=False)
    purpose = serializers.ChoiceField(ApiKey.Purpose.choices, required=False)
    model_names = serializers.ListField(child=serializers.CharField(), allow_null=True, required=False)
    profile_id = serializers.IntegerField(min_value=1, allow_null=True, required=False)
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


class ProfileOut(OutSerializer):
    """A use profile. Clients send ``alias`` as the model; ``team_id`` null: open to every key."""

    labels_of = "use_profile"

    id = serializers.IntegerField()
    team_id = serializers.IntegerField(allow_null=True)
    use = serializers.ChoiceField(UseProfile.Use.choices)
    name = serializers.CharField()
    alias = serializers.CharField()
    default_model = serializers.CharField()
    model_names = serializers.ListField(child=serializers.CharField())
    parameters = serializers.DictField()
    key_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class ProfileParametersIn(InSerializer):
    """What is filled in where a request leaves it out; null or left out: nothing."""

    max_output = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True)
    temperature = serializers.FloatField(min_value=0, max_value=2, required=False, allow_null=True)
    top_p = serializers.FloatField(min_value=0, max_value=1, required=False, allow_null=True)
    effort = serializers.ChoiceField(EFFORTS, required=False, allow_null=True)
    size = serializers.CharField(max_length=32, required=False, allow_null=True)
    quality = serializers.CharField(max_length=32, required=False, allow_null=True)


class ProfileIn(InSerializer):
    """A new use profile of a team one owns, or (null, for operators) of the house."""

    team_id = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    use = serializers.ChoiceField(UseProfile.Use.choices)
    name = serializers.CharField(max_length=128)
    alias = serializers.CharField(max_length=64)
    default_model = serializers.CharField(max_length=255)
    model_names = serializers.ListField(child=serializers.CharField(max_length=255), default=list, max_length=200)
    parameters = ProfileParametersIn(default=dict)


class ProfileChangeIn(InSerializer):
    """What is left out stays; ``model_names`` and ``parameters`` are replaced as a whole."""

    use = serializers.ChoiceField(UseProfile.Use.choices, required=False)
    name = serializers.CharField(max_length=128, required=False)
    alias = serializers.CharField(max_length=64, required=False)
    default_model = serializers.CharField(max_length=255, required=False)
    model_names = serializers.ListField(child=serializers.CharField(max_length=255), required=False, max_length=200)
    parameters = ProfileParametersIn(required=False)
