"""Alerts and their rules, web hooks, fences and the policy for programs, through the services of the pages."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED

from accounts.models import User
from billing.api.finance_serializers import (
    AlertOut,
    AlertRuleChangeIn,
    AlertRuleIn,
    AlertRuleOut,
    FenceIn,
    FenceOut,
    HookChangeIn,
    HookIn,
    HookMadeOut,
    HookOut,
    PolicyIn,
    PolicyOut,
)
from billing.models import AlertEvent, AlertKind, AlertRule, HookEndpoint
from billing.selectors import alerts as watched
from billing.selectors import fences as fenced
from billing.services import alerts, fences, hooks
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput
from keys.selectors import key_for
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


class AlertRuleViewSet(PortalViewSet):
    """What is watched, and where it is told: for oneself, teams one owns, keys one has; the house's for who manages alerts."""

    queryset = AlertRule.objects.none()
    serializer_class = AlertRuleOut
    lookup_value_regex = r"\d+"
    keyset_ordering: ClassVar[str | tuple[str, ...]] = "pk"
    rights: ClassVar = {"list": "", "retrieve": "", "create": "", "partial_update": ""}

    @extend_schema(responses=AlertRuleOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(watched.rules_for(self.actor), AlertRuleOut)

    @extend_schema(responses=AlertRuleOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(AlertRuleOut(watched.rule_for(self.actor, number_in(pk))).data)

    @extend_schema(request=AlertRuleIn, responses={200: AlertRuleOut, 201: AlertRuleOut})
    def create(self, request: Request) -> Response:
        """Watch something. There is one rule for each kind and scope: 200 when it was there and is now set like this."""
        given = self.given(AlertRuleIn)
        scope: dict[str, Any] = {"user": self.actor}
        if given.pop("of_house"):
            scope = {}
        if "team_id" in given:
            scope = {"group": watched.owned_team(self.actor, given.pop("team_id"))}
        elif "key_id" in given:
            scope = {"key": key_for(self.actor, given.pop("key_id"))}
        before = watched.rule_in_force(given.pop("kind"), **scope)
        rule = self._set(before, given)
        return Response(AlertRuleOut(rule).data, status=HTTP_200_OK if before.pk else HTTP_201_CREATED)

    @extend_schema(request=AlertRuleChangeIn, responses=AlertRuleOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Other thresholds or channels, or off and on again."""
        rule = watched.rule_for(self.actor, number_in(pk))
        return Response(AlertRuleOut(self._set(rule, self.given(AlertRuleChangeIn))).data)

    def _set(self, rule: AlertRule, given: dict[str, Any]) -> AlertRule:
        names = ("kind", "user", "group", "key", "thresholds", "channels", "is_enabled", "pauses_key")
        return alerts.set_rule(actor=self.actor, **{name: getattr(rule, name) for name in names} | given)


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
        team_id = given.get("team_id")
        whose: dict[str, Any] = {"group": watched.owned_team(self.actor, team_id)} if team_id else {"user": self.actor}
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
