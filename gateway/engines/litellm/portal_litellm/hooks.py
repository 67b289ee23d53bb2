"""What LiteLLM calls: who may call, what a call may cost, what it was.

In the proxy's configuration: ``custom_auth: portal_litellm.hooks.user_api_key_auth`` and
``callbacks: ["portal_litellm.hooks.callback"]``; in its environment LITELLM_WORKER_STARTUP_HOOKS=portal_litellm.hooks:start.
"""

import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import HTTPException, Request
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

from .calls import Call
from .estimate import estimate_of, units_of
from .figures import cost_nano, is_only_usage, text_size, usage_of
from .keys import INVALID_KEY, MISSING_KEY, NOT_FOUND, UNAVAILABLE, Refusal, model_refusal, refusal_of
from .options import from_environment
from .portal import PortalGone, PortalRefused
from .router import channel_of, install
from .worker import Worker

logger = logging.getLogger("portal_litellm")

MARK = "portal_request_id"
CALLS = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/moderations",
    "/v1/rerank", "/v1/images/generations", "/v1/images/edits", "/v1/audio/speech", "/v1/audio/transcriptions",
    "/v1/audio/translations",
)  # fmt: skip
ASKS_USAGE = ("/v1/chat/completions", "/v1/completions")
LISTS = ("/v1/models",)
UPSTREAM_BUSY = Refusal(429, "upstream_rate_limited", "The model is busy at the moment. Try again shortly.")
UPSTREAM_TIMEOUT = Refusal(504, "upstream_timeout", "The model's provider did not answer in time. Try again later.")
UPSTREAM_ERROR = Refusal(502, "upstream_error", "The model's provider failed. Try again later.")
KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")

_worker: Worker | None = None


async def start() -> None:
    """Run in each worker process of the proxy before it serves."""
    global _worker
    # The proxy must not start without what it needs to check a key.
    options = from_environment()
    _worker = Worker(options, install)
    await _worker.start()


def worker() -> Worker:
    if _worker is None:
        raise _error(UNAVAILABLE)
    return _worker


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """Check the key against the copy of the portal's keys. Raises ProxyException with a clean body."""
    ours = worker()
    path = _path_of(request)
    if path not in CALLS and not (request.method == "GET" and path.startswith(LISTS)):
        # Everything else the proxy can do is its operator's, not its callers'.
        raise _error(NOT_FOUND)
    presented = _presented(request, api_key)
    if not presented:
        raise _error(MISSING_KEY)
    digests = ours.options.digests_of(presented)
    row = ours.copy.find(digests)
    if row is None:
        await ours.look_again()
        row = ours.copy.find(digests)
    facts = {"endpoint": path}
    if ours.copy.is_stale or ours.is_draining:
        raise _refused(ours, facts, UNAVAILABLE)
    if row is None:
        raise _refused(ours, facts, INVALID_KEY)
    has_pin = "-" in presented.strip().removeprefix("sk-")
    refusal = refusal_of(row, _address_of(request, ours), has_pin=has_pin)
    if refusal is not None:
        raise _refused(ours, {**facts, "key_id": row["key_id"]}, refusal)
    account = row["account"]
    return UserAPIKeyAuth(
        # Not the key: LiteLLM passes on what stands here to logs and callbacks.
        api_key=row["key_hash"],
        key_alias=f"sk-...{row['tail']}",
        user_id=f"{account['kind']}-{account['id']}",
        rpm_limit=row["rpm"],
        tpm_limit=row["tpm"],
        max_parallel_requests=row["parallel"],
        metadata={"portal_key_hash": row["key_hash"], "portal_endpoint": path, "portal_address": _address_of(request, ours)},
    )


class PortalCallback(CustomLogger):
    """Admission before the call, events after it."""

    def __init__(self) -> None:
        super().__init__(turn_off_message_logging=True)

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: dict, call_type: Any) -> dict:
        ours = worker()
        known = user_api_key_dict.metadata or {}
        row = ours.copy.rows.get(known.get("portal_key_hash", ""))
        if row is None:
            raise _error(INVALID_KEY)
        name = data.get("model")
        name = name if isinstance(name, str) else ""
        endpoint = known.get("portal_endpoint", "")
        facts = {"key_id": row["key_id"], "endpoint": endpoint, "model_requested": name[:255]}
        refusal = model_refusal(ours.copy, row, name)
        if refusal is not None:
            raise _refused(ours, facts, refusal)
        est = {**estimate_of(data), **units_of(data, endpoint)}
        draw = ours.lender.admit(row, name, endpoint, est) if ours.lender is not None else None
        if draw is not None:
            call = ours.calls.begin(facts, est["input_tokens"], draw)
            self._stamp(call, _lent(ours, name), data)
            return data
        call = ours.calls.begin(facts, est["input_tokens"])
        asked = {
            "request_id": call.request_id,
            "key_hash": row["key_hash"],
            "model": name,
            "endpoint": endpoint,
            "client_ip": known.get("portal_address", ""),
            "is_stream": data.get("stream") is True,
            "est": est,
        }
        try:
            if ours.lender is not None:
                await ours.lender.make_room(row)
            decision = await _authorize(ours, asked)
        except (PortalGone, PortalRefused) as error:
            # Should the money be held all the same, this gives it back.
            ours.calls.finish(call, "not_dispatched", error_class="service_unavailable", http_status=503)
            logger.warning("No decision on call %s: %s", call.request_id, error)
            raise _error(UNAVAILABLE, call.request_id) from None
        except BaseException:
            ours.calls.finish(call, "not_dispatched")
            raise
        if decision["decision"] != "allow":
            ours.calls.forget(call)
            raise _denied(decision, call.request_id)
        if ours.lender is not None:
            # The next calls like this one need not be asked for.
            ours.lender.wish(row, name, endpoint, decision["reserved_nano"])
        self._stamp(call, decision, data)
        return data

    @staticmethod
    def _stamp(call: Call, decision: dict[str, Any], data: dict) -> None:
        """Our id, and what was decided, on the request; whatever a client put there under these names is gone."""
        resolved = decision["resolved"]
        call.model = resolved["public_name"]
        call.channels = frozenset(channel["id"] for channel in resolved["channels"])
        if decision["price_id"] is not None:
            call.facts["price_id"] = decision["price_id"]
        data["model"] = resolved["public_name"]
        for name in ("metadata", "litellm_metadata"):
            if name in data or name == "metadata":
                held = data.get(name)
                data[name] = {
                    **(held if isinstance(held, dict) else {}),
                    MARK: call.request_id,
                    "portal_model": call.facts.get("model_requested", ""),
                    "portal_price_id": decision["price_id"],
                }

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list,
        messages: Any,
        request_kwargs: dict | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict]:
        """Only channels that the decision named: others may be closed to the key's group."""
        call = _call_of(request_kwargs or {})
        if call is None or not call.channels:
            return healthy_deployments
        return [one for one in healthy_deployments if channel_of(one.get("model_info", {}).get("id")) in call.channels]

    async def async_pre_call_deployment_hook(self, kwargs: dict, call_type: Any) -> dict | None:
        """Ask an OpenAI-compatible upstream for the usage of a stream: LiteLLM does not always do so by itself."""
        call = _call_of(kwargs)
        if call is None or kwargs.get("stream") is not True or call.facts.get("endpoint") not in ASKS_USAGE:
            return None
        if kwargs.get("custom_llm_provider") != "openai" and not str(kwargs.get("model", "")).startswith("openai/"):
            return None
        given = kwargs.get("stream_options")
        given = given if isinstance(given, dict) else {}
        if given.get("include_usage") is not True:
            call.hides_usage = True
            kwargs["stream_options"] = {**given, "include_usage": True}
        return kwargs

    async def async_filter_listed_models(self, user_api_key_dict: Any, model_names: Sequence[str]) -> Sequence[str]:
        ours = worker()
        row = ours.copy.rows.get((user_api_key_dict.metadata or {}).get("portal_key_hash", ""))
        return [name for name in model_names if row is not None and ours.copy.may_call(row, name)]

    async def async_post_call_response_headers_hook(
        self, data: dict, user_api_key_dict: Any, response: Any, request_headers: Any = None, litellm_call_info: Any = None
    ) -> dict[str, str] | None:
        request_id = _mark_of(data)
        return {"x-request-id": request_id.replace("-", "")} if request_id else None

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict
    ) -> AsyncIterator[Any]:
        """Count what goes to the client, and notice when it leaves."""
        call = _call_of(request_data)
        try:
            async for piece in response:
                if call is not None:
                    if call.hides_usage and is_only_usage(piece):
                        continue
                    call.first_at = call.first_at or time.time()
                    call.chunks += 1
                    call.size += text_size(piece)
                yield piece
        except (GeneratorExit, BaseExceptionGroup, KeyboardInterrupt):
            _left(call)
            raise
        except BaseException as error:
            if not isinstance(error, Exception):
                # Cancelled: the client closed its connection.
                _left(call)
            raise
        else:
            if call is not None:
                call.ended = time.monotonic()

    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Exception, call_type: Any, fallback_depth: int | None = None
    ) -> None:
        """One attempt failed; another may follow."""
        call = _call_of(dict(request_data))
        if call is not None:
            worker().calls.attempt_failed(call, **_failure(exception, _deployment_id(dict(request_data))))

    async def async_log_success_event(self, kwargs: dict, response_obj: Any, start_time: Any, end_time: Any) -> None:
        call = _call_of(kwargs)
        if call is None:
            return
        payload = kwargs.get("standard_logging_object") or {}
        facts = {
            "channel_id": channel_of(payload.get("model_id")),
            "http_status": 200,
            "model_served": _served(payload, response_obj),
            "dp_cost_nano": cost_nano(payload),
            "upstream_request_id": _provider_id(response_obj),
            **usage_of(call, response_obj, payload),
        }
        worker().calls.finish(call, "ok", **facts)

    async def async_log_failure_event(self, kwargs: dict, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An attempt has failed; a stream that broke off has figures here. Whether another attempt follows is not said."""
        call = _call_of(kwargs)
        if call is None:
            return
        payload = kwargs.get("standard_logging_object") or {}
        error = kwargs.get("exception")
        if call.failure is None or call.chunks:
            call.failure = None
            facts = _failure(error, payload.get("model_id"))
            usage = usage_of(call, response_obj, payload) if call.chunks else {}
            worker().calls.attempt_failed(call, dp_cost_nano=cost_nano(payload), **facts, **usage)
        if call.is_over:
            worker().calls.finish_failed(call)

    async def async_post_call_failure_hook(
        self, request_data: dict, original_exception: Exception, user_api_key_dict: Any, traceback_str: str | None = None
    ) -> HTTPException | None:
        """What the client is told of a failed call: our words, without the provider's name."""
        if _mark_of(request_data) is None:
            return None
        call = _call_of(request_data)
        if call is not None:
            call.is_over = True
            # The figures of a stream come with another event; if they do not, the call ends without them soon.
            call.ended = call.ended or time.monotonic()
            has_begun = call.chunks > 0
            if call.failure is not None and (not has_begun or "usage" in call.failure):
                worker().calls.finish_failed(call)
            if has_begun:
                # LiteLLM ends the stream with an error of its own.
                return None
        return _told_as(_failure(original_exception, None)["http_status"])


callback = PortalCallback()


def _lent(ours: Worker, name: str) -> dict[str, Any]:
    """What the portal would answer for a call that draws on lent money; its price is the portal's to know."""
    assert ours.lender is not None
    resolved = {"public_name": ours.copy.model_of(name), "channels": ours.lender.channels_of(name)}
    return {"resolved": resolved, "price_id": None}


async def _authorize(ours: Worker, asked: dict[str, Any]) -> dict[str, Any]:
    """The portal's decision; asked twice, as the same question has one effect."""
    try:
        return await ours.portal.post("authorize", asked)
    except PortalGone:
        return await ours.portal.post("authorize", asked)


def _left(call: Call | None) -> None:
    if call is not None:
        call.is_aborted, call.ended = True, time.monotonic()


def _call_of(data: dict) -> Call | None:
    return worker().calls.get(_mark_of(data))


def _mark_of(data: dict) -> str | None:
    """Our id, wherever LiteLLM keeps the request's metadata."""
    params = data.get("litellm_params")
    for holder in (data, params if isinstance(params, dict) else {}):
        for name in ("metadata", "litellm_metadata"):
            found = holder.get(name)
            if isinstance(found, dict) and isinstance(found.get(MARK), str):
                return str(found[MARK])
    return None


def _failure(error: Any, deployment_id: object) -> dict[str, Any]:
    """Kind and status of an error, never its text: a provider repeats what it was sent."""
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else 504 if "timeout" in type(error).__name__.lower() else 502
    return {"http_status": status, "error_class": type(error).__name__[:64], "channel_id": channel_of(deployment_id)}


def _deployment_id(data: dict) -> object:
    for holder in (data, data.get("metadata"), data.get("litellm_metadata")):
        info = holder.get("model_info") if isinstance(holder, dict) else None
        if isinstance(info, dict) and info.get("id"):
            return info["id"]
    return None


class _Told(HTTPException):
    """LiteLLM reads ``type`` and ``provider_specific_fields`` off the exception."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(status_code=refusal.status, detail=refusal.message)
        self.type = refusal.code
        self.param = None
        self.provider_specific_fields = {"code": refusal.code}


def _told_as(status: int) -> HTTPException | None:
    """None leaves the provider's own words: what was wrong with the request only it knows."""
    if status == 429:
        return _Told(UPSTREAM_BUSY)
    if status in (408, 504):
        return _Told(UPSTREAM_TIMEOUT)
    return None if status in (400, 404, 413, 422) else _Told(UPSTREAM_ERROR)


def _served(payload: dict, response: Any) -> str:
    model = getattr(response, "model", None) or payload.get("model") or ""
    return str(model).replace("\0", "")[:255]


def _provider_id(response: Any) -> str:
    found = getattr(response, "id", None)
    return found.replace("\0", "")[:128] if isinstance(found, str) else ""


def _path_of(request: Request) -> str:
    path = request.url.path.rstrip("/")
    path = path.removeprefix("/api") if path.startswith("/api/v1/") else path
    return path if path.startswith("/v1/") else f"/v1{path}"


def _presented(request: Request, api_key: str) -> str:
    value = request.headers.get("authorization", "").strip()
    if value[:6].lower() == "bearer":
        value = value[6:].strip()
    return value or next((found for name in KEY_HEADERS if (found := request.headers.get(name, "").strip())), "") or api_key


def _address_of(request: Request, ours: Worker) -> str:
    if ours.options.is_behind_proxy:
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return request.client.host if request.client else ""


def _refused(ours: Worker, facts: dict[str, Any], refusal: Refusal) -> ProxyException:
    """A refusal of ours, reported to the portal, which did not see the call."""
    request_id = ours.calls.refuse(facts, refusal.status, refusal.code)
    return _error(refusal, request_id)


def _error(refusal: Refusal, request_id: str = "") -> ProxyException:
    headers = {"retry-after": "1"} if refusal.status == 503 else {}
    if request_id:
        headers["x-request-id"] = request_id.replace("-", "")
    return ProxyException(
        message=refusal.message,
        type=refusal.code,
        param=None,
        code=refusal.status,
        headers=headers,
        provider_specific_fields={"code": refusal.code},
    )


def _denied(decision: dict[str, Any], request_id: str) -> ProxyException:
    """The portal's refusal, in its words."""
    error = decision.get("body", {}).get("error", {})
    headers = {"x-request-id": request_id.replace("-", "")}
    if decision.get("retry_after_seconds"):
        headers["retry-after"] = str(decision["retry_after_seconds"])
    return ProxyException(
        message=str(error.get("message", "")),
        type=decision["code"],
        param=error.get("param"),
        code=decision["http_status"],
        headers=headers,
        provider_specific_fields={"code": decision["code"]},
    )
