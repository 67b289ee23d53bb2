"""The HTTP/1.1 side of web and relay: requests in, ASGI out. Uvicorn is told of it by ``--http`` (``config.stack.serving``).

Uvicorn starts, watches and stops the processes. What every call pays for is here, and made for it: llhttp (by httptools) reads
requests in the event loop that answers them, a head leaves together with the first part of its body, and connections on which
nothing happens are looked for by one clock for all of them.
"""

import asyncio
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.http_server.clock import Clock
from config.http_server.request import Application, Request

MOST_HEAD_BYTES = 64 * 1024
# Requests a client may send before the first of them is answered.
MOST_AHEAD = 16
# A head has to be whole within this.
HEAD_SECONDS = 30.0
# Longer than the usual proxies keep their connections to us, so that it is they who close them.
IDLE_SECONDS = 90.0
# What a client still sends after its answer is read for so long, because it may look at the answer only then.
LINGER_SECONDS = 10.0
# What asks for another protocol.
_WISHES = frozenset({b"connection", b"upgrade", b"http2-settings"})
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
        self._clock.watch(self, self._loop)

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


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    """Host and port of one side; None for a socket in the file system."""
    found = transport.get_extra_info(name)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple | list) else None
