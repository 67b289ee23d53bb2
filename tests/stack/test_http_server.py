"""The HTTP side of web and relay: what a client may send, and what it gets, byte by byte over real sockets."""

import asyncio
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from uvicorn.server import ServerState

from config.http_server import clock
from config.http_server import connection as connection_module
from config.http_server.connection import MOST_HEAD_BYTES, HttpConnection
from config.http_server.request import MOST_WAITING_BYTES

GET = b"GET /a HTTP/1.1\r\nHost: here\r\n\r\n"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Site:
    """An application that says back what it was sent; ``seen`` are its requests."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.went = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.state = ServerState()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        act: Callable[[Any, Any], Any] = getattr(self, scope["path"].strip("/").replace("-", "_") or "echo", self.echo)
        await act(receive, send)

    async def body(self, receive: Any) -> bytes:
        found, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.went.set()
                return found
            found, more = found + message["body"], message["more_body"]
        return found

    async def reply(self, send: Any, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
        await send({"type": "http.response.body", "body": body})

    async def echo(self, receive: Any, send: Any) -> None:
        body = await self.body(receive)
        if self.went.is_set():
            return
        self.bodies.append(body)
        await self.reply(send, b"<" + body + b">")

    async def slow(self, receive: Any, send: Any) -> None:
        await self.may_go_on.wait()
        await self.echo(receive, send)

    async def parts(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for word in (b"one ", b"", b"two"):
            await send({"type": "http.response.body", "body": word, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})

    async def head_first(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await self.may_go_on.wait()
        await send({"type": "http.response.body", "body": b"ok"})

    async def early(self, receive: Any, send: Any) -> None:
        await self.reply(send, b"too large", status=413)

    async def nothing(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def last(self, receive: Any, send: Any) -> None:
        await self.reply(send, b"bye", (b"connection", b"close"))

    async def broken(self, receive: Any, send: Any) -> None:
        raise RuntimeError("sk-never-to-be-seen")

    async def half(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})

    async def gone(self, receive: Any, send: Any) -> None:
        await self.body(receive)
        self.seen[-1]["after"] = await receive()
        self.went.set()

    async def flood(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for self.flooded in range(1, 401):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body"})

    async def waits(self, receive: Any, send: Any) -> None:
        await self.may_go_on.wait()
        body = await self.body(receive)
        await self.reply(send, b"%d" % len(body))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Site, Callable[[], Any]]]:
    site = Site()
    config: Any = types.SimpleNamespace(loaded_app=site)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpConnection(config, site.state, {}, loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def dial() -> Line:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    try:
        yield site, dial
    finally:
        for writer in writers:
            writer.close()
        server.close()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(head, body) of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length: " in head:
        return head, await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    body = b""
    while b"transfer-encoding: chunked" in head:
        size = int(await reader.readuntil(b"\r\n"), 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if not size:
            break
    return head, body


def test(act: Callable[[Site, Any], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), served() as (site, dial):
            await act(site, dial)

    uvloop.run(main())


test.__test__ = False  # type: ignore[attr-defined]


def run(act: Callable[[Site, Any], Any]) -> Callable[[], None]:
    def check() -> None:
        test(act)

    check.__doc__ = act.__doc__
    return check


@run
async def test_a_request_is_answered_and_its_connection_kept(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    for n in range(3):
        writer.write(b"POST /x%%20y?q=%d HTTP/1.1\r\nHost: h\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 2\r\n\r\nhi" % n)
        head, body = await answer(reader)
        assert body == b"<hi>"
        assert head.startswith(b"http/1.1 200 ok\r\n")
        assert b"\r\ndate: " in head
        assert b"connection" not in head
    scope = site.seen[0]
    assert (scope["method"], scope["path"], scope["raw_path"], scope["query_string"]) == ("POST", "/x y", b"/x%20y", b"q=0")
    assert scope["headers"][1:3] == [(b"x-two", b"a"), (b"x-two", b"b")]
    assert scope["client"][0] == "127.0.0.1"
    assert len(site.state.connections) == 1
    assert not site.state.tasks


@run
async def test_bytes_may_come_one_by_one(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    for byte in b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await answer(reader))[1] == b"<abcde>"


@run
async def test_requests_sent_ahead_are_answered_in_their_order(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    many = 60
    writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" * 1)
    for n in range(many):
        writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n%02d" % n)
    await asyncio.sleep(0.05)
    assert len(site.seen) == 1
    site.may_go_on.set()
    assert [(await answer(reader))[1] for _ in range(many + 1)] == [b"<>", *(b"<%02d>" % n for n in range(many))]


@run
async def test_an_answer_without_a_length_comes_in_chunks_and_to_old_clients_until_the_end(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"GET /parts HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await answer(reader))[1] == b"one two"
    writer.write(b"GET /parts HTTP/1.0\r\nHost: h\r\n\r\n")
    text = await reader.read()
    assert b"chunked" not in text
    assert text.endswith(b"\r\n\r\none two")


@run
async def test_a_head_does_not_wait_for_its_body(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"GET /head-first HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    site.may_go_on.set()
    assert await reader.readexactly(2) == b"ok"


@run
async def test_head_and_204_have_no_body(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"content-length: 2\r\n" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"chunked" not in head
    writer.write(GET)
    assert (await answer(reader))[1] == b"<>"


@run
async def test_a_client_that_asks_first_is_told_to_send(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    # Once, however many parts the body comes in.
    for letter in (b"a", b"b", b"c"):
        writer.write(letter)
        await asyncio.sleep(0.02)
    head, body = await answer(reader)
    assert head.startswith(b"http/1.1 200 ")
    assert body == b"<abc>"
    # Nobody wants this one's body.
    writer.write(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")


@run
async def test_an_answer_before_the_end_of_the_body_can_be_read(site: Site, dial: Any) -> None:
    """The client goes on sending, reads its answer only then, and finds the connection closed."""
    reader, writer = await dial()
    writer.write(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n")
    for _ in range(40):
        writer.write(b"x" * 100_000)
        await writer.drain()
    head, body = await answer(reader)
    assert body == b"too large"
    assert head.startswith(b"http/1.1 413 ")
    assert await reader.read() == b""


@run
async def test_a_body_nobody_reads_waits_at_the_client(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    size = 64 * 1024 * 1024
    writer.write(b"POST /waits HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
    part = b"x" * 1024 * 1024
    sent = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while sent < size:
                writer.write(part)
                sent += len(part)
                await writer.drain()
    (connection,) = site.state.connections
    assert connection._answering._waiting < 2 * MOST_WAITING_BYTES + 1024 * 1024  # type: ignore[union-attr]
    assert sent < size
    site.may_go_on.set()
    while sent < size:
        writer.write(part)
        sent += len(part)
        await writer.drain()
    assert (await answer(reader))[1] == b"%d" % size


@run
async def test_a_client_that_does_not_read_holds_its_answer_up(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.transport.pause_reading()
    writer.write(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
    await asyncio.sleep(0.3)
    stopped_at = site.flooded
    assert stopped_at < 400
    writer.transport.resume_reading()
    assert len((await answer(reader))[1]) == 400 * 65536


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nX: " + b"x" * (MOST_HEAD_BYTES + 1000), 431),
        (b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(text: bytes, status: int) -> None:
    async def act(site: Site, dial: Any) -> None:
        reader, writer = await dial()
        writer.write(text)
        assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
        # An application that had begun to read was told that the client is gone.
        assert not site.bodies
        await asyncio.sleep(0)
        assert not site.state.connections

    test(act)


@run
async def test_nonsense_behind_a_good_request_does_not_spoil_its_answer(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n nonsense \r\n\r\n")
    await asyncio.sleep(0.05)
    site.may_go_on.set()
    assert (await answer(reader))[1] == b"<>"
    assert await reader.read() == b""


@run
async def test_no_other_protocol_is_spoken(site: Site, dial: Any) -> None:
    """Java's client asks for HTTP/2 in its first request, with a body, and goes on with what it gets."""
    reader, writer = await dial()
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\n" + upgrade + b"Content-Length: 2\r\n\r\nhi")
    head, body = await answer(reader)
    assert body == b"<hi>"
    assert head.startswith(b"http/1.1 200 ")
    assert b"upgrade" not in head
    writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\n" + upgrade + b"Transfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.write(b"3\r\nabc\r\n0\r\n\r\n")
    assert (await answer(reader))[1] == b"<abc>"
    writer.write(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
    assert (await answer(reader))[1] == b"<>"
    assert await reader.read() == b""


@run
async def test_the_connection_ends_when_either_side_wants_it(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n\r\n")
    assert b"connection: close" in (await answer(reader))[0]
    assert await reader.read() == b""
    reader, writer = await dial()
    writer.write(b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _ = await answer(reader)
    assert head.count(b"connection: close") == 1
    assert await reader.read() == b""


@run
async def test_an_application_that_fails_says_nothing_of_why(site: Site, dial: Any) -> None:
    reader, writer = await dial()
    writer.write(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n")
    head, body = await answer(reader)
    assert head.startswith(b"http/1.1 500 ")
    assert body == b""
    # What had begun and does not end breaks off, so that nobody takes it for whole.
    writer.write(b"GET /half HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await answer(reader)


@run
async def test_the_application_learns_that_its_client_went(site: Site, dial: Any) -> None:
    _, writer = await dial()
    writer.write(b"POST /gone HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
    await asyncio.sleep(0.05)
    writer.close()
    await site.went.wait()
    assert site.seen[-1]["after"] == {"type": "http.disconnect"}
    # In the middle of a body, too.
    site.went.clear()
    _, writer = await dial()
    writer.write(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\nhi")
    await asyncio.sleep(0.05)
    writer.close()
    await site.went.wait()


def test_silence_ends_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that does not end, and a connection kept for nothing; not one whose answer takes its time."""
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection_module, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(clock, "LOOK_SECONDS", 0.05)

    async def act(site: Site, dial: Any) -> None:
        silent, _ = await dial()
        slow, slow_writer = await dial()
        slow_writer.write(b"GET /a HTTP/1.1\r\nHost:")
        kept, kept_writer = await dial()
        kept_writer.write(GET)
        await answer(kept)
        busy, busy_writer = await dial()
        busy_writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        assert [await reader.read() for reader in (silent, slow, kept)] == [b"", b"", b""]
        site.may_go_on.set()
        assert (await answer(busy))[1] == b"<>"

    test(act)


@run
async def test_a_stop_lets_answers_end(site: Site, dial: Any) -> None:
    idle, idle_writer = await dial()
    idle_writer.write(GET)
    await answer(idle)
    busy, busy_writer = await dial()
    busy_writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    await asyncio.sleep(0.05)
    for connection in [*site.state.connections]:
        connection.shutdown()
    assert await idle.read() == b""
    site.may_go_on.set()
    head, body = await answer(busy)
    assert body == b"<>"
    assert b"connection: close" in head
    assert await busy.read() == b""
