"""The demo upstream's addresses and its command line."""

import argparse
import asyncio
import sys
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream import chat, dialects, media, videos
from gateway.demo_upstream.script import CALLS, CREATED, DOWN, FAILURES, Calls

POSTS = {
    "/v1/chat/completions": chat.complete,
    "/v1/completions": chat.complete,
    "/v1/embeddings": chat.embed,
    "/v1/responses": dialects.responses,
    "/v1/messages": dialects.messages,
    "/v1/messages/count_tokens": dialects.count_tokens,
    "/v1/moderations": media.moderate,
    "/v1/rerank": media.rerank,
    "/v1/images/generations": media.images,
    "/v1/images/edits": media.images,
    "/v1/images/variations": media.images,
    "/v1/audio/speech": media.speech,
    "/v1/audio/transcriptions": media.transcript,
    "/v1/audio/translations": media.transcript,
}


async def _models(request: web.Request) -> web.Response:
    names = ["demo-chat", "demo-embedding", *FAILURES]
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "demo"} for name in names]
    return web.Response(body=orjson.dumps({"object": "list", "data": data}), content_type="application/json")


async def _calls(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(request.app[CALLS].as_dict()), content_type="application/json")


async def _reset(request: web.Request) -> web.Response:
    request.app[CALLS].__init__()  # type: ignore[misc]
    request.app[DOWN].clear()
    request.app[videos.JOBS].clear()
    return web.Response(status=204)


async def _down(request: web.Request) -> web.Response:
    asked = await request.json()
    request.app[DOWN][str(asked["model"])] = int(asked["status"])
    return web.Response(status=204)


@web.middleware
async def _count_aborts(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except (asyncio.CancelledError, ConnectionResetError):
        request.app[CALLS].aborted += 1
        raise
    return response


def build() -> web.Application:
    app = web.Application(client_max_size=128 * 1024 * 1024, middlewares=[_count_aborts])
    app[CALLS] = Calls()
    app[DOWN] = {}
    for path, handler in POSTS.items():
        app.router.add_post(path, handler)
    videos.add_to(app)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/__calls", _calls)
    app.router.add_post("/__reset", _reset)
    app.router.add_post("/__down", _down)
    return app


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible upstream.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    chosen = parser.parse_args(arguments)
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    web.run_app(
        build(), host=chosen.host, port=chosen.port, access_log=None, handler_cancellation=True, print=None, shutdown_timeout=1
    )
