"""Who asks: the key in the headers, checked as the relay checks it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.models import Group, User
from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.error_shapes import OPENAI_TYPES
from gateway.contract.loading import load_keys
from gateway.contract.resolve import check_key
from gateway.contract.types import Ask, Denial, KeyView
from gateway.relay.client import address_of, headers_of, presented_key
from keys.models import ApiKey
from keys.secrets import candidate_digests, normalise

READ_ONLY = Denial(
    Outcome.CLIENT_ERROR, 405, "read_only", "Only reading is possible at this address. Change keys and limits in the portal."
)
Refusal = Callable[[Denial], JsonResponse]


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that is accepted now, and who pays for it: a person or a team."""

    view: KeyView
    key: ApiKey
    person: User | None
    team: Group | None

    @property
    def group(self) -> Group | None:
        """The group whose models and prices apply."""
        return self.team or (self.person.billing_group if self.person else None)


def openai_refusal(denial: Denial) -> JsonResponse:
    """OpenAI's error body, which OpenRouter's tools read as well."""
    kind = OPENAI_TYPES.get(denial.http_status, "api_error")
    body = {"error": {"message": denial.message, "type": kind, "param": None, "code": denial.code}}
    return JsonResponse(body, status=denial.http_status)


def new_api_refusal(denial: Denial) -> JsonResponse:
    """New API's envelope, with a true HTTP status."""
    return JsonResponse({"success": False, "message": denial.message, "code": denial.code}, status=denial.http_status)


def for_key(refusal: Refusal) -> Callable[[Callable[..., JsonResponse]], Callable[..., Any]]:
    """Makes a view that is given the Caller; only GET, never stored by a cache, and no session counts."""

    def decorate(view: Callable[..., JsonResponse]) -> Callable[..., Any]:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, *arguments: Any, **named: Any) -> JsonResponse:
            if request.method not in ("GET", "HEAD"):
                response = refusal(READ_ONLY)
                response["Allow"] = "GET"
                return response
            found = caller_of(request)
            response = (
                refusal(found) if isinstance(found, Denial) else _asked(view, refusal, request, found, *arguments, **named)
            )
            response["Cache-Control"] = "no-store"
            return response

        return answer

    return decorate


def caller_of(request: HttpRequest) -> Caller | Denial:
    """The caller, or why there is none."""
    scope = {
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers.items()
        ],
        "client": (request.META.get("REMOTE_ADDR", ""), 0),
    }
    headers = headers_of(scope)
    sent = presented_key(headers)
    presented = normalise(sent) if sent else None
    if presented is None:
        return denials.INVALID_KEY if sent else denials.MISSING_KEY
    with connection.cursor() as cursor:
        views = list(load_keys(cursor, candidate_digests(presented.bare)).values())
    if not views:
        return denials.INVALID_KEY
    view = views[0]
    refused = check_key(view, Ask("", address_of(scope, headers), presented.pin is not None), now())
    if refused is not None:
        return refused
    key = ApiKey.objects.select_related("owner__billing_group", "team").get(pk=view.id)
    return Caller(view, key, key.owner, key.team)


class BadParameter(Exception):
    """A parameter that cannot be read; says which and what would be right."""

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(name)
        self.denial = Denial(Outcome.CLIENT_ERROR, 400, "invalid_parameter", f"'{name}' must be {wanted}.")


def whole_number(request: HttpRequest, name: str, default: int, lowest: int, highest: int) -> int:
    """A query parameter as an integer within bounds; raises BadParameter."""
    text = request.GET.get(name, "").strip()
    if not text:
        return default
    if not text.lstrip("-").isdecimal() or len(text) > 18 or not lowest <= int(text) <= highest:
        raise BadParameter(name, f"a whole number from {lowest} to {highest}")
    return int(text)


def _asked(view: Callable[..., JsonResponse], refusal: Refusal, *arguments: Any, **named: Any) -> JsonResponse:
    try:
        return view(*arguments, **named)
    except BadParameter as error:
        return refusal(error.denial)
