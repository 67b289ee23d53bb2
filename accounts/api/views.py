"""People, groups and the audit trail for programs."""

from typing import ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from accounts import selectors
from accounts.api.serializers import (
    AuditEventOut,
    GroupChangeIn,
    GroupIn,
    GroupOperatorOut,
    GroupOut,
    MeIn,
    MembershipChangeIn,
    MembershipIn,
    MembershipOut,
    MeOut,
    PersonChangeIn,
    PersonIn,
    PersonOut,
    ReasonIn,
)
from accounts.models import AuditEvent, Group, User
from accounts.rights import may
from accounts.services import people, teams
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import NotFound

TEXT = OpenApiParameter("search", str, description="Part of a user name, a display name or an e-mail address.")
BEFORE = OpenApiParameter("before", int, description="Where the next page begins; taken from `next`.")


class MeViewSet(PortalViewSet):
    """The person who asks."""

    serializer_class = MeOut
    rights: ClassVar = {"list": "", "change": ""}

    @extend_schema(responses=MeOut, operation_id="me_retrieve", filters=False)
    def list(self, request: Request) -> Response:
        return Response(MeOut(self.actor).data)

    @extend_schema(request=MeIn, responses=MeOut, operation_id="me_update")
    def change(self, request: Request) -> Response:
        person = people.change_profile(actor=self.actor, person=self.actor, **self.given(MeIn))
        return Response(MeOut(person).data)


@extend_schema_view(retrieve=extend_schema(responses=PersonOut))
class PersonViewSet(PortalViewSet):
    """People, for staff."""

    queryset = User.objects.none()
    pagination_class = SelectorPagination
    serializer_class = PersonOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {
        "list": "people.view",
        "retrieve": "people.view",
        "create": "people.manage",
        "partial_update": "people.manage",
        "disable": "people.manage",
        "enable": "people.manage",
    }

    @extend_schema(
        parameters=[
            TEXT,
            OpenApiParameter("role", str),
            OpenApiParameter("state", str),
            OpenApiParameter("before", str, description="Where the next page begins; taken from `next`."),
        ],
        responses=PersonOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        page = selectors.people_for(
            self.actor,
            text=query.get("search", ""),
            role=query.get("role", ""),
            state=query.get("state", ""),
            after=query.get("before", ""),
        )
        return self.keyset_of(page.rows, PersonOut, page.next)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(PersonOut(self._person(pk)).data)

    @extend_schema(request=PersonIn, responses={201: PersonOut})
    def create(self, request: Request) -> Response:
        person = people.create_person(actor=self.actor, **self.given(PersonIn))
        return Response(PersonOut(person).data, status=HTTP_201_CREATED)

    @transaction.atomic
    @extend_schema(request=PersonChangeIn, responses=PersonOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        given = self.given(PersonChangeIn)
        role, reason = given.pop("role", None), given.pop("reason")
        person = people.change_profile(actor=self.actor, person=self._person(pk), **given)
        if role is not None:
            person = people.set_role(actor=self.actor, person=person, role=role, reason=reason)
        return Response(PersonOut(person).data)

    @extend_schema(request=ReasonIn, responses=PersonOut)
    @action(methods=["post"], detail=True)
    def disable(self, request: Request, pk: str) -> Response:
        person = people.disable_person(actor=self.actor, person=self._person(pk), **self.given(ReasonIn))
        return Response(PersonOut(person).data)

    @extend_schema(request=ReasonIn, responses=PersonOut)
    @action(methods=["post"], detail=True)
    def enable(self, request: Request, pk: str) -> Response:
        person = people.enable_person(actor=self.actor, person=self._person(pk), **self.given(ReasonIn))
        return Response(PersonOut(person).data)

    def _person(self, pk: str) -> User:
        return selectors.person_for(self.actor, number_in(pk))


class GroupViewSet(PortalViewSet):
    """One's own teams; every group, price classes too, for staff who see people."""

    queryset = Group.objects.none()
    serializer_class = GroupOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {
        "list": "",
        "retrieve": "",
        "create": "teams.manage",
        "partial_update": "",
        "members": "",
        "add_member": "",
        "change_member": "",
        "remove_member": "",
    }

    @extend_schema(responses=GroupOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.groups_for(self.actor), self._out())

    @extend_schema(responses=GroupOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._out()(self._group(pk)).data)

    @extend_schema(request=GroupIn, responses={201: GroupOut})
    def create(self, request: Request) -> Response:
        team = teams.create_team(actor=self.actor, **self.given(GroupIn))
        return Response(self._out()(self._group(str(team.pk))).data, status=HTTP_201_CREATED)

    @extend_schema(request=GroupChangeIn, responses=GroupOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        group = self._group(pk)
        teams.rename_team(actor=self.actor, group=group, **self.given(GroupChangeIn))
        return Response(self._out()(group).data)

    @extend_schema(responses=MembershipOut(many=True), filters=False)
    @action(methods=["get"], detail=True)
    def members(self, request: Request, pk: str) -> Response:
        return self.page_of(self._group(pk).memberships.select_related("user"), MembershipOut)

    @extend_schema(request=MembershipIn, responses={201: MembershipOut}, operation_id="groups_members_create")
    @members.mapping.post
    def add_member(self, request: Request, pk: str) -> Response:
        given = self.given(MembershipIn)
        person = selectors.person_for(self.actor, given["user_id"])
        membership = teams.add_member(actor=self.actor, group=self._group(pk), person=person, team_role=given["team_role"])
        return Response(MembershipOut(membership).data, status=HTTP_201_CREATED)

    @extend_schema(request=MembershipChangeIn, responses=MembershipOut, operation_id="groups_members_update")
    @action(methods=["patch"], detail=True, url_path=r"members/(?P<user_id>\d+)")
    def change_member(self, request: Request, pk: str, user_id: str) -> Response:
        group = self._group(pk)
        person = self._member(group, user_id)
        membership = teams.set_team_role(actor=self.actor, group=group, person=person, **self.given(MembershipChangeIn))
        return Response(MembershipOut(membership).data)

    @extend_schema(responses={204: None}, operation_id="groups_members_destroy")
    @change_member.mapping.delete
    def remove_member(self, request: Request, pk: str, user_id: str) -> Response:
        group = self._group(pk)
        person = self._member(group, user_id)
        teams.remove_member(actor=self.actor, group=group, person=person)
        return Response(status=HTTP_204_NO_CONTENT)

    def _group(self, pk: str) -> Group:
        group = selectors.groups_for(self.actor).filter(pk=number_in(pk)).first()
        if group is None:
            raise NotFound
        return group

    def _member(self, group: Group, user_id: str) -> User:
        membership = group.memberships.filter(user_id=number_in(user_id)).select_related("user").first()
        if membership is None:
            raise NotFound
        return membership.user

    def _out(self) -> type[GroupOut]:
        return GroupOperatorOut if may(self.actor, "teams.manage") else GroupOut


class AuditEventViewSet(PortalViewSet):
    """Who did what, newest first."""

    queryset = AuditEvent.objects.none()
    pagination_class = SelectorPagination
    serializer_class = AuditEventOut
    rights: ClassVar = {"list": "audit.view"}

    @extend_schema(
        parameters=[
            OpenApiParameter("action", str, description="An action, or how it begins."),
            OpenApiParameter("who", str, description="User name."),
            OpenApiParameter("target", str, description="Part of an object's name, or type:id."),
            BEFORE,
        ],
        responses=AuditEventOut(many=True),
    )
    def list(self, request: Request) -> Response:
        query = request.query_params
        rows = selectors.audit_for(
            self.actor,
            action=query.get("action", ""),
            who=query.get("who", ""),
            target=query.get("target", ""),
            before_id=self.number_of("before"),
        )
        more = rows[selectors.PAGE - 1].pk if len(rows) > selectors.PAGE else None
        return self.keyset_of(rows[: selectors.PAGE], AuditEventOut, more)
