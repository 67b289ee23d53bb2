"""People, groups, memberships and audit events on the wire."""

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.models import Group, GroupMembership, Role, User
from config.foundation.api_base import InSerializer, OutSerializer
from config.foundation.labels import Label


class MeOut(OutSerializer):
    labels_of = "person"

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.EmailField(allow_blank=True)
    display_name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(Role.choices)
    language = serializers.CharField()
    time_zone = serializers.CharField()
    billing_group = serializers.CharField(source="billing_group.code", default=None, allow_null=True)
    state = serializers.ChoiceField(User.State.choices)
    date_joined = serializers.DateTimeField()


class PersonOut(MeOut):
    audience: ClassVar[Label] = Label.SUPPORT

    last_login = serializers.DateTimeField(allow_null=True)


class MeIn(InSerializer):
    display_name = serializers.CharField(max_length=191, allow_blank=True, required=False)
    language = serializers.CharField(max_length=16, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)


class PersonIn(InSerializer):
    """A new person: no password, they set one by the mailed link."""

    username = serializers.CharField(max_length=191)
    email = serializers.EmailField(required=False, allow_blank=True, default="")
    display_name = serializers.CharField(max_length=191, required=False, allow_blank=True, default="")
    role = serializers.ChoiceField(Role.choices, default=Role.USER)
    language = serializers.CharField(max_length=16, default="en")
    time_zone = serializers.CharField(max_length=64, default="UTC")
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class PersonChangeIn(MeIn):
    role = serializers.ChoiceField(Role.choices, required=False)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class ReasonIn(InSerializer):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class GroupOut(OutSerializer):
    labels_of = "group"

    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(Group.Kind.choices)
    description = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField()
    member_count = serializers.IntegerField()


class GroupOperatorOut(GroupOut):
    audience: ClassVar[Label] = Label.OPERATOR

    usable_codes = serializers.ListField(child=serializers.CharField())


class GroupIn(InSerializer):
    name = serializers.CharField(max_length=191)
    code = serializers.CharField(max_length=191, required=False, allow_blank=True, default="")
    description = serializers.CharField(required=False, allow_blank=True, default="")


class GroupChangeIn(InSerializer):
    name = serializers.CharField(max_length=191)


class MembershipOut(OutSerializer):
    labels_of = "membership"

    user_id = serializers.IntegerField()
    username = serializers.CharField(source="user.username")
    team_role = serializers.ChoiceField(GroupMembership.TeamRole.choices)
    created_at = serializers.DateTimeField()


class MembershipIn(InSerializer):
    user_id = serializers.IntegerField(min_value=1)
    team_role = serializers.ChoiceField(GroupMembership.TeamRole.choices, default=GroupMembership.TeamRole.MEMBER)


class MembershipChangeIn(InSerializer):
    team_role = serializers.ChoiceField(GroupMembership.TeamRole.choices)


class AuditEventOut(OutSerializer):
    labels_of = "audit_event"
    audience: ClassVar[Label] = Label.OPERATOR

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor_name = serializers.CharField()
    action = serializers.CharField()
    object_type = serializers.CharField()
    object_id = serializers.CharField()
    object_label = serializers.CharField(allow_blank=True)
    before: Any = serializers.JSONField()
    after: Any = serializers.JSONField()
    reason = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)
