"""The body of a call on the old route: passed on as it comes in, and read on its way only for the model it asks for."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from gateway.relay.exchange import BodyTooLarge, ClientGone, Exchange

# A body up to this size is read whole before anything is sent; a larger one never is in memory as a whole.
HELD = 256 * 1024
# A name may lie across two parts: so much of the last one is looked at again.
OVERLAP = 512
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.){1,255}")')
_STREAM = re.compile(rb'"stream"\s*:\s*true\b')


class PassedBody:
    """Reads once, from the front to the end. ``model`` and ``is_stream`` are what a JSON body said as far as it was read."""

    def __init__(self, exchange: Exchange, limit: int) -> None:
        self._incoming = exchange.parts(limit)
        self._is_json = b"json" in exchange.headers.get(b"content-type", b"json")
        self._first = b""
        self.is_whole = False
        # Why it broke off, if it did.
        self.broken: type[BodyTooLarge] | type[ClientGone] | None = None
        self.model = ""
        self.is_stream = False
        # What a JSON body that was read whole says.
        self.fields: dict[str, Any] = {}
        # Called once all of it has been sent on.
        self.on_end: Callable[[], None] = lambda: None

    async def begin(self) -> None:
        """Take the beginning off the line; raises BodyTooLarge and ClientGone."""
        parts, size = [], 0
        async for part in self._incoming:
            parts.append(part)
            size += len(part)
            if size > HELD:
                break
        else:
            self.is_whole = True
        self._first = parts[0] if len(parts) == 1 else b"".join(parts)
        if not self._is_json:
            return
        if not self.is_whole:
            self._look(self._first)
        elif parsed := _parsed(self._first):
            self.fields, model = parsed, parsed.get("model")
            self.model, self.is_stream = model if isinstance(model, str) else "", parsed.get("stream") is True

    @property
    def size(self) -> int:
        """Bytes that came before anything was sent on."""
        return len(self._first)

    @property
    def payload(self) -> "bytes | AsyncIterator[bytes] | None":
        """What is sent on; None when there is no body."""
        return (self._first or None) if self.is_whole else self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        first, self._first = self._first, b""
        tail = first[-OVERLAP:]
        yield first
        try:
            async for part in self._incoming:
                if self._is_json:
                    self._look(tail + part)
                    tail = part[-OVERLAP:] if len(part) >= OVERLAP else (tail + part)[-OVERLAP:]
                yield part
        except (BodyTooLarge, ClientGone) as error:
            self.broken = type(error)
            raise
        self.on_end()

    def _look(self, text: bytes) -> None:
        if not self.model and (found := _MODEL.search(text)):
            try:
                self.model = orjson.loads(found[1])
            except orjson.JSONDecodeError:
                self.model = ""
        self.is_stream = self.is_stream or _STREAM.search(text) is not None


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
