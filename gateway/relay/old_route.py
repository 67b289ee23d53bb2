"""Calls of people who have not moved: forwarded to the old entry as they came, with the caller's own key, at no cost here."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.resolve import clean_name
from gateway.relay.call import Call
from gateway.relay.client import presented_key
from gateway.relay.exchange import BodyTooLarge, ClientGone, Exchange
from gateway.relay.options import options
from gateway.relay.passing import PassedBody
from gateway.relay.upstream import since_now, timeout_of

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

# Headers that belong to one connection, not to the request or the answer.
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"host", b"content-length", b"expect",
    }
)  # fmt: skip
OUTCOMES = {
    401: Outcome.BAD_KEY,
    402: Outcome.NO_BALANCE,
    403: Outcome.NO_RIGHTS,
    404: Outcome.UNKNOWN_MODEL,
    408: Outcome.TIMEOUT,
    429: Outcome.RATE_LIMITED,
    503: Outcome.MODEL_UNAVAILABLE,
    504: Outcome.TIMEOUT,
}
CLIENT_GONE = 499


async def forward(
    runtime: "Runtime", call: Call, exchange: Exchange, method: str, path: str, query: bytes, body: PassedBody
) -> None:
    """Pass the request on and stream the answer back, whatever it is."""
    with runtime.serving(exchange):
        if not body.is_whole:
            # Two cannot wait for what the client sends: a hang-up shows in the body until that has come to its end.
            exchange.unwatch()
            task = asyncio.current_task()
            body.on_end = lambda: exchange.watch(task)
        await _forward(runtime, call, exchange, method, path, query, body)


async def _forward(
    runtime: "Runtime", call: Call, exchange: Exchange, method: str, path: str, query: bytes, body: PassedBody
) -> None:
    since = since_now()
    status = 0
    try:
        url = URL(
            call.decision.old_base_url.removesuffix("/v1") + path + (f"?{query.decode('latin-1')}" if query else ""),
            encoded=True,
        )
        async with runtime.old_session.request(
            method,
            url,
            data=body.payload,
            headers=_headers(exchange, call, body),
            timeout=timeout_of(options().upstream_seconds),
            allow_redirects=False,
        ) as response:
            status = response.status
            _note_asked(call, body)
            await _send_back(response, call, exchange)
        _record(runtime, call, _outcome(status), status, "" if status < 400 else f"old_entry_{status}", since)
    except asyncio.CancelledError:
        _record(runtime, call, Outcome.CANCELLED, CLIENT_GONE, "client_gone" if exchange.is_gone else "relay_stopped", since)
        if not exchange.is_gone:
            raise
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        _note_asked(call, body)
        if body.broken is ClientGone:
            _record(runtime, call, Outcome.CANCELLED, CLIENT_GONE, "client_gone", since)
            return
        denial = denials.OLD_ENTRY_TIMED_OUT if isinstance(error, TimeoutError) else denials.OLD_ENTRY_FAILED
        if body.broken is BodyTooLarge and not exchange.is_started:
            denial = denials.TOO_LARGE
        if exchange.is_started:
            _record(runtime, call, Outcome.CUT_STREAM, status, "stream_cut", since)
            await exchange.write(b"", more=False)
        else:
            _record(runtime, call, denial.outcome, denial.http_status, denial.code, since)
            await exchange.refuse(denial)


async def _send_back(response: aiohttp.ClientResponse, call: Call, exchange: Exchange) -> None:
    extra = [
        (name.lower(), value)
        for name, value in response.raw_headers
        if name.lower() not in HOP_BY_HOP
        and name.lower() not in {b"content-type", b"x-request-id"}
        # Whether a page of another site may read the answer is said once, by us.
        and not name.lower().startswith(b"access-control-")
    ]
    if "Content-Length" in response.headers:
        extra.append((b"content-length", response.headers["Content-Length"].encode()))
    content_type = response.headers.get("Content-Type", "application/octet-stream").encode()
    await exchange.start(response.status, content_type, extra)
    async for part in response.content.iter_any():
        call.mark_first_token()
        await exchange.write(part)
    await exchange.write(b"", more=False)


def _note_asked(call: Call, body: PassedBody) -> None:
    """What a body that was not read before said on its way."""
    call.is_stream = body.is_stream
    if body.model and not call.decision.asked_model:
        call.decision = replace(call.decision, asked_model=clean_name(body.model))


def _headers(exchange: Exchange, call: Call, body: PassedBody) -> CIMultiDict[str]:
    """The client's headers; a key sent in another header is also put where old gateways look for it."""
    headers: CIMultiDict[str] = CIMultiDict()
    if not body.is_whole and b"content-length" in exchange.headers:
        headers["Content-Length"] = exchange.headers[b"content-length"].decode("latin-1")
    for name, value in exchange.scope["headers"]:
        if name.lower() not in HOP_BY_HOP:
            headers.add(name.decode("latin-1"), value.decode("latin-1"))
    if "authorization" not in headers:
        headers["Authorization"] = f"Bearer {presented_key(exchange.headers)}"
    before = headers.popall("x-forwarded-for", [])
    headers["X-Forwarded-For"] = ", ".join([*before, call.address]) if call.address else ", ".join(before)
    return headers


def _outcome(status: int) -> Outcome:
    if status < 400:
        return Outcome.OK
    return OUTCOMES.get(status, Outcome.CLIENT_ERROR if status < 500 else Outcome.UPSTREAM_ERROR)


def _record(runtime: "Runtime", call: Call, outcome: Outcome, status: int, code: str, since: float) -> None:
    call.note_attempt(0, status, since, code)
    runtime.end(call, call.failed(outcome, status, code))
