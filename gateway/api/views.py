"""Explain access and trial lists for programs."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED, HTTP_202_ACCEPTED

from accounts.selectors import team_for
from config.foundation.api_base import PortalViewSet, number_in
from gateway import access
from gateway.api.serializers import AccessIn, AccessOut, TrialCheckIn, TrialIn, TrialOut, TrialReasonIn
from gateway.models import RelayInstance, TrialList
from gateway.selectors_trials import trial_for, trials_for
from gateway.services import trial_lists


class AccessViewSet(PortalViewSet):
    """Would this call be allowed, and by which rule: decided by the code that decides the calls."""

    queryset = RelayInstance.objects.none()
    serializer_class = AccessOut
    rights: ClassVar = {"explain": access.RIGHT}

    @extend_schema(request=AccessIn, responses=AccessOut)
    @action(detail=False, methods=["post"])
    def explain(self, request: Request) -> Response:
        given = self.given(AccessIn)
        verdict = access.explain(self.actor, given.pop("key_id"), access.Question(**given))
        return Response(AccessOut(access.facts_of(verdict)).data)


class TrialViewSet(PortalViewSet):
    """Trial lists: operators see all, members those of their teams."""

    queryset = TrialList.objects.none()
    serializer_class = TrialOut
    keyset_ordering = "pk"
    lookup_value_regex = r"\d+"
    rights: ClassVar = {
        **dict.fromkeys(("list", "retrieve", "checks"), ""),
        **dict.fromkeys(("create", "production", "reopen"), trial_lists.RIGHT),
    }

    @extend_schema(responses=TrialOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(trials_for(self.actor).prefetch_related("items"), TrialOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(TrialOut(self._trial(pk)).data)

    @extend_schema(request=TrialIn, responses={201: TrialOut})
    def create(self, request: Request) -> Response:
        given = self.given(TrialIn)
        trial = trial_lists.open_trial(actor=self.actor, team=team_for(self.actor, given["team_id"]), kind=given["kind"])
        return Response(TrialOut(trial).data, status=HTTP_201_CREATED)

    @extend_schema(request=TrialCheckIn, responses={202: TrialOut})
    @action(detail=True, methods=["post"])
    def checks(self, request: Request, pk: str) -> Response:
        """Have the calls made with a test key of the project; look again for what they have shown."""
        trial = trial_lists.start_checks(actor=self.actor, trial=self._trial(pk), **self.given(TrialCheckIn))
        return Response(TrialOut(trial).data, status=HTTP_202_ACCEPTED)

    @extend_schema(request=TrialReasonIn, responses=TrialOut)
    @action(detail=True, methods=["post"])
    def production(self, request: Request, pk: str) -> Response:
        """Let the project spend production balance; 409 while an item is not shown."""
        trial = trial_lists.set_production(actor=self.actor, trial=self._trial(pk), **self.given(TrialReasonIn))
        return Response(TrialOut(trial).data)

    @extend_schema(request=TrialReasonIn, responses=TrialOut)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Back on trial, every item open."""
        trial = trial_lists.reopen_trial(actor=self.actor, trial=self._trial(pk), **self.given(TrialReasonIn))
        return Response(TrialOut(trial).data)

    def _trial(self, pk: str) -> TrialList:
        return trial_for(self.actor, number_in(pk))
