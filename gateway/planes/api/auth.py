"""Who asks at ``/dp/v1``: a data plane, by its bearer token. People and their keys have no business there."""

import zlib
from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from gateway.models import DataPlane
from gateway.services.planes import plane_of

LARGEST_SENT = 4 * 1024 * 1024
LARGEST_UNPACKED = 16 * 1024 * 1024


class TokenRefused(exceptions.AuthenticationFailed):
    default_code = "data_plane_token_refused"
    default_detail = "This token is not accepted. Issue a new one on the page of the data plane."


class TooLarge(exceptions.APIException):
    status_code = 413
    default_code = "request_too_large"
    default_detail = "The request is too large. Send fewer events at once."


class DataPlaneToken(BaseAuthentication):
    """``request.auth`` is the DataPlane; there is no person."""

    def authenticate(self, request: Request) -> tuple[Any, DataPlane]:
        word, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        plane = plane_of(token.strip()) if word.lower() == "bearer" else None
        if plane is None:
            raise TokenRefused
        return None, plane

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IsDataPlane(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, DataPlane)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = DataPlaneToken
    name = "dataPlaneToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The token of a data plane."}


class BoundedJSONParser(BaseParser):
    """JSON, packed with gzip or not, up to a size that is looked at while unpacking."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        request = (parser_context or {})["request"]
        raw = stream.read(LARGEST_SENT + 1)
        if len(raw) > LARGEST_SENT:
            raise TooLarge
        if _is_packed(request):
            raw = _unpacked(raw)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise exceptions.ParseError("The body is no JSON.") from None


def _is_packed(request: HttpRequest) -> bool:
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity", "gzip"):
        raise exceptions.ParseError("Bodies are sent plain or with gzip.")
    return coding == "gzip"


def _unpacked(raw: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(raw, LARGEST_UNPACKED)
    except zlib.error:
        raise exceptions.ParseError("The body is not packed with gzip.") from None
    if unpacker.unconsumed_tail:
        raise TooLarge
    if not unpacker.eof:
        raise exceptions.ParseError("The packed body is cut off.")
    return found
