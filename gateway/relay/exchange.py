"""One HTTP request and its answer, over the three values of ASGI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

from gateway.contract.endpoints import Protocol
from gateway.contract.error_shapes import PORTAL, error_body, status_of
from gateway.contract.failure_text import language_of
from gateway.contract.types import Denial
from gateway.relay.client import Headers, headers_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

JSON = b"application/json"
# Most calls of a client that goes away are noticed by this; a call that ends sooner pays for no watch.
WATCH_AFTER_SECONDS = 0.05


class BodyTooLarge(Exception):
    """The client sent more than the relay takes."""


class ClientGone(Exception):
    """The client hung up while it was still sending."""


class Exchange:
    """Reads the request, answers it once, and cancels the handler when the client goes away (after ``watch``)."""

    __slots__ = (
        "_receive",
        "_send",
        "_timer",
        "_watcher",
        "dialect",
        "extra",
        "profile",
        "headers",
        "is_gone",
        "is_started",
        "request_id",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: UUID, dialect: Protocol = "openai") -> None:
        self.scope = scope
        self._receive, self._send = receive, send
        self.request_id = request_id
        self.dialect = dialect
        # In whose shape errors are told; known once the key is.
        self.profile = PORTAL
        self.headers: Headers = headers_of(scope)
        # Headers every answer of this exchange carries.
        self.extra: HeaderList = []
        self.is_started = False
        self.is_gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, limit: int) -> bytes:
        """The whole body; raises BodyTooLarge beyond ``limit`` bytes and ClientGone."""
        self._check_declared(limit)
        part, more = await self._part()
        if not more and len(part) <= limit:
            return part
        parts, size = [part], len(part)
        while more and size <= limit:
            part, more = await self._part()
            size += len(part)
            parts.append(part)
        if size > limit:
            raise BodyTooLarge
        return b"".join(parts)

    async def parts(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes in; raises as ``body`` does."""
        self._check_declared(limit)
        size, more = 0, True
        while more:
            part, more = await self._part()
            size += len(part)
            if size > limit:
                raise BodyTooLarge
            if part:
                yield part

    def _check_declared(self, limit: int) -> None:
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge

    async def _part(self) -> tuple[bytes, bool]:
        """What the client sent next, and whether more is to come."""
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)

    def watch(self, task: asyncio.Task[Any] | None = None) -> None:
        """From now on ``task``, the running one unless said, is cancelled when the client hangs up. Call it once the body is
        read."""
        task = task or asyncio.current_task()
        assert task is not None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._start_watch, task)

    def unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def hand_over(self) -> tuple[Scope, Receive, Send]:
        """The request as it came, for somebody else to answer."""
        self.is_started = True
        return self.scope, self._receive, self._send

    async def reply(self, status: int, body: bytes, content_type: bytes = JSON, extra: HeaderList | None = None) -> None:
        await self.start(status, content_type, [(b"content-length", b"%d" % len(body)), *(extra or ())])
        await self.write(body, more=False)

    async def refuse(self, denial: Denial, param: str | None = None, extra: HeaderList | None = None) -> None:
        headers = list(extra or ())
        status = status_of(denial, self.profile)
        if status == 503 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"retry-after", b"5"))
        if self.profile != PORTAL:
            headers.append((b"x-oneapi-request-id", self.request_id.hex.encode()))
        await self.reply(status, self._error(denial, param), extra=headers)

    async def end_stream(self, denial: Denial) -> None:
        """Say in the stream why it ends here."""
        named = b"event: error\n" if self.dialect == "anthropic" else b""
        await self.write(named + b"data: " + self._error(denial) + b"\n\n", more=False)

    def _error(self, denial: Denial, param: str | None = None) -> bytes:
        return error_body(
            denial,
            dialect=self.dialect,
            request_id=self.request_id.hex,
            param=param,
            profile=self.profile,
            language=language_of(self.headers.get(b"accept-language", b"")),
        )

    async def start(self, status: int, content_type: bytes, extra: HeaderList | None = None) -> None:
        self.is_started = True
        headers = [
            (b"content-type", content_type),
            (b"x-request-id", self.request_id.hex.encode()),
            *self.extra,
            *(extra or ()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, part: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": more})

    def _start_watch(self, task: asyncio.Task[Any]) -> None:
        self._watcher = asyncio.create_task(self._watch(task))

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        task.cancel()
