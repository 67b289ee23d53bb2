"""A double of an old gateway, so that a newcomer can see calls of a person who has not moved yet.

Run: ``python -m gateway.demo_old_gateway --port 9200``. It takes any key in the old way (``Bearer`` and ``sk-`` optional),
answers chat calls by itself with the header ``X-Oneapi-Request-Id``, and remembers per call a short digest of the bare key
and the model, never the key: ``GET /__calls``, forgotten by ``POST /__reset``.
"""

import argparse
import hashlib
import secrets
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream.script import CREATED, script_for

REMEMBERED = 10_000


@dataclass
class Calls:
    """The newest calls; of each key a digest."""

    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


CALLS = web.AppKey("calls", Calls)


def key_digest(bare: str) -> str:
    """What ``/__calls`` shows for a bare key (without ``sk-``): the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(bare.encode()).hexdigest()[:12]


def _bare_key(request: web.Request) -> str:
    presented = request.headers.get("Authorization", "").strip()
    if presented[:7].lower() == "bearer ":
        presented = presented[7:].strip()
    return presented.removeprefix("sk-").partition("-")[0]


def _answer(status: int, body: dict[str, Any]) -> web.Response:
    headers = {"X-Oneapi-Request-Id": secrets.token_hex(12)}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


async def _chat(request: web.Request) -> web.StreamResponse:
    bare = _bare_key(request)
    raw = await request.read()
    if not bare:
        return _answer(401, {"error": {"message": "no key was sent", "type": "one_api_error"}})
    body = orjson.loads(raw)
    script = script_for(raw, body)
    request.app[CALLS].newest.append({"key": key_digest(bare), "model": script.model, "stream": bool(body.get("stream"))})
    head = {"id": script.answer_id, "created": CREATED, "model": script.model}
    if body.get("stream"):
        headers = {"Content-Type": "text/event-stream", "X-Oneapi-Request-Id": secrets.token_hex(12)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for word in script.words():
            choices = [{"index": 0, "delta": {"content": word}, "finish_reason": None}]
            event = {**head, "object": "chat.completion.chunk", "choices": choices}
            await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
        choices = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        last = {**head, "object": "chat.completion.chunk", "choices": choices}
        await response.write(b"data: " + orjson.dumps(last) + b"\n\n" + b"data: [DONE]\n\n")
        return response
    text = "".join(script.words()).strip() + " (old entry)"
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    return _answer(200, {**head, "object": "chat.completion", "choices": choices, "usage": script.usage()})


async def _models(request: web.Request) -> web.Response:
    if not _bare_key(request):
        return _answer(401, {"error": {"message": "no key was sent", "type": "one_api_error"}})
    return _answer(200, {"object": "list", "data": [{"id": "old-model", "object": "model", "owned_by": "old"}]})


async def _calls(request: web.Request) -> web.Response:
    calls = list(request.app[CALLS].newest)
    return web.Response(body=orjson.dumps({"total": len(calls), "calls": calls}), content_type="application/json")


async def _reset(request: web.Request) -> web.Response:
    request.app[CALLS].newest.clear()
    return web.Response(status=204)


async def _subscription(request: web.Request) -> web.Response:
    """In One API's shape; the double keeps no accounts, so everybody has the same limit."""
    limit = {"soft_limit_usd": 3.5, "hard_limit_usd": 3.5, "system_hard_limit_usd": 3.5}
    return _answer(200, {"object": "billing_subscription", "has_payment_method": True, **limit, "access_until": 0})


def build() -> web.Application:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[CALLS] = Calls()
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/dashboard/billing/subscription", _subscription)
    app.router.add_get("/__calls", _calls)
    app.router.add_post("/__reset", _reset)
    return app


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A double of an old gateway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9200)
    chosen = parser.parse_args(arguments)
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    web.run_app(build(), host=chosen.host, port=chosen.port, access_log=None, print=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
