"""Attempts at upstreams: what is sent, what may be tried again, and when a call counts as failed."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from config.foundation.outcomes import Outcome
from config.foundation.redaction import mask
from gateway.contract import denials
from gateway.contract.types import Candidate, Denial, UpstreamView
from gateway.relay.call import Call

MOST_ATTEMPTS = 4
CONNECT_SECONDS = 10
# An error body longer than this tells a client nothing.
MOST_ERROR_BYTES = 64 * 1024
# Addresses and host names: an upstream's own words must not say where they come from.
_ADDRESS = re.compile(
    r"(?i)\b(?:[a-z][a-z0-9+.-]*://[^\s'\"]+|(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|cn|dev|cloud|app|local|internal)\b[^\s'\"]*)"
)
# What a client says about the wire format it speaks goes on; nothing else of its headers does.
PASSED_HEADERS = {
    "anthropic": ((b"anthropic-version", "2023-06-01"), (b"anthropic-beta", "")),
    "openai": ((b"openai-beta", ""),),
}


@dataclass(slots=True)
class AttemptFailed(Exception):
    """An attempt that brought nothing. ``may_retry``: another upstream may do better."""

    denial: Denial
    may_retry: bool
    status: int = 0
    error: str = ""
    param: str | None = None
    retry_after: bytes = b""
    # None: another model may answer wherever another upstream might have.
    falls_back: bool | None = None

    @property
    def may_fall_back(self) -> bool:
        return self.may_retry if self.falls_back is None else self.falls_back


def order_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By priority; among equals at random, in proportion to their weights. At most ``MOST_ATTEMPTS``."""
    if len(candidates) == 1:
        return list(candidates)
    tiers: dict[int, list[Candidate]] = {}
    for one in candidates:
        tiers.setdefault(one.upstream.priority, []).append(one)
    ordered: list[Candidate] = []
    for priority in sorted(tiers, reverse=True):
        # Sorting by u^(1/weight), largest first, draws without return in proportion to the weights.
        tier = [(random.random() ** (1 / max(one.upstream.weight, 0.01)), one) for one in tiers[priority]]  # noqa: S311
        ordered += [one for _, one in sorted(tier, key=lambda pair: pair[0], reverse=True)]
    return ordered[:MOST_ATTEMPTS]


def payload_for(call: Call, candidate: Candidate) -> bytes:
    """The client's body with the model's name at the upstream, and usage asked for in a stream.

    It is written anew even when nothing changes: of a name given twice the upstream would see what we did not price.
    """
    body = dict(call.body)
    body["model"] = candidate.upstream_name
    if call.is_stream and call.spec.asks_usage:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return orjson.dumps(body)


def client_wants_usage(call: Call) -> bool:
    options = call.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


@lru_cache(maxsize=4096)
def url_of(base_url: str, endpoint: str) -> URL:
    """The address of an endpoint; a base URL that already ends in /v1 is taken as it is."""
    base = base_url.removesuffix("/v1")
    return URL(base + endpoint)


def headers_for(call: Call, upstream: UpstreamView) -> CIMultiDictProxy[str]:
    """Only these headers reach an upstream: none of the client's that could hold a key of a person."""
    passed = tuple(
        (name.decode(), value)
        for name, default in PASSED_HEADERS[call.spec.protocol]
        if (value := call.headers.get(name, b"").decode("latin-1")[:500] or default)
    )
    return _headers(upstream.credential, call.spec.protocol, passed)


@lru_cache(maxsize=1024)
def _headers(credential: str, protocol: str, passed: tuple[tuple[str, str], ...]) -> CIMultiDictProxy[str]:
    headers = CIMultiDict({"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "portal-relay"})
    if credential and protocol == "anthropic":
        headers["X-Api-Key"] = credential
    elif credential:
        headers["Authorization"] = f"Bearer {credential}"
    headers.extend(passed)
    return CIMultiDictProxy(headers)


def form_headers(call: Call, candidate: Candidate) -> CIMultiDict[str]:
    """The same for a form."""
    assert call.form is not None
    headers = CIMultiDict(headers_for(call, candidate.upstream))
    headers["Content-Type"] = call.form.content_type.decode("latin-1")
    headers["Content-Length"] = str(call.form.length_with(candidate.upstream_name))
    return headers


@lru_cache(maxsize=64)
def timeout_of(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)


async def open_attempt(
    session: aiohttp.ClientSession, call: Call, candidate: Candidate, seconds: int, since: float
) -> aiohttp.ClientResponse:
    """Send the call; a response with status 200 comes back. Raises AttemptFailed, which is noted on the call."""
    upstream = candidate.upstream
    payload: bytes | AsyncIterator[bytes]
    headers: Mapping[str, str]
    if call.form is None:
        payload, headers = payload_for(call, candidate), headers_for(call, upstream)
    else:
        payload, headers = call.form.with_model(candidate.upstream_name), form_headers(call, candidate)
    try:
        response = await session.post(
            url_of(upstream.base_url, call.endpoint),
            data=payload,
            headers=headers,
            timeout=timeout_of(min(upstream.timeout_seconds, seconds)),
            allow_redirects=False,
        )
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        failed = failure_of(error, call)
        call.note(candidate, 0, since, failed.error)
        raise failed from None
    if response.status == 200:
        return response
    try:
        failed = await refusal_of(response, call)
    finally:
        response.release()
    call.note(candidate, response.status, since, failed.error)
    raise failed


def failure_of(error: BaseException, call: Call) -> AttemptFailed:
    """What a broken connection or a time-out means for the call."""
    if isinstance(error, asyncio.TimeoutError):
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return AttemptFailed(denials.UPSTREAM_ERROR, True, error="connect_timeout")
        return AttemptFailed(denials.UPSTREAM_TIMEOUT, False, error="timeout", falls_back=not call.spec.is_create)
    # Once it was sent, nobody knows whether a work was made: a second one is not asked for.
    was_sent = not isinstance(error, aiohttp.ClientConnectorError)
    return AttemptFailed(denials.UPSTREAM_ERROR, not (call.spec.is_create and was_sent), error=type(error).__name__)


def bad_answer(call: Call, error: str, status: int = 200) -> AttemptFailed:
    """A 200 that holds no answer."""
    return AttemptFailed(denials.UPSTREAM_ERROR, not call.spec.is_create, status, error)


async def refusal_of(response: aiohttp.ClientResponse, call: Call, raw: bytes | None = None) -> AttemptFailed:
    """What a status other than 200 means for the call; ``raw`` is its body where that was read already."""
    status = response.status
    asked = call.decision.asked_model
    if status in {400, 413, 415, 422}:
        return await _wrong_request(response, raw)
    if status == 429:
        after = response.headers.get("Retry-After", "")
        return AttemptFailed(
            denials.upstream_busy(asked), True, status, "rate_limited", retry_after=after.encode() if after.isdigit() else b""
        )
    if status in {404, 503, 529}:
        return AttemptFailed(denials.model_unavailable(asked), not call.spec.is_create or status == 404, status, "unavailable")
    if status in {408, 504, 524}:
        return AttemptFailed(denials.UPSTREAM_TIMEOUT, False, status, "timeout", falls_back=not call.spec.is_create)
    if status in {401, 402, 403}:
        return AttemptFailed(denials.UPSTREAM_ERROR, True, status, "credential")
    return AttemptFailed(denials.UPSTREAM_ERROR, not call.spec.is_create, status, "status")


async def _wrong_request(response: aiohttp.ClientResponse, raw: bytes | None) -> AttemptFailed:
    """The upstream finds the request wrong: its own words help the client, without anything that looks like a secret."""
    message, code, param = "", "invalid_request", None
    try:
        found = raw if raw is not None else await response.content.read(MOST_ERROR_BYTES)
        error = orjson.loads(found or b"{}").get("error")
    except (orjson.JSONDecodeError, AttributeError, aiohttp.ClientError, TimeoutError):
        error = None
    if isinstance(error, dict):
        message = _text(error.get("message"), 2000)
        code = _text(error.get("code"), 64) or code
        param = _text(error.get("param"), 200) or None
    outcome = Outcome.UNSUPPORTED_INPUT if response.status == 415 else Outcome.CLIENT_ERROR
    denial = denials.refused_by_provider(outcome, response.status, code, message)
    return AttemptFailed(denial, False, response.status, "refused", param)


def _text(value: Any, most: int) -> str:
    return _ADDRESS.sub("(address)", mask(value))[:most] if isinstance(value, str) else ""


def since_now() -> float:
    return time.perf_counter()
