"""Alerts, web hooks, fences and the policy for programs, through the services of the pages."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from accounts.models import User
from billing.api.finance_serializers import (
    AlertOut,
    FenceIn,
    FenceOut,
    HookChangeIn,
    HookIn,
    HookMadeOut,
    HookOut,
    PolicyIn,
    PolicyOut,
)
from billing.models import AlertEvent, AlertKind, HookEndpoint
from billing.selectors import alerts as watched
from billing.selectors import fences as fenced
from billing.services import fences, hooks
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput, NotFound
from keys.selectors_policy import policy_for
from keys.services_policy import set_policy


class AlertViewSet(PortalViewSet):
    """Alerts that fired: one's own, those of teams one owns and keys one has; with `all` everybody's and the house's."""

    queryset = AlertEvent.objects.none()
    pagination_class = SelectorPagination
    serializer_class = AlertOut
    rights: ClassVar = {"list": ""}

    @extend_schema(
        parameters=[
            OpenApiParameter("all", bool),
            OpenApiParameter("kind", str, enum=AlertKind.values),
            OpenApiParameter("phase", str, enum=AlertEvent.Phase.values),
            OpenApiParameter("before", str),
        ],
        responses=AlertOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        filters = watched.AlertFilters(
            is_all=query.get("all", "").lower() in ("1", "true"), kind=query.get("kind", ""), phase=query.get("phase", "")
        )
        try:
            before = UUID(query["before"]) if query.get("before") else None
        except ValueError:
            raise InvalidInput("before is taken from `next`.") from None
        page = watched.alerts_for(self.actor, filters, before)
        return self.keyset_of(page.rows, AlertOut, page.next_before)


class HookViewSet(PortalViewSet):
    """Addresses that get signed requests: one's own and those of teams one owns."""

    queryset = HookEndpoint.objects.none()
    serializer_class = HookOut
    lookup_value_regex = r"\d+"
    keyset_ordering: ClassVar[str | tuple[str, ...]] = "pk"
    rights: ClassVar = {"list": "", "create": "", "partial_update": ""}

    @extend_schema(responses=HookOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(watched.hooks_for(self.actor), HookOut)

    @extend_schema(request=HookIn, responses={201: HookMadeOut})
    def create(self, request: Request) -> Response:
        """A new address; its signing secret is in this answer and in no other."""
        given = self.given(HookIn)
        team = next((team for team in watched.owned_teams(self.actor) if team.pk == given.get("team_id")), None)
        if given.get("team_id") and team is None:
            raise NotFound
        whose: dict[str, Any] = {"group": team} if team else {"user": self.actor}
        endpoint, clear = hooks.add_endpoint(actor=self.actor, url=given["url"], **whose)
        made: Any = endpoint
        made.clear = clear
        answer = Response(HookMadeOut(made).data, status=HTTP_201_CREATED)
        answer["Cache-Control"] = "no-store"
        return answer

    @extend_schema(request=HookChangeIn, responses=HookOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Turn it off, or on again."""
        endpoint = watched.hook_for(self.actor, number_in(pk))
        hooks.switch_endpoint(actor=self.actor, endpoint=endpoint, is_active=self.given(HookChangeIn)["is_active"])
        return Response(HookOut(watched.hook_for(self.actor, endpoint.pk)).data)


class FenceViewSet(PortalViewSet):
    """The highest price tier each group may call."""

    pagination_class = SelectorPagination
    serializer_class = FenceOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "fences.view", "update": "fences.manage"}

    @extend_schema(responses=FenceOut(many=True))
    def list(self, request: Request) -> Response:
        return self.keyset_of(fenced.fenced_groups(self.actor), FenceOut, None)

    @extend_schema(request=FenceIn, responses=FenceOut)
    def update(self, request: Request, pk: str) -> Response:
        """Replace the fence of a group; relays obey within a second."""
        group, _fence = fenced.group_to_fence(self.actor, number_in(pk))
        fences.set_group_fence(actor=self.actor, group=group, **self.given(FenceIn))
        (row,) = (one for one in fenced.fenced_groups(self.actor) if one.group.pk == group.pk)
        return Response(FenceOut(row).data)


class PolicyViewSet(PortalViewSet):
    """Who may create keys, and what teams may spend. Everybody it binds may read it."""

    serializer_class = PolicyOut
    rights: ClassVar = {"retrieve": "", "update": "policy.manage"}

    @extend_schema(responses=PolicyOut, operation_id="policy_retrieve")
    def retrieve(self, request: Request) -> Response:
        return Response(PolicyOut(policy_for(self.actor)).data)

    @extend_schema(request=PolicyIn, responses=PolicyOut, operation_id="policy_update")
    def update(self, request: Request) -> Response:
        given = self.given(PolicyIn)
        names = given.pop("named_issuers")
        people = list(User.objects.filter(username__in=names))
        if len(people) != len(set(names)):
            raise InvalidInput("There is no such person.", fields={"named_issuers": ["There is no such person."]})
        return Response(PolicyOut(set_policy(actor=self.actor, named_issuers=people, **given)).data)
