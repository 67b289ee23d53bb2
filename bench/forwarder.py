"""The least a proxy in Python does, with aiohttp: look the key up in a dict, forward, read the usage. Charges nothing.

``KEYS`` (JSON list) and ``UPSTREAM`` come from the environment; ``python -m bench.forwarder --port N``.
"""

import argparse
import json
import os

import uvloop
from aiohttp import ClientSession, TCPConnector, web

KEYS = set(json.loads(os.environ.get("KEYS", "[]")))
UPSTREAM = os.environ.get("UPSTREAM", "")


async def forward(request: web.Request) -> web.StreamResponse:
    if request.headers.get("authorization", "")[7:] not in KEYS:
        return web.json_response({"error": {"message": "no such key"}}, status=401)
    body = await request.read()
    headers = {"content-type": "application/json", "authorization": "Bearer upstream"}
    async with request.app["client"].post(UPSTREAM + request.path, data=body, headers=headers) as answer:
        if answer.content_type != "text/event-stream":
            text = await answer.read()
            assert json.loads(text)["usage"]["total_tokens"] > 0
            return web.Response(body=text, content_type=answer.content_type)
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        async for piece in answer.content.iter_any():
            await stream.write(piece)
        await stream.write_eof()
        return stream


async def healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def build() -> web.Application:
    app = web.Application()
    app["client"] = ClientSession(connector=TCPConnector(limit=0))
    app.router.add_post("/v1/chat/completions", forward)
    app.router.add_get("/healthz", healthy)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.install()
    web.run_app(build(), host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=None)
