"""The API's error body (one shape everywhere) and keyset paging; settings name both, so nothing here imports views."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from config.foundation.errors import PortalError


class KeysetPagination(CursorPagination):
    """Pages by position, so that page 10,000 costs what page 1 costs; never counts the whole table."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = "-pk"

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        ordering = getattr(view, "keyset_ordering", self.ordering)
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.get_next_link(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {"type": "string", "nullable": True, "format": "uri", "description": "Address of the next page."},
                "results": schema,
            },
        }


class SelectorPagination(KeysetPagination):
    """For lists that a selector pages by ``before``: the same answer, no cursor parameter."""

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []


# DRF's words for what has a name in our own errors already.
CODES = {"permission_denied": "not_allowed", "invalid": "invalid_input", "parse_error": "invalid_input"}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """``{"error": {"code", "message", "fields"?}}`` with the status of the error's class."""
    if isinstance(error, PortalError):
        return Response({"error": {"code": error.code, "message": error.message, **error.details}}, status=error.http_status)
    response = drf_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        body: dict[str, Any] = {
            "code": "invalid_input",
            "message": "Some fields cannot be used as they are.",
            "fields": response.data,
        }
    elif isinstance(error, Http404 | exceptions.NotFound):
        body = {"code": "not_found", "message": "There is no such object, or it is not yours."}
    elif isinstance(error, PermissionDenied | exceptions.PermissionDenied):
        body = {"code": "not_allowed", "message": "Your role does not allow this."}
    else:
        code = getattr(error, "default_code", "error")
        body = {"code": CODES.get(code, code), "message": str(getattr(error, "detail", error))}
    response.data = {"error": body}
    return response
