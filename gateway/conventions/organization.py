"""OpenAI's ``/v1/organization/usage/...`` and ``/v1/organization/costs``, read-only, for the payer of the key that asks.

Shapes and bounds are those of OpenAI's OpenAPI document of August 2026.
"""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, JsonResponse

from config.foundation.clock import now
from config.foundation.outcomes import Outcome
from gateway.contract.types import Denial
from gateway.conventions.caller import BadParameter, Caller, for_key, openai_refusal, whole_number
from gateway.conventions.figures import Bucket, usage_buckets, usd

# Width in seconds, default and highest number of buckets on a page.
WIDTHS = {"1m": (60, 60, 1440), "1h": (3600, 24, 168), "1d": (86_400, 7, 31)}
# What each kind of usage is made of: addresses of the entry.
KINDS = {
    "completions": ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
    "embeddings": ("/v1/embeddings",),
    "images": ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations"),
    "audio_speeches": ("/v1/audio/speech",),
    "audio_transcriptions": ("/v1/audio/transcriptions", "/v1/audio/translations"),
    "moderations": ("/v1/moderations",),
}
USAGE_GROUPS = ("user_id", "api_key_id", "model")
COST_GROUPS = ("api_key_id", "line_item")
# What OpenAI groups by and we have no use for: accepted, and null in the answer.
UNKNOWN_GROUPS = ("project_id", "batch", "service_tier")
NO_SUCH_KIND = Denial(Outcome.CLIENT_ERROR, 404, "not_found", "There is no such kind of usage here.")


@for_key(openai_refusal)
def usage(request: HttpRequest, caller: Caller, kind: str) -> JsonResponse:
    if kind not in KINDS:
        return openai_refusal(NO_SUCH_KIND)
    width_name = request.GET.get("bucket_width", "1d")
    if width_name not in WIDTHS:
        raise BadParameter("bucket_width", "1m, 1h or 1d")
    groups = _groups(request, USAGE_GROUPS)

    def result(bucket: Bucket) -> dict[str, Any]:
        return {
            "object": f"organization.usage.{kind}.result",
            "input_tokens": bucket.input_tokens,
            "input_cached_tokens": bucket.cached_tokens,
            "input_cache_write_tokens": bucket.cache_write_tokens,
            "input_uncached_tokens": bucket.input_tokens - bucket.cached_tokens,
            "output_tokens": bucket.output_tokens,
            "num_model_requests": bucket.call_count,
            "project_id": None,
            "batch": None,
            "service_tier": None,
            **{name: bucket.values.get(name) for name in USAGE_GROUPS},
        }

    return _page(request, caller, width_name, groups, result, KINDS[kind])


@for_key(openai_refusal)
def costs(request: HttpRequest, caller: Caller) -> JsonResponse:
    if request.GET.get("bucket_width", "1d") != "1d":
        raise BadParameter("bucket_width", "1d")
    groups = _groups(request, COST_GROUPS)

    def result(bucket: Bucket) -> dict[str, Any]:
        return {
            "object": "organization.costs.result",
            "amount": {"value": usd(bucket.cost_nano), "currency": "usd"},
            "project_id": None,
            "quantity": bucket.call_count,
            "quantity_unit": "requests",
            **{name: bucket.values.get(name) for name in COST_GROUPS},
        }

    return _page(request, caller, "1d", groups, result, None)


def _page(
    request: HttpRequest, caller: Caller, width_name: str, groups: list[str], result: Any, endpoints: tuple[str, ...] | None
) -> JsonResponse:
    """Buckets from ``start_time`` on, empty ones too; the next page begins where this one ends."""
    width, usual, most = WIDTHS[width_name]
    latest = int(now().timestamp())
    if not request.GET.get("start_time"):
        raise BadParameter("start_time", "given, in Unix seconds")
    start = whole_number(request, "start_time", 0, 0, latest + 86_400) // width * width
    end = whole_number(request, "end_time", latest + 1, 0, 2**40)
    end = min(end, latest + 1)
    limit = whole_number(request, "limit", usual, 1, most)
    start = max(start, whole_number(request, "page", start, 0, latest + 86_400) // width * width)
    stop = min(start + limit * width, end)
    found: dict[int, list[dict[str, Any]]] = {}
    for bucket in usage_buckets(
        caller,
        start=_moment(start),
        end=_moment(max(stop, start)),
        width_seconds=width,
        group_by=groups,
        endpoints=endpoints,
        models=request.GET.getlist("models") or request.GET.getlist("models[]") or None,
        key_ids=_key_ids(request),
    ):
        found.setdefault(bucket.start, []).append(result(bucket))
    data = [
        {"object": "bucket", "start_time": at, "end_time": min(at + width, end), "results": found.get(at, [])}
        for at in range(start, stop, width)
    ]
    has_more = stop < end
    return JsonResponse({"object": "page", "data": data, "has_more": has_more, "next_page": str(stop) if has_more else None})


def _groups(request: HttpRequest, allowed: tuple[str, ...]) -> list[str]:
    asked = request.GET.getlist("group_by") + request.GET.getlist("group_by[]")
    for name in asked:
        if name not in allowed and name not in UNKNOWN_GROUPS:
            raise BadParameter("group_by", " or ".join(allowed))
    return [name for name in allowed if name in asked]


def _key_ids(request: HttpRequest) -> list[int] | None:
    asked = request.GET.getlist("api_key_ids") + request.GET.getlist("api_key_ids[]")
    if any(not text.isdecimal() or len(text) > 18 for text in asked):
        raise BadParameter("api_key_ids", "numbers of keys")
    return [int(text) for text in asked] or None


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
