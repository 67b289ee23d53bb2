"""API keys for programs."""

from typing import Any, ClassVar

from django.db import transaction
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from accounts import selectors as people
from accounts.models import Group, User
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput, NotFound
from keys import allowance, selectors, services, services_policy
from keys.api.filters import KeyFilter
from keys.api.serializers import (
    KeyChangeIn,
    KeyEnableIn,
    KeyIn,
    KeyIssuedOut,
    KeyLimitIn,
    KeyLimitOut,
    KeyOut,
    KeyReasonIn,
    RotateIn,
)
from keys.models import ApiKey, UseProfile
from keys.selectors_profiles import profile_for
from keys.services_profiles import bind_key


class KeyViewSet(PortalViewSet):
    """One's own keys and those of one's teams; operators and support reach every key by its number or with ``all=true``."""

    queryset = ApiKey.objects.none()
    serializer_class = KeyOut
    lookup_value_regex = r"\d+"
    filter_backends = (DjangoFilterBackend,)
    filterset_class = KeyFilter
    rights: ClassVar = dict.fromkeys(
        ("list", "retrieve", "create", "partial_update", "rotate", "revoke", "disable", "enable", "limit", "set_limit"), ""
    )

    @extend_schema(
        parameters=[OpenApiParameter("all", bool, description="Every key, for those with the right to see keys.")],
        responses=KeyOut(many=True),
    )
    def list(self, request: Request) -> Response:
        everything = request.query_params.get("all", "").lower() in ("1", "true")
        keys = selectors.keys_seen_by(self.actor) if everything else selectors.keys_for(self.actor)
        return self.page_of(self.filter_queryset(keys.select_related("owner", "team", "group", "profile")), KeyOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(KeyOut(self._key(pk)).data)

    @extend_schema(request=KeyIn, responses={201: KeyIssuedOut})
    def create(self, request: Request) -> Response:
        given = self.given(KeyIn)
        services_policy.require_issuer(self.actor)
        return self._create(given)

    @staticmethod
    def _member(team: Group | None, member_id: int) -> User:
        """A member of the team a key is for; anybody else is not found, whether they exist or not."""
        seat = team.memberships.filter(user_id=member_id).select_related("user").first() if team else None
        if seat is None:
            raise NotFound
        return seat.user

    @transaction.atomic
    def _create(self, given: dict[str, Any]) -> Response:
        limit_nano, profile = given.pop("limit"), self._profile(given.pop("profile_id"))
        team_id, owner_id = given.pop("team_id", None), given.pop("owner_id", None)
        team = self._team(team_id) if team_id else None
        owner = people.person_for(self.actor, owner_id) if owner_id else None
        member_id = given.pop("member_id", None)
        member = self._member(team, member_id) if member_id else None
        if team is None and owner is None:
            owner = self.actor
        key, clear = services.issue_key(actor=self.actor, owner=owner, team=team, member=member, **given)
        if profile is not None:
            if key.model_names is not None:
                raise InvalidInput("Give model_names or profile_id, not both.", field="profile_id")
            bind_key(actor=self.actor, key=key, profile=profile)
        if limit_nano is not None:
            allowance.set_limit(actor=self.actor, key=key, limit_nano=limit_nano)
        return self._issued(key, clear, HTTP_201_CREATED)

    @transaction.atomic
    @extend_schema(request=KeyChangeIn, responses=KeyOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        given, key = self.given(KeyChangeIn), self._key(pk)
        if "name" in given or "purpose" in given:
            services.rename_key(actor=self.actor, key=key, name=given.get("name", key.name), purpose=given.get("purpose"))
        if "member_id" in given:
            member = self._member(key.team, given["member_id"]) if given["member_id"] else None
            services.set_key_member(actor=self.actor, key=key, member=member)
        if "profile_id" in given:
            bind_key(actor=self.actor, key=key, profile=self._profile(given["profile_id"]))
        limits = {name: given.get(name, getattr(key, name)) for name in ("model_names", "networks", "expires_at")}
        if set(limits) & set(given):
            services.set_key_limits(actor=self.actor, key=key, **limits)
        return Response(KeyOut(key).data)

    @extend_schema(request=RotateIn, responses=KeyIssuedOut)
    @action(methods=["post"], detail=True)
    def rotate(self, request: Request, pk: str) -> Response:
        """A new secret; the ones so far end after the overlap."""
        key = self._key(pk)
        clear = services.rotate_key(actor=self.actor, key=key, **self.given(RotateIn))
        return self._issued(key, clear)

    @extend_schema(request=KeyReasonIn, responses=KeyOut)
    @action(methods=["post"], detail=True)
    def revoke(self, request: Request, pk: str) -> Response:
        """End a key for good."""
        services.revoke_key(actor=self.actor, key=self._key(pk), **self.given(KeyReasonIn))
        return Response(KeyOut(self._key(pk)).data)

    @extend_schema(request=KeyReasonIn, responses=KeyOut)
    @action(methods=["post"], detail=True)
    def disable(self, request: Request, pk: str) -> Response:
        services.disable_key(actor=self.actor, key=self._key(pk), **self.given(KeyReasonIn))
        return Response(KeyOut(self._key(pk)).data)

    @extend_schema(request=KeyEnableIn, responses=KeyOut)
    @action(methods=["post"], detail=True)
    def enable(self, request: Request, pk: str) -> Response:
        self.given(KeyEnableIn)
        services.enable_key(actor=self.actor, key=self._key(pk))
        return Response(KeyOut(self._key(pk)).data)

    @extend_schema(responses=KeyLimitOut)
    @action(methods=["get"], detail=True)
    def limit(self, request: Request, pk: str) -> Response:
        """What the key may spend in all, and has spent."""
        return self._limit(self._key(pk))

    @extend_schema(request=KeyLimitIn, responses=KeyLimitOut, operation_id="keys_limit_update")
    @limit.mapping.put
    def set_limit(self, request: Request, pk: str) -> Response:
        key = self._key(pk)
        allowance.set_limit(actor=self.actor, key=key, limit_nano=self.given(KeyLimitIn)["limit"])
        return self._limit(key)

    def _key(self, pk: str) -> ApiKey:
        return selectors.key_for(self.actor, number_in(pk))

    def _profile(self, profile_id: int | None) -> UseProfile | None:
        return profile_for(self.actor, profile_id) if profile_id else None

    def _team(self, team_id: int) -> Group:
        team = people.teams_for(self.actor).filter(pk=team_id).first()
        if team is None:
            raise NotFound
        return team

    def _limit(self, key: ApiKey) -> Response:
        return Response(KeyLimitOut(allowance.read([key.pk]).get(key.pk, allowance.Allowance())).data)

    def _issued(self, key: ApiKey, clear: str, status: int = 200) -> Response:
        fresh: Any = self._key(str(key.pk))
        fresh.clear = clear
        answer = Response(KeyIssuedOut(fresh).data, status=status)
        # The one answer with a whole key is not for any cache.
        answer["Cache-Control"] = "no-store"
        return answer
