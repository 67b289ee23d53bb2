"""A small HTTP/1.1 client for calls to upstreams: connections are kept, answers come in as they are sent.

It does what a charged call needs and no more, because every call pays for it: one POST with a head that is ready, the answer
whole or in parts, one deadline for all of it. llhttp (by httptools) reads the answers; TLS, names and sockets are asyncio's.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httptools

CONNECT_SECONDS = 10.0
# A connection that nobody used for so long is not trusted to be there.
KEPT_SECONDS = 60.0
# More than this is not taken off the line before somebody reads it.
MOST_WAITING_BYTES = 256 * 1024
MOST_HEAD_BYTES = 64 * 1024
# A small body goes out in one write with its head.
SMALL_BYTES = 64 * 1024


class WireError(OSError):
    """The connection broke, or what came over it is no HTTP answer."""


class ConnectFailed(WireError):
    """No connection: nothing was sent."""


class ConnectTimedOut(ConnectFailed):
    """No connection in time: nothing was sent."""


class Disconnected(WireError):
    """The other side hung up before its answer was whole."""


class NotHttp(WireError):
    """What came is no HTTP answer, or is packed in a way that does not open."""


class Place(NamedTuple):
    """Where a connection leads to."""

    host: str
    port: int
    is_tls: bool


class Wires:
    """The connections to all upstreams. There may be any number of them: what limits calls stands elsewhere."""

    def __init__(self) -> None:
        self._kept: dict[Place, dict[Wire, None]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, place: Place, head: bytes, payload: bytes | AsyncIterator[bytes], seconds: float) -> "Reply":
        """Send a request; the reply comes back once its head is there. ``head`` ends with its empty line.

        Raises WireError, and TimeoutError once ``seconds`` are over; so does whoever reads the reply. The reply is to be
        released whatever happens.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        wire = self._take(place, loop.time()) or await self._connect(place, min(seconds, CONNECT_SECONDS))
        reply = wire.begin(loop, deadline)
        try:
            wire.send(reply, head, payload)
            await reply.begun()
        except BaseException:
            reply.release()
            raise
        return reply

    async def tidy(self) -> None:
        """Close what was kept for too long."""
        oldest = asyncio.get_running_loop().time() - KEPT_SECONDS
        for place, wires in [*self._kept.items()]:
            for wire in [*wires]:
                if wire.idle_since < oldest:
                    self.forget(wire)
                    wire.close()
            if not wires:
                self._kept.pop(place, None)

    def close(self) -> None:
        for wires in self._kept.values():
            for wire in [*wires]:
                wire.close()
        self._kept.clear()

    def keep(self, wire: "Wire") -> None:
        self._kept.setdefault(wire.place, {})[wire] = None

    def forget(self, wire: "Wire") -> None:
        self._kept.get(wire.place, {}).pop(wire, None)

    def _take(self, place: Place, now: float) -> "Wire | None":
        """The connection that was used last: the others may grow old."""
        wires = self._kept.get(place)
        while wires:
            wire, _ = wires.popitem()
            if wire.is_open and now - wire.idle_since < KEPT_SECONDS:
                return wire
            wire.close()
        return None

    async def _connect(self, place: Place, seconds: float) -> "Wire":
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if place.is_tls:
            self._tls = self._tls or _tls_context()
            tls = {"ssl": self._tls, "server_hostname": place.host}
        try:
            async with asyncio.timeout(seconds):
                _, wire = await loop.create_connection(lambda: Wire(self, place), place.host, place.port, **tls)
        except TimeoutError:
            raise ConnectTimedOut("no connection in time") from None
        except (OSError, ValueError) as error:
            raise ConnectFailed(type(error).__name__) from None
        return wire


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Wire(asyncio.Protocol):
    """One connection: one request at a time, and kept after an answer that allows it."""

    def __init__(self, wires: Wires, place: Place) -> None:
        self.place = place
        self.idle_since = 0.0
        self._wires = wires
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        # Such small faults are common and leave no doubt about what is meant.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._reply: Reply | None = None
        # The answer that the parser is in.
        self._expected: Reply
        self._head_bytes = 0
        self._may_keep = False
        self._is_held_up = False
        self._room: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def _has_sent_all(self) -> bool:
        return self._transport is not None and not self._transport.get_write_buffer_size()

    def begin(self, loop: asyncio.AbstractEventLoop, deadline: float) -> "Reply":
        self._head_bytes, self._may_keep = 0, False
        self._reply = Reply(self, loop, deadline)
        return self._reply

    def send(self, reply: "Reply", head: bytes, payload: bytes | AsyncIterator[bytes]) -> None:
        """Write a request, or begin to where its body comes in parts."""
        assert self._transport is not None
        if not isinstance(payload, bytes):
            self._transport.write(head)
            reply.sender = asyncio.create_task(self._send_parts(reply, payload))
        elif len(payload) <= SMALL_BYTES:
            self._transport.write(head + payload)
        else:
            self._transport.write(head)
            self._transport.write(payload)

    def end(self, reply: "Reply") -> None:
        """Nobody reads this reply any more."""
        if self._reply is not reply:
            return
        self._reply = None
        if self._may_keep and reply.is_whole and reply.is_sent and self._has_sent_all and self.is_open:
            self.resume()
            self.idle_since = asyncio.get_running_loop().time()
            self._wires.keep(self)
        else:
            self.close()

    def close(self) -> None:
        # What is still to be written is of no use to anybody.
        if self._transport is not None:
            self._transport.abort()

    def hold_up(self) -> None:
        if not self._is_held_up and self.is_open:
            assert self._transport is not None
            self._is_held_up = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_held_up:
            self._is_held_up = False
            if self.is_open:
                assert self._transport is not None
                self._transport.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or reply.is_whole:
            # Nobody asked for this.
            self._may_keep = False
            self.close()
            return
        if not reply.has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # What came with the end of an answer does not spoil it.
            self._may_keep = False
            reply.fail(NotHttp("no HTTP answer"))
            self.close()
            return
        if not reply.has_head and self._head_bytes > MOST_HEAD_BYTES:
            reply.fail(NotHttp("a head without an end"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._wires.forget(self)
        self.resume_writing()
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if error is None and reply.ends_with_connection:
            reply.finish()
        else:
            reply.fail(Disconnected("hung up"))

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    async def _send_parts(self, reply: "Reply", parts: AsyncIterator[bytes]) -> None:
        try:
            async for part in parts:
                if not self.is_open:
                    return
                assert self._transport is not None
                self._transport.write(part)
                if self._room is not None:
                    await self._room
        except Exception as error:
            reply.fail(WireError(type(error).__name__))

    # What the parser calls.

    def on_message_begin(self) -> None:
        # An error stops the parser.
        if self._reply is None or self._reply.is_whole:
            raise NotHttp("more than the answer")
        self._expected = self._reply

    def on_header(self, name: bytes, value: bytes) -> None:
        # Of a header given twice the first counts.
        self._expected.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self._expected.begin(self._parser.get_status_code())

    def on_body(self, part: bytes) -> None:
        self._expected.take(part)

    def on_message_complete(self) -> None:
        reply = self._expected
        if reply.has_head:
            self._may_keep = self._parser.should_keep_alive()
            reply.finish()


class Reply:
    """An answer on its way in. Iterate for the parts as they come, or ``read`` all of it; then ``release`` it."""

    __slots__ = (
        "_deadline",
        "_error",
        "_inflater",
        "_loop",
        "_parts",
        "_takes_all",
        "_waiter",
        "_waiting",
        "_wire",
        "has_head",
        "headers",
        "is_whole",
        "sender",
        "status",
    )

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.has_head = False
        self.is_whole = False
        self.sender: asyncio.Task[None] | None = None
        self._wire = wire
        self._loop = loop
        self._parts: list[bytes] = []
        self._waiting = 0
        self._takes_all = False
        self._inflater: Any = None
        self._error: OSError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = loop.call_at(deadline, self._time_out)

    @property
    def is_sent(self) -> bool:
        return self.sender is None or self.sender.done()

    @property
    def ends_with_connection(self) -> bool:
        """Whether the answer names no length, so that it ends where the connection does."""
        return self.has_head and b"content-length" not in self.headers and b"transfer-encoding" not in self.headers

    async def begun(self) -> None:
        while not self.has_head:
            await self._news()

    async def read(self, most: int | None = None) -> bytes:
        """All of it, or no more than about ``most`` bytes."""
        self._takes_all = most is None
        while not self.is_whole and (most is None or self._waiting < most):
            await self._news()
        return b"".join(self._taken())[:most]

    def __aiter__(self) -> "Reply":
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self.is_whole:
                raise StopAsyncIteration
            await self._news()
        parts = self._taken()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self) -> None:
        """Done with it. A connection whose answer did not come to its end is closed; may be called again."""
        self._deadline.cancel()
        self._wire.end(self)
        if self.sender is not None:
            self.sender.cancel()

    # What the connection calls.

    def begin(self, status: int) -> None:
        if 100 <= status < 200:
            # Only a sign that the answer is on its way.
            self.headers.clear()
            return
        self.status, self.has_head = status, True
        if self.headers.get(b"content-encoding", b"").lower() in {b"gzip", b"x-gzip", b"deflate"}:
            # We ask for plain answers; some pack them all the same.
            self._inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._wake()

    def take(self, part: bytes) -> None:
        if self._inflater is not None:
            try:
                part = self._inflater.decompress(part)
            except zlib.error:
                self.fail(NotHttp("cannot be unpacked"))
                self._wire.close()
                return
        if not part:
            return
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > MOST_WAITING_BYTES and not self._takes_all:
            self._wire.hold_up()
        self._wake()

    def finish(self) -> None:
        self.is_whole = self._error is None
        self._deadline.cancel()
        self._wake()

    def fail(self, error: OSError) -> None:
        """What came before is read first; then the error is raised. A whole answer stays one."""
        if self._error is None and not self.is_whole:
            self._error = error
            self._wake()

    def _time_out(self) -> None:
        self.fail(TimeoutError("no answer in time"))
        self._wire.close()

    def _taken(self) -> list[bytes]:
        parts, self._parts, self._waiting = self._parts, [], 0
        self._wire.resume()
        return parts

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        if self._takes_all:
            self._wire.resume()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
