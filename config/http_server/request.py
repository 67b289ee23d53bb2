"""One request and its answer: what an ASGI application is called with."""

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# More of a body than this is not taken off the line before somebody reads it.
MOST_WAITING_BYTES = 256 * 1024

_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)}
_NO_BODY = frozenset({204, 304})
_DISCONNECT = {"type": "http.disconnect"}


class Connection(Protocol):
    """What a request asks of the connection it came on. ``room``: to be waited for before more is written."""

    is_last: bool

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def room(self) -> asyncio.Future[None] | None: ...
    @property
    def date_line(self) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def hold_up(self) -> None: ...
    def resume(self) -> None: ...
    def answered(self, request: "Request") -> None: ...


class Request:
    """One request: its ``receive`` and ``send`` are what an ASGI application is called with."""

    __slots__ = (
        "_connection",
        "_head",
        "_has_no_body",
        "_is_chunked",
        "_is_gone",
        "_is_read",
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
        self, connection: Connection, scope: dict[str, Any], *, is_head: bool, may_chunk: bool, may_keep: bool
    ) -> None:
        self._connection = connection
        self._scope = scope
        self._has_no_body = is_head
        self._may_chunk = may_chunk
        self._is_chunked = False
        self._is_gone = False
        # Somebody has begun to read the request's body.
        self._is_read = False
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
        if not self._is_read:
            self._is_read = True
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
