"""One clock for all connections of an event loop: which of them have been silent for too long, and today's date."""

import asyncio
from email.utils import formatdate
from typing import Protocol
from weakref import WeakKeyDictionary

LOOK_SECONDS = 2.0
DATE_SECONDS = 0.5


class Watched(Protocol):
    """What the clock asks of a connection."""

    def look(self, now: float) -> None: ...


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
        self._connections: set[Watched] = set()
        self._is_looking = False
        self._date_line = b""
        self._date_ends = 0.0

    def watch(self, connection: Watched, loop: asyncio.AbstractEventLoop) -> None:
        self._connections.add(connection)
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(LOOK_SECONDS, self._look, loop)

    def forget(self, connection: Watched) -> None:
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
