"""``/dp/v1``: parse, ask the contract, answer. Bad input is told in our error body; a database that is away is a 503."""

from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotFound
from gateway.models import DataPlane
from gateway.planes.api.auth import BoundedJSONParser, DataPlaneToken, IsDataPlane
from gateway.planes.api.serializers import (
    AuthorizeIn,
    ConfigOut,
    DecisionOut,
    HeartbeatIn,
    HeartbeatOut,
    KeysOut,
    LeasesIn,
    LeasesOut,
    ReconcileIn,
    ReconcileOut,
    UpstreamSecretOut,
    UsageBatchDocIn,
    UsageBatchIn,
    UsageBatchOut,
)
from gateway.planes.authorize import Wanted, authorize
from gateway.planes.config import LONGEST_WAIT, changed_config
from gateway.planes.keys_feed import key_page
from gateway.planes.leases import Wish, close_leases, open_leases, renew_leases
from gateway.planes.reconcile import Told, compare
from gateway.planes.usage import take_usage
from gateway.services.planes import note_batch, read_secret, take_heartbeat


class Busy(exceptions.APIException):
    status_code = 503
    default_code = "service_unavailable"
    default_detail = "The portal cannot answer at the moment. Send the same again shortly."
    wait = 1


class PlaneView(APIView):
    authentication_classes = (DataPlaneToken,)
    permission_classes = (IsDataPlane,)
    parser_classes = (BoundedJSONParser,)
    throttle_classes = ()

    @property
    def plane(self) -> DataPlane:
        plane = self.request.auth
        assert isinstance(plane, DataPlane)
        return plane

    def handle_exception(self, error: Exception) -> Response:
        return super().handle_exception(Busy() if isinstance(error, OperationalError | InterfaceError) else error)

    def given(self, serializer: type[serializers.Serializer]) -> dict[str, Any]:
        """The checked input of this request."""
        checked = serializer(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


class ConfigView(PlaneView):
    @extend_schema(
        operation_id="dp_config",
        parameters=[
            OpenApiParameter("since", str, description="The version that is known."),
            OpenApiParameter("wait", int, description=f"Seconds to wait for another version, at most {LONGEST_WAIT}."),
        ],
        responses={200: ConfigOut, 304: OpenApiResponse(description="Nothing changed.")},
    )
    def get(self, request: Request) -> Response:
        """The configuration, once it is another one than ``since``."""
        since = request.query_params.get("since", "") or request.headers.get("If-None-Match", "").strip('"')
        found = changed_config(since, _seconds(request.query_params.get("wait", "")))
        if found is None:
            return Response(status=304, headers={"ETag": f'"{since}"'} if since.isalnum() else {})
        return Response(found, headers={"ETag": f'"{found["version"]}"'})


class KeysView(PlaneView):
    @extend_schema(
        operation_id="dp_keys",
        parameters=[OpenApiParameter("since", str, description="The cursor of the answer before; none: everything.")],
        responses=KeysOut,
    )
    def get(self, request: Request) -> Response:
        """Keys by the digest of their secrets, at most 500 at once. A clear key is never told."""
        return Response(key_page(request.query_params.get("since", "")), headers={"Cache-Control": "no-store"})


class AuthorizeView(PlaneView):
    @extend_schema(operation_id="dp_authorize", request=AuthorizeIn, responses=DecisionOut)
    def post(self, request: Request) -> Response:
        """Decide on a call and hold the money for it. The same request again gets the same answer."""
        given = self.given(AuthorizeIn)
        est = given.pop("est", {})
        wanted = Wanted(
            request_id=given["request_id"],
            key_hash=bytes.fromhex(given["key_hash"]),
            model=given["model"],
            endpoint=given["endpoint"],
            client_ip=given["client_ip"],
            client=given["client"],
            is_stream=given["is_stream"],
            params=given["params"],
            output_tokens=est.pop("max_output_tokens", None),
            **est,
        )
        return Response(authorize(self.plane, wanted))


class UsageView(PlaneView):
    @extend_schema(operation_id="dp_usage", request=UsageBatchDocIn, responses=UsageBatchOut)
    def post(self, request: Request) -> Response:
        """Take up to 500 usage events, each with an answer of its own. After no answer or a 5xx send the same batch again."""
        given = self.given(UsageBatchIn)
        answer = take_usage(self.plane, given["source"], given["seq"], given["events"])
        note_batch(plane=self.plane, instance=given["source"], seq=answer["ack_seq"])
        return Response(answer)


class LeasesView(PlaneView):
    @extend_schema(operation_id="dp_leases", request=LeasesIn, responses=LeasesOut)
    def post(self, request: Request) -> Response:
        """Borrow money of a payer, so that calls need not be asked for one by one; renew it; give it back."""
        given = self.given(LeasesIn)
        wishes = [Wish(**wish) for wish in given.get("open", ())]
        renewals = [(one["lease_id"], one["granted_nano"]) for one in given.get("renew", ())]
        closed = close_leases(self.plane, given.get("close", ()))
        renewed = renew_leases(self.plane, renewals)
        return Response({"open": open_leases(self.plane, wishes), "renew": renewed, "close": closed})


class HeartbeatView(PlaneView):
    @extend_schema(operation_id="dp_heartbeat", request=HeartbeatIn, responses=HeartbeatOut)
    def post(self, request: Request) -> Response:
        """Report how a process does, and hear what is wanted of it. Every 10 seconds."""
        given = self.given(HeartbeatIn)
        sent_at: datetime | None = given.pop("sent_at")
        clock_ms = round((sent_at - now()).total_seconds() * 1000) if sent_at else 0
        answer = take_heartbeat(
            plane=self.plane, clock_ms=max(-(2**62), min(2**62, clock_ms)), lease_count=given.pop("leases"), **given
        )
        return Response(answer)


class ReconcileView(PlaneView):
    @extend_schema(operation_id="dp_reconcile", request=ReconcileIn, responses=ReconcileOut)
    def post(self, request: Request) -> Response:
        """Compare what was served with what was taken here, and answer the hours that differ."""
        given = self.given(ReconcileIn)
        rows = [Told(**row) for row in given["rows"]]
        return Response(compare(self.plane, given["source"], given["begin_at"], given["end_at"], rows))


class SecretView(PlaneView):
    @extend_schema(operation_id="dp_secret", responses=UpstreamSecretOut)
    def get(self, request: Request, ref: str) -> Response:
        """The credential behind a ``secret_ref``, for a data plane with that right; each reading is in the audit log."""
        return Response({"value": read_secret(plane=self.plane, ref=ref)}, headers={"Cache-Control": "no-store"})


@extend_schema(exclude=True)
class NothingView(PlaneView):
    """An address that is none: told to data planes only."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


def _seconds(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 6:
        raise InvalidInput("wait is a whole number of seconds.")
    return int(text)
