"""Attempts at upstreams: what is sent, what may be tried again, and when a call counts as failed."""

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
from gateway.relay.wires import ConnectFailed, ConnectTimedOut, Place, Reply, Wires

MOST_ATTEMPTS = 4
CONNECT_SECONDS = 10
# Statuses with which an upstream says that the request is wrong.
WRONG_REQUEST = frozenset({400, 413, 415, 422})
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
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # It could be read, but not be written again. No attempt was made.
        raise AttemptFailed(denials.TOO_DEEP, False, error="too_deep") from None


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
    return _headers(upstream.credential, call.spec.protocol, _passed(call))


def _passed(call: Call) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode(), value)
        for name, default in PASSED_HEADERS[call.spec.protocol]
        if (value := call.headers.get(name, b"").decode("latin-1")[:500] or default)
    )


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


@lru_cache(maxsize=1024)
def _head(
    base_url: str, endpoint: str, credential: str, protocol: str, passed: tuple[tuple[str, str], ...]
) -> tuple[Place, bytes]:
    """Where a call goes and the head of its request as far as it is the same for every call."""
    url = url_of(base_url, endpoint)
    return _place(url), _rendered(url, _headers(credential, protocol, passed))


def _place(url: URL) -> Place:
    return Place(url.raw_host or "", url.port or 80, url.scheme == "https")


def _rendered(url: URL, headers: Mapping[str, str]) -> bytes:
    """A request's first line and headers, without the empty line behind them; raises ValueError for what would be two."""
    lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ValueError("a header must be one line")
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=64)
def timeout_of(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)


async def open_attempt(wires: Wires, call: Call, candidate: Candidate, seconds: int, since: float) -> Reply:
    """Send the call; a reply with status 200 comes back. Raises AttemptFailed, which is noted on the call."""
    upstream = candidate.upstream
    payload: bytes | AsyncIterator[bytes]
    try:
        if call.form is None:
            payload = payload_for(call, candidate)
            place, head = _head(upstream.base_url, call.endpoint, upstream.credential, call.spec.protocol, _passed(call))
            head += b"\r\nContent-Length: %d\r\n\r\n" % len(payload)
        else:
            url = url_of(upstream.base_url, call.endpoint)
            payload = call.form.with_model(candidate.upstream_name)
            place, head = _place(url), _rendered(url, form_headers(call, candidate)) + b"\r\n\r\n"
        reply = await wires.post(place, head, payload, min(upstream.timeout_seconds, seconds))
    except (OSError, ValueError) as error:
        failed = failure_of(error, call)
        call.note(candidate, 0, since, failed.error)
        raise failed from None
    if reply.status == 200:
        return reply
    try:
        raw = await reply.read(MOST_ERROR_BYTES) if reply.status in WRONG_REQUEST else b""
    except OSError:
        raw = b""
    finally:
        reply.release()
    failed = refusal_of(call, reply.status, reply.headers.get(b"retry-after", b""), raw)
    call.note(candidate, reply.status, since, failed.error)
    raise failed


def failure_of(error: BaseException, call: Call) -> AttemptFailed:
    """What a broken connection or a time-out means for the call."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | ConnectTimedOut):
        return AttemptFailed(denials.UPSTREAM_ERROR, True, error="connect_timeout")
    if isinstance(error, TimeoutError):
        return AttemptFailed(denials.UPSTREAM_TIMEOUT, False, error="timeout", falls_back=not call.spec.is_create)
    # Once it was sent, nobody knows whether a work was made: a second one is not asked for.
    was_sent = not isinstance(error, aiohttp.ClientConnectorError | ConnectFailed)
    return AttemptFailed(denials.UPSTREAM_ERROR, not (call.spec.is_create and was_sent), error=type(error).__name__)


def bad_answer(call: Call, error: str, status: int = 200) -> AttemptFailed:
    """A 200 that holds no answer."""
    return AttemptFailed(denials.UPSTREAM_ERROR, not call.spec.is_create, status, error)


def refusal_of(call: Call, status: int, retry_after: bytes, raw: bytes) -> AttemptFailed:
    """What a status other than 200 means for the call; ``raw`` is what the upstream says about a wrong request."""
    asked = call.decision.asked_model
    if status in WRONG_REQUEST:
        return _wrong_request(status, raw)
    if status == 429:
        after = retry_after if retry_after.isdigit() else b""
        return AttemptFailed(denials.upstream_busy(asked), True, status, "rate_limited", retry_after=after)
    if status in {404, 503, 529}:
        return AttemptFailed(denials.model_unavailable(asked), not call.spec.is_create or status == 404, status, "unavailable")
    if status in {408, 504, 524}:
        return AttemptFailed(denials.UPSTREAM_TIMEOUT, False, status, "timeout", falls_back=not call.spec.is_create)
    if status in {401, 402, 403}:
        return AttemptFailed(denials.UPSTREAM_ERROR, True, status, "credential")
    return AttemptFailed(denials.UPSTREAM_ERROR, not call.spec.is_create, status, "status")


def _wrong_request(status: int, raw: bytes) -> AttemptFailed:
    """The upstream finds the request wrong: its own words help the client, without anything that looks like a secret."""
    message, code, param = "", "invalid_request", None
    try:
        error = orjson.loads(raw or b"{}").get("error")
    except (orjson.JSONDecodeError, AttributeError):
        error = None
    if isinstance(error, dict):
        message = _text(error.get("message"), 2000)
        code = _text(error.get("code"), 64) or code
        param = _text(error.get("param"), 200) or None
    outcome = Outcome.UNSUPPORTED_INPUT if status == 415 else Outcome.CLIENT_ERROR
    denial = denials.refused_by_provider(outcome, status, code, message)
    return AttemptFailed(denial, False, status, "refused", param)


def _text(value: Any, most: int) -> str:
    return _ADDRESS.sub("(address)", mask(value.replace("\0", "")))[:most] if isinstance(value, str) else ""


def since_now() -> float:
    return time.perf_counter()
