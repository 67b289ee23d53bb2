"""Proofs of names for programs: start one from a pipeline, read what is red."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_202_ACCEPTED

from config.foundation.api_base import InSerializer, OutSerializer, PortalViewSet
from config.foundation.errors import NotFound
from config.foundation.labels import Label
from gateway import selectors_proofs as selectors
from gateway.models import Feature, ProofResult, ProofRun
from gateway.services import proofs


class ProofResultOut(OutSerializer):
    """One call for one name and feature; ``cause`` says why it is red or was not tried."""

    labels_of = "proof_result"
    audience: ClassVar[Label] = Label.SUPPORT

    name = serializers.CharField()
    called_name = serializers.CharField()
    feature = serializers.ChoiceField(Feature.choices)
    state = serializers.ChoiceField(ProofResult.State.choices)
    cause = serializers.CharField(allow_blank=True)
    http_status = serializers.IntegerField()
    error_code = serializers.CharField(allow_blank=True)
    answered_as = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)


class ProofOut(OutSerializer):
    """A run with the counts of its calls."""

    labels_of = "proof"
    audience: ClassVar[Label] = Label.SUPPORT

    id = serializers.UUIDField()
    state = serializers.ChoiceField(ProofRun.State.choices)
    map_version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    total_count = serializers.IntegerField()
    green_count = serializers.IntegerField()
    red_count = serializers.IntegerField()


class ProofIn(InSerializer):
    """``key_id`` is a key of purpose test that the caller manages."""

    key_id = serializers.IntegerField(min_value=1)
    with_called_names = serializers.BooleanField(default=False)


class ProofViewSet(PortalViewSet):
    """Every name of the map, called through the new entry for the features in use."""

    queryset = ProofRun.objects.none()
    serializer_class = ProofOut
    keyset_ordering = ("-created_at", "-pk")
    lookup_value_regex = r"[0-9a-fA-F-]{36}"
    rights: ClassVar = {
        **dict.fromkeys(("list", "retrieve", "results"), selectors.VIEW),
        **dict.fromkeys(("create", "stop"), proofs.RIGHT),
    }

    @extend_schema(responses=ProofOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.runs(self.actor), ProofOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(ProofOut(self._run(pk)).data)

    @extend_schema(request=ProofIn, responses={202: ProofOut})
    def create(self, request: Request) -> Response:
        run = proofs.start_proof(actor=self.actor, **self.given(ProofIn))
        return Response(ProofOut(self._run(str(run.pk))).data, status=HTTP_202_ACCEPTED)

    @extend_schema(responses=ProofResultOut(many=True), filters=False)
    @action(methods=["get"], detail=True, keyset_ordering="pk")
    def results(self, request: Request, pk: str) -> Response:
        return self.page_of(self._run(pk).results.all(), ProofResultOut)

    @extend_schema(request=None, responses=ProofOut)
    @action(methods=["post"], detail=True)
    def stop(self, request: Request, pk: str) -> Response:
        proofs.stop_proof(actor=self.actor, run=self._run(pk))
        return Response(ProofOut(self._run(pk)).data)

    def _run(self, pk: str) -> ProofRun:
        try:
            return selectors.run_for(self.actor, UUID(pk))
        except ValueError:
            raise NotFound from None
