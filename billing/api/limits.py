"""Limits of keys, people, teams and members for programs."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors as people
from accounts.models import Group
from billing.selectors.limit_lines import LimitLine, own_lines
from billing.services.limits import Limits, set_limits
from config.foundation.api_base import InSerializer, OutSerializer, PortalViewSet, UsdIn
from config.foundation.errors import InvalidInput, NotFound
from config.foundation.money import decimal_usd
from keys.selectors import key_for
from keys.services_limits import CallFigures, Subject

WHOSE = [
    OpenApiParameter("key_id", int, description="The limits of a key."),
    OpenApiParameter("user_id", int, description="Of a person; with group_id, of a member of that team."),
    OpenApiParameter("group_id", int, description="Of a group as a whole."),
]


class LimitLineOut(OutSerializer):
    """One limit. ``limit``, ``used``, ``held`` and ``left`` are US dollars where ``unit`` is "usd", whole numbers where it is
    "count". ``used`` and ``left`` null: not known just now. ``resets_at`` null: never by itself. Every limit stops:
    ``refusal`` is the status and code a call gets."""

    labels_of = "limit"

    of = serializers.CharField(source="scope")
    kind = serializers.CharField()
    unit = serializers.CharField()
    limit = serializers.SerializerMethodField()
    used = serializers.SerializerMethodField()
    held = serializers.SerializerMethodField()
    left = serializers.SerializerMethodField()
    resets_at = serializers.DateTimeField(allow_null=True)
    time_zone = serializers.CharField()
    refusal = serializers.CharField()

    def get_limit(self, line: LimitLine) -> str:
        return _figure(line, line.limit) or ""

    def get_used(self, line: LimitLine) -> str | None:
        return _figure(line, line.used)

    def get_held(self, line: LimitLine) -> str:
        return _figure(line, line.held) or ""

    def get_left(self, line: LimitLine) -> str | None:
        return _figure(line, line.left)


class LimitsIn(InSerializer):
    """Every limit of one subject; a limit that is left out or null is taken away."""

    key_id = serializers.IntegerField(min_value=1, required=False)
    user_id = serializers.IntegerField(min_value=1, required=False)
    group_id = serializers.IntegerField(min_value=1, required=False)
    total = UsdIn(allow_null=True, default=None)
    monthly = UsdIn(allow_null=True, default=None)
    daily = UsdIn(allow_null=True, default=None)
    time_zone = serializers.CharField(max_length=64, default="")
    requests_per_minute = serializers.IntegerField(allow_null=True, default=None)
    tokens_per_minute = serializers.IntegerField(allow_null=True, default=None)
    parallel_calls = serializers.IntegerField(allow_null=True, default=None)


class LimitViewSet(PortalViewSet):
    """What may stop the calls of a key, a person, a group or a member."""

    rights: ClassVar = {"retrieve": "", "update": ""}

    @extend_schema(parameters=WHOSE, responses=LimitLineOut(many=True))
    def retrieve(self, request: Request) -> Response:
        return self._answer(self._subject({name: self.number_of(name) for name in ("key_id", "user_id", "group_id")}))

    @extend_schema(request=LimitsIn, responses=LimitLineOut(many=True))
    def update(self, request: Request) -> Response:
        given = self.given(LimitsIn)
        subject = self._subject(given)
        calls = CallFigures(given["requests_per_minute"], given["tokens_per_minute"], given["parallel_calls"])
        limits = Limits(given["total"], given["monthly"], given["daily"], given["time_zone"], calls)
        set_limits(actor=self.actor, subject=subject, limits=limits)
        return self._answer(subject)

    def _subject(self, given: dict[str, Any]) -> Subject:
        """The one it is about, as far as the actor may see it; oneself when nothing is said."""
        key_id, user_id, group_id = given.get("key_id"), given.get("user_id"), given.get("group_id")
        if key_id and (user_id or group_id):
            raise InvalidInput("Give key_id, or user_id, or group_id, or user_id and group_id.")
        if key_id:
            return Subject(key=key_for(self.actor, key_id))
        if group_id and user_id:
            team = people.team_for(self.actor, group_id)
            return Subject(user=people.member_of(self.actor, team, user_id), group=team)
        if group_id:
            return Subject(group=self._group(group_id))
        return Subject(user=people.person_for(self.actor, user_id) if user_id else self.actor)

    def _group(self, group_id: int) -> Group:
        group = people.groups_for(self.actor).filter(pk=group_id).first()
        if group is None:
            raise NotFound
        return group

    def _answer(self, subject: Subject) -> Response:
        lines = own_lines(self.actor, key=subject.key, user=subject.user, group=subject.group)
        return Response(LimitLineOut(lines, many=True).data)


def _figure(line: LimitLine, value: int | None) -> str | None:
    if value is None:
        return None
    return decimal_usd(value) if line.unit == "usd" else str(value)
