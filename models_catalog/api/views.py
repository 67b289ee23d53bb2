"""The catalogue for programs: what can be called for everybody, where it is served for operators."""

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED

from config.foundation.api_base import PortalViewSet, number_in
from config.foundation.errors import NotFound
from config.foundation.rights import may
from models_catalog import selectors, services
from models_catalog.api.filters import ModelFilter
from models_catalog.api.serializers import (
    CatalogReasonIn,
    CredentialIn,
    ModelChangeIn,
    ModelIn,
    ModelOperatorOut,
    ModelOut,
    NameMapEntryOperatorOut,
    NameMapEntryOut,
    NameMapIn,
    NameMapVersionOut,
    ProviderChangeIn,
    ProviderIn,
    ProviderOut,
    ServedModelsIn,
    UpstreamChangeIn,
    UpstreamIn,
    UpstreamOut,
)
from models_catalog.models import AIModel, NameMapEntry, Provider, Upstream
from models_catalog.name_map_csv import to_csv

RIGHT = "catalog.manage"


class CatalogViewSet(PortalViewSet):
    @property
    def who(self) -> str:
        return str(self.actor.username)

    def found(self, queryset: QuerySet[Any], pk: str) -> Any:
        row = queryset.filter(pk=number_in(pk)).first()
        if row is None:
            raise NotFound
        return row


class ModelViewSet(CatalogViewSet):
    """Models one may call; operators see all of them, with the groups that may."""

    queryset = AIModel.objects.none()
    serializer_class = ModelOut
    lookup_value_regex = r"\d+"
    filter_backends = (DjangoFilterBackend,)
    filterset_class = ModelFilter
    keyset_ordering = "name"
    rights: ClassVar = {"list": "", "retrieve": "", "create": RIGHT, "partial_update": RIGHT}

    @extend_schema(responses=ModelOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(self.filter_queryset(self._visible()), self._out())

    @extend_schema(responses=ModelOut)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self._out()(self.found(self._visible(), pk)).data)

    @transaction.atomic
    @extend_schema(request=ModelIn, responses={201: ModelOperatorOut})
    def create(self, request: Request) -> Response:
        given = self.given(ModelIn)
        reason, group_codes = given.pop("reason"), given.pop("group_codes", [])
        given["capabilities"] = tuple(given.get("capabilities", ()))
        model = services.create_model(actor_name=self.who, figures=services.ModelFigures(**given), reason=reason)
        services.set_access(actor_name=self.who, model=model, group_codes=group_codes, reason=reason)
        return Response(ModelOperatorOut(model).data, status=HTTP_201_CREATED)

    @transaction.atomic
    @extend_schema(request=ModelChangeIn, responses=ModelOperatorOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        given = self.given(ModelChangeIn)
        group_codes = given.pop("group_codes", None)
        model = services.update_model(actor_name=self.who, model=self.found(selectors.all_models(), pk), **given)
        if group_codes is not None:
            services.set_access(actor_name=self.who, model=model, group_codes=group_codes, reason=given["reason"])
        return Response(ModelOperatorOut(self.found(selectors.all_models(), pk)).data)

    def _visible(self) -> "QuerySet[AIModel]":
        if may(self.actor, RIGHT):
            return selectors.all_models()
        group = getattr(self.actor, "billing_group", None)
        return selectors.callable_models([group.code] if group else [])

    def _out(self) -> type[ModelOut]:
        return ModelOperatorOut if may(self.actor, RIGHT) else ModelOut


class ProviderViewSet(CatalogViewSet):
    """Who serves models."""

    queryset = Provider.objects.none()
    serializer_class = ProviderOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = {"list": RIGHT, "create": RIGHT, "partial_update": RIGHT}

    @extend_schema(responses=ProviderOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.all_providers(), ProviderOut)

    @extend_schema(request=ProviderIn, responses={201: ProviderOut})
    def create(self, request: Request) -> Response:
        provider = services.create_provider(actor_name=self.who, **self.given(ProviderIn))
        return Response(ProviderOut(provider).data, status=HTTP_201_CREATED)

    @extend_schema(request=ProviderChangeIn, responses=ProviderOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        provider = self.found(selectors.all_providers(), pk)
        return Response(
            ProviderOut(services.update_provider(actor_name=self.who, provider=provider, **self.given(ProviderChangeIn))).data
        )


class UpstreamViewSet(CatalogViewSet):
    """Where models are served. The credential goes in by its own address and is never told again."""

    queryset = Upstream.objects.none()
    serializer_class = UpstreamOut
    lookup_value_regex = r"\d+"
    rights: ClassVar = dict.fromkeys(
        ("list", "retrieve", "create", "partial_update", "credential", "enable", "disable", "models"), RIGHT
    )

    @extend_schema(responses=UpstreamOut(many=True))
    def list(self, request: Request) -> Response:
        return self.page_of(selectors.all_upstreams().prefetch_related("served__model"), UpstreamOut)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(self._upstream(pk))

    @extend_schema(request=UpstreamIn, responses={201: UpstreamOut})
    def create(self, request: Request) -> Response:
        given = self.given(UpstreamIn)
        needs_credential = given.pop("needs_credential")
        state = None if needs_credential else Upstream.State.ENABLED
        upstream = services.create_upstream(actor_name=self.who, state=state, **given)
        return self._answer(upstream, HTTP_201_CREATED)

    @extend_schema(request=UpstreamChangeIn, responses=UpstreamOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        given = self.given(UpstreamChangeIn)
        return self._answer(services.update_upstream(actor_name=self.who, upstream=self._upstream(pk), **given))

    @extend_schema(request=CredentialIn, responses=UpstreamOut)
    @action(methods=["put"], detail=True)
    def credential(self, request: Request, pk: str) -> Response:
        given = self.given(CredentialIn)
        return self._answer(services.set_credential(actor_name=self.who, upstream=self._upstream(pk), **given))

    @extend_schema(request=CatalogReasonIn, responses=UpstreamOut)
    @action(methods=["post"], detail=True)
    def enable(self, request: Request, pk: str) -> Response:
        return self._set_state(pk, Upstream.State.ENABLED)

    @extend_schema(request=CatalogReasonIn, responses=UpstreamOut)
    @action(methods=["post"], detail=True)
    def disable(self, request: Request, pk: str) -> Response:
        return self._set_state(pk, Upstream.State.DISABLED)

    @extend_schema(request=ServedModelsIn, responses=UpstreamOut)
    @action(methods=["put"], detail=True)
    def models(self, request: Request, pk: str) -> Response:
        given, upstream = self.given(ServedModelsIn), self._upstream(pk)
        services.serve_models(
            actor_name=self.who, upstream=upstream, served=given["models"], replace=True, reason=given["reason"]
        )
        return self._answer(upstream)

    def _set_state(self, pk: str, state: str) -> Response:
        given = self.given(CatalogReasonIn)
        upstream = self._upstream(pk)
        return self._answer(services.set_upstream_state(actor_name=self.who, upstream=upstream, state=state, **given))

    def _upstream(self, pk: str) -> Upstream:
        return self.found(selectors.all_upstreams(), pk)

    def _answer(self, upstream: Upstream, status: int = HTTP_200_OK) -> Response:
        return Response(UpstreamOut(upstream).data, status=status)


class NameMapViewSet(CatalogViewSet):
    """What old names lead to."""

    queryset = NameMapEntry.objects.none()
    keyset_ordering = "pk"
    serializer_class = NameMapEntryOut
    rights: ClassVar = {"list": "", "create": RIGHT, "versions": RIGHT, "csv": RIGHT}

    @extend_schema(
        parameters=[OpenApiParameter("version", int, description="The map as it was in this version; the newest if left out.")],
        responses=NameMapEntryOut(many=True),
    )
    def list(self, request: Request) -> Response:
        version = self.number_of("version")
        entries = selectors.current_name_map() if version is None else selectors.name_map_at(version)
        out = NameMapEntryOperatorOut if may(self.actor, RIGHT) else NameMapEntryOut
        return self.page_of(entries, out)

    @extend_schema(request=NameMapIn, responses={200: NameMapVersionOut, 201: NameMapVersionOut})
    def create(self, request: Request) -> Response:
        """Publish changes as one version; 200 with the newest version when the map says all of this already."""
        given = self.given(NameMapIn)
        changes = [
            services.NameChange(
                old_name=line["old_name"],
                kind="" if line["kind"] == "remove" else line["kind"],
                target=line["callable_name"],
                bill_as_called=line["bill_as_called"],
                reason=line["reason"],
                approved_by=line["approved_by"],
            )
            for line in given["changes"]
        ]
        version = services.publish_name_map(
            actor_name=self.who, changes=changes, reason=given["reason"], expected_version=given["expected_version"]
        )
        if version is not None:
            return Response(NameMapVersionOut(version).data, status=HTTP_201_CREATED)
        newest = selectors.name_map_versions().first()
        return Response(NameMapVersionOut(newest).data if newest else None)

    @extend_schema(responses=NameMapVersionOut(many=True))
    @action(methods=["get"], detail=False)
    def versions(self, request: Request) -> Response:
        return self.page_of(selectors.name_map_versions(), NameMapVersionOut)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, filters=False)
    @action(methods=["get"], detail=False, pagination_class=None)
    def csv(self, request: Request) -> HttpResponse:
        return HttpResponse(to_csv(selectors.current_name_map()), content_type="text/csv; charset=utf-8")
