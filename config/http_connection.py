"""The HTTP/1.1 side of web and relay, for uvicorn (``--http config.http_connection:HttpConnection``): requests in, ASGI out.

Uvicorn starts, watches and stops the processes. What every call pays for is here, and made for it: llhttp (by httptools) reads
requests in the event loop that answers them, a head leaves together with the first part of its body, and connections on which
nothing happens are looked for by one clock for all of them.
"""

import asyncio
import http
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_HEAD_BYTES = 64 * 1024
# More of a body than this is not taken off the line before somebody reads it.
MOST_WAITING_BYTES = 256 * 1024
# Requests a client may send before the first of them is answered.
MOST_AHEAD = 16
# A head has to be whole within this.
HEAD_SECONDS = 30.0
# Longer than the usual proxies keep their connections to us, so that it is they who close them.
IDLE_SECONDS = 90.0
# What a client still sends after its answer is read for so long, because it may look at the answer only then.
LINGER_SECONDS = 10.0
LOOK_SECONDS = 2.0
DATE_SECONDS = 0.5

_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)}
_NO_BODY = frozenset({204, 304})
# What asks for another protocol.
_WISHES = frozenset({b"connection", b"upgrade", b"http2-settings"})
_DISCONNECT = {"type": "http.disconnect"}
_ASGI = {"version": "3.0", "spec_version": "2.3"}


class HttpConnection(asyncio.Protocol):
    """One connection: its requests are answered in the order in which they came, one at a time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app: Application = config.loaded_app
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._clock = Clock.of(self._loop)
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._fixed: dict[str, Any] = {}
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        # The request that is being read, the one that is being answered, and those that wait for that.
        self._reading: Request | None = None
        self._answering: Request | None = None
        self._ahead: deque[Request] = deque()
        # No request is answered after the present one; nothing more is read.
        self.is_last = False
        self._is_deaf = False
        self._is_held_up = False
        self._room: asyncio.Future[None] | None = None
        self._wait_ends = 0.0

    # What asyncio and uvicorn call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._fixed = {
            "type": "http",
            "asgi": _ASGI,
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": "",
            "client": _address(transport, "peername"),
            "server": _address(transport, "sockname"),
        }
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._wait_ends = self._loop.time() + HEAD_SECONDS
        self._clock.watch(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._reading is None:
            if not self._head_bytes and self._answering is None:
                self._wait_ends = self._loop.time() + HEAD_SECONDS
            self._head_bytes += len(data)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._go_on_without(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(b"HTTP/1.1 400 Bad Request", b"The request is not HTTP/1.1.\n")
        else:
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(b"HTTP/1.1 431 Request Header Fields Too Large", b"The head of the request is too long.\n")

    def connection_lost(self, error: Exception | None) -> None:
        self._state.connections.discard(self)  # type: ignore[arg-type]
        self._clock.forget(self)
        self._is_deaf = True
        self.resume_writing()
        self._ahead.clear()
        if self._answering is not None:
            self._answering.client_went()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def shutdown(self) -> None:
        """The process is asked to end: close the connection as soon as it owes no answer."""
        self.is_last = True
        if self._answering is None:
            self._close()

    def look(self, now: float) -> None:
        """Close the connection if nothing came on it for too long."""
        if self._wait_ends and now > self._wait_ends:
            self._close()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        if self.is_last and self._answering is not None:
            self._is_deaf = True
        if self._is_deaf:
            return
        parser = self._parser
        version: str = parser.get_http_version()
        method = parser.get_method().decode("ascii")
        if method == "CONNECT":
            raise httptools.HttpParserError("no tunnels here")
        if parser.should_upgrade():
            return
        url = httptools.parse_url(self._url)
        raw_path: bytes = url.path or b"/"
        path = raw_path.decode("ascii")
        scope = {
            **self._fixed,
            "http_version": version,
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "headers": self._headers,
        }
        may_keep = version == "1.1" and parser.should_keep_alive()
        request = Request(self, scope, is_head=method == "HEAD", may_chunk=version == "1.1", may_keep=may_keep)
        self._reading = request
        if self._answering is None:
            self._begin(request)
        else:
            self._ahead.append(request)
            if len(self._ahead) >= MOST_AHEAD:
                self.hold_up()

    def on_body(self, part: bytes) -> None:
        if self._reading is not None:
            self._reading.take(part)

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        if request is None:
            return
        if not request.may_keep:
            self._is_deaf = True
        request.finish()
        if request.is_answered:
            self._ended(request)

    # What the request calls.

    @property
    def room(self) -> asyncio.Future[None] | None:
        """To be waited for before more is written."""
        return self._room

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def date_line(self) -> bytes:
        return self._clock.date_line()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hold_up(self) -> None:
        if not self._is_held_up and self._transport is not None and not self._transport.is_closing():
            self._is_held_up = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_held_up and len(self._ahead) < MOST_AHEAD and self._transport is not None:
            self._is_held_up = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def answered(self, request: "Request") -> None:
        """All of an answer is written."""
        self._state.total_requests += 1
        if request.is_whole:
            self._ended(request)
        else:
            # The client still sends. Its connection is not kept, and not broken before it can have read the answer.
            self.is_last = True
            self._wait_ends = self._loop.time() + LINGER_SECONDS
            self.resume()

    def _begin(self, request: "Request") -> None:
        self._wait_ends = 0.0
        self._answering = request
        task = self._loop.create_task(request.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _ended(self, request: "Request") -> None:
        """A request is read and answered: the next one, or silence."""
        self._answering = None
        if self.is_last or not request.may_keep:
            self._close()
            return
        if self._ahead:
            self._begin(self._ahead.popleft())
        else:
            self._wait_ends = self._loop.time() + IDLE_SECONDS
        self.resume()

    def _go_on_without(self, rest: bytes) -> None:
        """No other protocol is spoken here, and the parser leaves a request alone that asks for one (Java's client does, with a
        body): it is read again without that wish."""
        kept = [b"%b: %b\r\n" % header for header in self._headers if header[0] not in _WISHES]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self._parser.get_method(), self._url, b"".join(kept))
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head + rest)

    def _hear_no_more(self) -> None:
        self._is_deaf = self.is_last = True
        if self._answering is None:
            self._close()

    def _refuse(self, status_line: bytes, text: bytes) -> None:
        """What cannot be read ends the connection. It is answered, unless that would get between other answers."""
        broken, self._reading = self._reading, None
        if broken is not None and broken in self._ahead:
            self._ahead.remove(broken)
        if self._answering is not None and broken is not self._answering:
            self._hear_no_more()
            return
        if broken is None or not broken.has_begun:
            self.write(b"%b\r\n%b" % (status_line, self.date_line))
            self.write(b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(text), text))
        self._is_deaf = True
        self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()


class Request:
    """One request: its ``receive`` and ``send`` are what an ASGI application is called with."""

    __slots__ = (
        "_connection",
        "_head",
        "_has_no_body",
        "_is_chunked",
        "_is_gone",
        "_is_taken",
        "_may_chunk",
        "_parts",
        "_scope",
        "_waiter",
        "_waiting",
        "has_begun",
        "is_answered",
        "is_whole",
        "may_keep",
    )

    def __init__(
        self, connection: HttpConnection, scope: dict[str, Any], *, is_head: bool, may_chunk: bool, may_keep: bool
    ) -> None:
        self._connection = connection
        self._scope = scope
        self._has_no_body = is_head
        self._may_chunk = may_chunk
        self._is_chunked = False
        self._is_gone = False
        # The last part of the request's body was handed over.
        self._is_taken = False
        self._parts: list[bytes] = []
        self._waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self.may_keep = may_keep
        self.is_whole = False
        self.has_begun = False
        self.is_answered = False

    async def run(self, app: Application) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        except Exception as error:
            logger.error("A request failed: %s", type(error).__name__)
            if not self.has_begun:
                await self.send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await self.send({"type": "http.response.body"})
        if not self.is_answered:
            # The client learns of it by the connection, which ends before its answer does.
            self._connection.abort()

    async def receive(self) -> Message:
        if not (self.is_whole or self.has_begun or self._parts) and self._wants_sign():
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._parts or self._is_gone or self.is_answered or (self.is_whole and not self._is_taken)):
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._is_gone or self.is_answered:
            return _DISCONNECT
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._is_taken = self.is_whole
        if parts:
            self._parts, self._waiting = [], 0
            self._connection.resume()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        if self._is_gone or self.is_answered:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            return
        body: bytes = message.get("body", b"")
        is_last = not message.get("more_body", False)
        if self._has_no_body:
            body = b""
        elif self._is_chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if is_last:
                body += b"0\r\n\r\n"
        head, self._head = self._head, b""
        if head or body:
            self._connection.write(head + body if head else body)
        if is_last:
            self.is_answered = True
            self._wake()
            self._connection.answered(self)
        elif (room := self._connection.room) is not None:
            await room

    # What the connection calls.

    def take(self, part: bytes) -> None:
        if self.is_answered:
            return
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > MOST_WAITING_BYTES:
            self._connection.hold_up()
        self._wake()

    def finish(self) -> None:
        """All of the request is there."""
        self.is_whole = True
        self._wake()

    def client_went(self) -> None:
        self._is_gone = True
        self._wake()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.has_begun = True
        lines = [_STATUS_LINES[status], self._connection.date_line]
        has_length = False
        for name, value in headers:
            if name == b"connection":
                self.may_keep = self.may_keep and value.lower() != b"close"
                continue
            if name == b"content-length" or name.lower() == b"content-length":
                has_length = True
            lines.append(b"%b: %b\r\n" % (name, value))
        if status in _NO_BODY:
            self._has_no_body = True
        elif not has_length:
            if self._may_chunk:
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.may_keep = False
        if not self.may_keep or self._connection.is_last:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)
        # It leaves with the first part of the body, or on its own when that is not there yet.
        self._connection.loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._connection.write(head)

    def _wants_sign(self) -> bool:
        """Whether the client waits to be told that its body is wanted."""
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._scope["headers"])

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Clock:
    """Looks at all connections of an event loop now and then, and keeps the date that answers carry."""

    _clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, "Clock"] = WeakKeyDictionary()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "Clock":
        clock = cls._clocks.get(loop)
        if clock is None:
            clock = cls._clocks[loop] = cls(loop)
        return clock

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop itself: that would keep both for ever.
        self._time = loop.time
        self._connections: set[HttpConnection] = set()
        self._is_looking = False
        self._date_line = b""
        self._date_ends = 0.0

    def watch(self, connection: HttpConnection) -> None:
        self._connections.add(connection)
        if not self._is_looking:
            self._is_looking = True
            connection.loop.call_later(LOOK_SECONDS, self._look, connection.loop)

    def forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)

    def date_line(self) -> bytes:
        now = self._time()
        if now >= self._date_ends:
            self._date_ends = now + DATE_SECONDS
            self._date_line = f"date: {formatdate(usegmt=True)}\r\n".encode()
        return self._date_line

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [*self._connections]:
            connection.look(now)
        self._is_looking = bool(self._connections)
        if self._is_looking:
            loop.call_later(LOOK_SECONDS, self._look, loop)


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    """Host and port of one side; None for a socket in the file system."""
    found = transport.get_extra_info(name)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple | list) else None
