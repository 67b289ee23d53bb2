"""Imports, plans and batches for programs. Switching and going back start here; a worker carries them through."""

from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_202_ACCEPTED

from accounts.rights import may
from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import NotFound
from migrations_center import selectors_lists as lists
from migrations_center import selectors_waves as selectors
from migrations_center import tasks_waves as tasks
from migrations_center.api.serializers import (
    ImportIssueOut,
    ImportRunOperatorOut,
    ImportRunOut,
    ImportRunRowOut,
    PlanOut,
    SourceOut,
    WaveKeyChoiceIn,
    WaveKeyOut,
    WaveMemberOut,
    WaveOut,
    WaveReasonIn,
)
from migrations_center.models import ImportRun, Plan, Source, Wave
from migrations_center.selectors_keys import lines_of
from migrations_center.services import continuity, notices, switching, waves

VIEW = "migrations.view"
MANAGE = "migrations.manage"


class SourceViewSet(PortalViewSet):
    """Old gateways that people come from."""

    queryset = Source.objects.none()
    serializer_class = SourceOut
    rights: ClassVar = {"list": VIEW}

    @extend_schema(responses=SourceOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(lists.sources(self.actor), SourceOut)


class ImportRunViewSet(PortalViewSet):
    """Readings of a source with their reports; started in the import pages or by the command."""

    queryset = ImportRun.objects.none()
    serializer_class = ImportRunRowOut
    keyset_ordering = ("-created_at", "-pk")
    lookup_value_regex = r"[0-9a-fA-F-]{36}"
    rights: ClassVar = {"list": VIEW, "retrieve": VIEW, "issues": VIEW}

    @extend_schema(responses=ImportRunRowOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(lists.runs(self.actor).defer("report", "options", "progress"), ImportRunRowOut)

    @extend_schema(responses=ImportRunOperatorOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        out = ImportRunOperatorOut if may(self.actor, MANAGE) else ImportRunOut
        return Response(out(self._run(pk)).data)

    @extend_schema(
        parameters=[OpenApiParameter("kind", str), OpenApiParameter("table", str)], responses=ImportIssueOut(many=True)
    )
    @action(methods=["get"], detail=True, keyset_ordering="pk")
    def issues(self, request: Request, pk: str) -> Response:
        """Rows that were left out or refused, rights that differ, decisions that are open."""
        query = request.query_params
        found = lists.issues(self.actor, self._run(pk), kind=query.get("kind", ""), table=query.get("table", ""))
        return self.page_of(found, ImportIssueOut)

    def _run(self, pk: str) -> ImportRun:
        return lists.run_for(self.actor, pk)


class PlanViewSet(PortalViewSet):
    """How the people of a source move."""

    queryset = Plan.objects.none()
    serializer_class = PlanOut
    rights: ClassVar = {"list": VIEW}

    @extend_schema(responses=PlanOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(lists.plans(self.actor), PlanOut)


class WaveViewSet(PortalViewSet):
    """Batches of people that move together."""

    queryset = Wave.objects.none()
    serializer_class = WaveOut
    keyset_ordering = ("plan_id", "number")
    lookup_value_regex = r"\d+"
    rights: ClassVar = {
        "list": VIEW,
        "retrieve": VIEW,
        "members": VIEW,
        "keys": VIEW,
        "choose_keys": MANAGE,
        **dict.fromkeys(("ready", "notify", "switch", "back"), MANAGE),
    }

    @extend_schema(parameters=[OpenApiParameter("plan", int)], responses=WaveOut(many=True))
    def list(self, request: Request) -> Response:
        found = selectors.waves_for(self.actor)
        plan_id = self.number_of("plan")
        return self.page_of(found if plan_id is None else found.filter(plan_id=plan_id), WaveOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(pk)

    @extend_schema(responses=WaveMemberOut(many=True), filters=False)
    @action(methods=["get"], detail=True, keyset_ordering="user_id")
    def members(self, request: Request, pk: str) -> Response:
        return self.page_of(self._wave(pk).members.select_related("user"), WaveMemberOut)

    @extend_schema(responses=WaveKeyOut(many=True), filters=False)
    @action(methods=["get"], detail=True, pagination_class=None)
    def keys(self, request: Request, pk: str) -> Response:
        """Every key of the wave: what becomes of it, whether the relays hold it, when it was first seen here."""
        return Response(WaveKeyOut(lines_of(self.actor, self._wave(pk)), many=True).data)

    @extend_schema(request=WaveKeyChoiceIn, responses=WaveKeyOut(many=True))
    @keys.mapping.post
    def choose_keys(self, request: Request, pk: str) -> Response:
        """Keep, reissue or retire keys, before the people are told."""
        wave = self._wave(pk)
        continuity.choose(actor=self.actor, wave=wave, **self.given(WaveKeyChoiceIn))
        return Response(WaveKeyOut(lines_of(self.actor, wave), many=True).data)

    @extend_schema(request=WaveReasonIn, responses=WaveOut)
    @action(methods=["post"], detail=True)
    def ready(self, request: Request, pk: str) -> Response:
        """Say that the batch may go; refused with every finding that stands in the way."""
        waves.mark_ready(actor=self.actor, wave=self._wave(pk), **self.given(WaveReasonIn))
        return self._answer(pk)

    @extend_schema(request=WaveReasonIn, responses=WaveOut)
    @action(methods=["post"], detail=True)
    def notify(self, request: Request, pk: str) -> Response:
        """Write the notices, once per person."""
        notices.notify(actor=self.actor, wave=self._wave(pk), **self.given(WaveReasonIn))
        return self._answer(pk)

    @extend_schema(request=WaveReasonIn, responses={202: WaveOut})
    @action(methods=["post"], detail=True)
    def switch(self, request: Request, pk: str) -> Response:
        """Move everybody of the batch to the new entry; asking twice changes nothing."""
        wave = switching.begin_switch(actor=self.actor, wave=self._wave(pk), **self.given(WaveReasonIn))
        self._go_on(tasks.switch_wave_task, wave)
        return self._answer(pk, HTTP_202_ACCEPTED)

    @extend_schema(request=WaveReasonIn, responses={202: WaveOut})
    @action(methods=["post"], detail=True)
    def back(self, request: Request, pk: str) -> Response:
        """Take everybody of the batch back to the old entry."""
        wave = switching.begin_back(actor=self.actor, wave=self._wave(pk), **self.given(WaveReasonIn))
        self._go_on(tasks.go_back_wave_task, wave)
        return self._answer(pk, HTTP_202_ACCEPTED)

    def _go_on(self, task: Any, wave: Wave) -> None:
        # Robust: without a broker the batch waits for the beat, which looks after batches that are at work.
        transaction.on_commit(lambda: task.delay(wave.pk), robust=True)

    def _wave(self, pk: str) -> Wave:
        return selectors.wave_for(self.actor, number_in(pk))

    def _answer(self, pk: str, status: int = 200) -> Response:
        wave = selectors.waves_for(self.actor).filter(pk=number_in(pk)).first()
        if wave is None:
            raise NotFound
        return Response(WaveOut(wave).data, status=status)
