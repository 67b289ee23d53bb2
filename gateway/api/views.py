"""Explain access for programs of support and operators."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.foundation.api_base import PortalViewSet
from gateway import access
from gateway.api.serializers import AccessIn, AccessOut
from gateway.models import RelayInstance


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
