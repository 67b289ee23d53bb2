"""Creative tasks, the check of parameters and templates, for programs."""

import uuid
from datetime import datetime
from typing import ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.fields import DateTimeField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.status import HTTP_201_CREATED

from accounts.rights import may
from config.foundation.api import SelectorPagination
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import InvalidInput, NotFound
from gateway import selectors_tasks as selectors
from gateway.api.task_serializers import (
    CallbackOut,
    PreflightIn,
    PreflightOut,
    TaskOperatorOut,
    TaskOut,
    TemplateIn,
    TemplateOut,
    TemplateVersionIn,
    TemplateVersionOut,
)
from gateway.models_tasks import MediaTask, TaskTemplate
from gateway.services import task_decisions, templates
from models_catalog.parameters import Wanted

STATES = [*MediaTask.State.values, selectors.OPEN]
FILTERS = [
    OpenApiParameter("kind", str, enum=MediaTask.Kind.values),
    OpenApiParameter("state", str, enum=STATES),
    OpenApiParameter("model", str, description="The model that was asked for."),
    OpenApiParameter("key_tail", str, description="Last four characters of the key."),
    OpenApiParameter("failure_code", str),
    OpenApiParameter("template", str, description="Name of a template."),
    OpenApiParameter("parameters_hash", str, description="Tasks that asked for the same."),
    OpenApiParameter("person", str, description="User name of the payer, for those who may search calls."),
    OpenApiParameter("since", OpenApiTypes.DATETIME),
    OpenApiParameter("until", OpenApiTypes.DATETIME),
    OpenApiParameter("before", str, description="Where the next page begins; taken from `next`."),
]


class TaskViewSet(PortalViewSet):
    """Images and videos that were asked for, newest first."""

    queryset = MediaTask.objects.none()
    pagination_class = SelectorPagination
    serializer_class = TaskOut
    lookup_value_regex = r"(?:video_|image_)?[0-9a-fA-F-]{32,36}"
    rights: ClassVar = {"list": "", "retrieve": "", "callbacks": "", "resend": "", "preflight": ""}

    @extend_schema(parameters=FILTERS, responses=TaskOperatorOut(many=True))
    def list(self, request: Request) -> Response:
        query = request.query_params
        if query.get("state", "") not in ("", *STATES) or query.get("kind", "") not in ("", *MediaTask.Kind.values):
            raise InvalidInput("There is no such state or kind.")
        filters = selectors.TaskFilters(
            kind=query.get("kind", ""),
            state=query.get("state", ""),
            model=query.get("model", ""),
            key_tail=query.get("key_tail", ""),
            failure_code=query.get("failure_code", ""),
            template=query.get("template", ""),
            parameters_hash=query.get("parameters_hash", ""),
            person=query.get("person", "") if may(self.actor, selectors.SEARCH) else "",
            since=self._moment("since"),
            until=self._moment("until"),
        )
        page = selectors.tasks_for(self.actor, filters, query.get("before", ""))
        return self.keyset_of(page.rows, self._out(), page.next_before)

    @extend_schema(responses=TaskOperatorOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._out()(selectors.task_for(self.actor, pk)).data)

    @extend_schema(responses=CallbackOut(many=True))
    @action(methods=["get"], detail=True, pagination_class=None)
    def callbacks(self, request: Request, pk: str) -> Response:
        """What was told of the task's end, with every attempt."""
        found = selectors.callbacks_of(selectors.task_for(self.actor, pk))
        return Response(CallbackOut(found, many=True).data)

    @extend_schema(request=None, responses=CallbackOut)
    @action(methods=["post"], detail=True, url_path=r"callbacks/(?P<delivery_id>[0-9a-fA-F-]{32,36})/resend")
    def resend(self, request: Request, pk: str, delivery_id: str) -> Response:
        """Tell it once more, with the same event id."""
        task = selectors.task_for(self.actor, pk)
        try:
            wanted = uuid.UUID(delivery_id)
        except ValueError:
            raise NotFound from None
        delivery = next((one for one in selectors.callbacks_of(task) if one.pk == wanted), None)
        if delivery is None:
            raise NotFound
        return Response(CallbackOut(task_decisions.resend_callback(actor=self.actor, task=task, delivery=delivery)).data)

    @extend_schema(request=PreflightIn, responses=PreflightOut)
    @action(methods=["post"], detail=False)
    def preflight(self, request: Request) -> Response:
        """Whether each target of a model would take a request; nothing is sent and nothing is charged."""
        given = self.given(PreflightIn)
        wanted = Wanted(given["parameters"], given["references"], given["has_text"])
        return Response(PreflightOut(selectors.preflight(self.actor, given["model"], wanted)).data)

    def _out(self) -> type[TaskOut]:
        return TaskOperatorOut if may(self.actor, "calls.inner_route") else TaskOut

    def _moment(self, name: str) -> datetime | None:
        text = self.request.query_params.get(name, "")
        if not text:
            return None
        try:
            return DateTimeField().to_internal_value(text)
        except ValidationError:
            raise InvalidInput(f"{name} must be a time such as 2026-11-20T16:00:00Z.") from None


class TaskTemplateViewSet(PortalViewSet):
    """Templates of one's teams. An edit makes a version; earlier ones stay."""

    queryset = TaskTemplate.objects.none()
    serializer_class = TemplateOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": "", "retrieve": "", "create": "", "versions": ""}

    @extend_schema(responses=TemplateOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.templates_for(self.actor), TemplateOut)

    @extend_schema(responses=TemplateOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(TemplateOut(selectors.template_for(self.actor, number_in(pk))).data)

    @extend_schema(request=TemplateIn, responses={201: TemplateOut})
    def create(self, request: Request) -> Response:
        given = self.given(TemplateIn)
        team = selectors.teams_led_by(self.actor).filter(pk=given.pop("team_id")).first()
        if team is None:
            raise NotFound
        template = templates.create_template(actor=self.actor, team=team, **given)
        return Response(TemplateOut(template).data, status=HTTP_201_CREATED)

    @extend_schema(request=TemplateVersionIn, responses={201: TemplateVersionOut})
    @action(methods=["post"], detail=True)
    def versions(self, request: Request, pk: str) -> Response:
        """The next version of a template."""
        template = selectors.template_for(self.actor, number_in(pk))
        version = templates.edit_template(actor=self.actor, template=template, **self.given(TemplateVersionIn))
        return Response(TemplateVersionOut(version).data, status=HTTP_201_CREATED)
