"""Which addresses go to the relay and which to Django."""

import asyncio

import pytest
from asgiref.testing import ApplicationCommunicator

from config import asgi

SEEN = []


async def relay(scope, receive, send):
    SEEN.append(scope.get("path", scope["type"]))
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        return
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(autouse=True)
def relay_that_only_remembers(monkeypatch):
    SEEN.clear()
    monkeypatch.setattr(asgi, "_relay", lambda: relay)


async def status_of(path, method="GET"):
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"localhost")], "query_string": b""}
    app = ApplicationCommunicator(asgi.application, {**scope, "http_version": "1.1", "scheme": "http"})
    await app.send_input({"type": "http.request", "body": b""})
    return (await app.receive_output(10))["status"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/api/v1/models", "/v1/", "/v1/unknown"])
def test_the_unified_entry_is_the_relays(path):
    assert asyncio.run(status_of(path)) == 299
    assert [path] == SEEN


@pytest.mark.parametrize("path", ["/healthz", "/v1", "/v1beta/models", "/api/v1", "/api/v10/x", "/x/v1/models", "/V1/models"])
def test_everything_else_is_djangos(path):
    assert asyncio.run(status_of(path)) in (200, 404)
    assert SEEN == []


def test_start_and_end_are_the_relays():
    async def start():
        app = ApplicationCommunicator(asgi.application, {"type": "lifespan", "asgi": {"version": "3.0"}})
        await app.send_input({"type": "lifespan.startup"})
        return await app.receive_output(5)

    assert asyncio.run(start()) == {"type": "lifespan.startup.complete"}
    assert SEEN == ["lifespan"]


def test_a_web_socket_under_the_entry_is_the_relays_to_refuse():
    async def connect():
        scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b""}
        app = ApplicationCommunicator(asgi.application, scope)
        await app.send_input({"type": "websocket.connect"})
        await app.receive_output(10)

    asyncio.run(connect())
    assert SEEN == ["/v1/realtime"]
