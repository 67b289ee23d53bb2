"""The relay's own connections to PostgreSQL, and work sent over them in batches."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import psycopg
from django.conf import settings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 5
# After a failed attempt to connect, calls are refused at once for this long instead of waiting for the next failure.
BACKOFF_SECONDS = 0.5

# No server, or one whose functions and tables do not fit together just now, as between two migrations of an upgrade (a name
# it does not know, a plan whose result has changed): asking again later is right. What is wrong with the data never passes.
NOT_NOW = (psycopg.OperationalError, psycopg.ProgrammingError, psycopg.NotSupportedError)

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class DatabaseGone(Exception):
    """PostgreSQL cannot be reached, does not answer in time or is being upgraded; nothing may be served that costs money."""


def connection_arguments(*, statement_seconds: int = STATEMENT_SECONDS) -> dict[str, Any]:
    """psycopg's arguments for the portal's database, so that a dead server is noticed and a slow statement ends."""
    database = settings.DATABASES["default"]
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {ours: str(database[theirs]) for ours, theirs in named.items() if database.get(theirs)}
    return {
        **given,
        "autocommit": True,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "portal relay",
        "options": f"-c statement_timeout={statement_seconds * 1000} -c timezone=UTC"
        f" -c portal.late_event_days={settings.LATE_EVENT_DAYS}",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }


class Line:
    """One connection that opens itself again after a failure."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._failed_at = 0.0

    async def run(self, query: str, params: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """All rows of one statement; raises DatabaseGone when asking again may help, psycopg.Error for the rest."""
        try:
            connection = await self._open()
            async with asyncio.timeout(STATEMENT_SECONDS + 1):
                cursor = await connection.execute(query, params, prepare=True)
                return await cursor.fetchall() if cursor.description else []
        except (*NOT_NOW, TimeoutError, OSError) as error:
            await self.close()
            raise DatabaseGone(type(error).__name__) from error

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if time.monotonic() - self._failed_at < BACKOFF_SECONDS:
            raise DatabaseGone("recently")
        try:
            async with asyncio.timeout(CONNECT_SECONDS + 1):
                self._connection = await psycopg.AsyncConnection.connect(**connection_arguments())
        except BaseException:
            self._failed_at = time.monotonic()
            raise
        return self._connection


class Batcher(Generic[I, O]):
    """Sends the wishes of the same moment as one statement, over a few lines at once.

    Nobody waits for company: what comes while all lines are busy is the next batch, so batches grow with the load. ``run`` gets
    a line and the wishes and gives one answer for each; it must be safe to run twice for the same wishes.
    """

    def __init__(self, run: Callable[[Line, list[I]], Awaitable[list[O]]], *, lines: int, most: int) -> None:
        self._run, self._most = run, most
        self._queue: deque[tuple[I, asyncio.Future[O]]] = deque()
        self._wanted = asyncio.Event()
        self._lines = [Line() for _ in range(lines)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work(line)) for line in self._lines]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._lines:
            await line.close()

    async def ask(self, wish: I) -> O:
        """The answer to one wish; raises DatabaseGone."""
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._queue.append((wish, future))
        self._wanted.set()
        return await future

    async def _work(self, line: Line) -> None:
        while True:
            while not self._queue:
                self._wanted.clear()
                await self._wanted.wait()
            # Once round the loop: whoever came together goes together.
            await asyncio.sleep(0)
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._most))]
            if batch:
                await self._serve(line, batch)

    async def _serve(self, line: Line, batch: list[tuple[I, asyncio.Future[O]]]) -> None:
        try:
            answers = await self._try(line, [wish for wish, _ in batch])
        except DatabaseGone as error:
            self._fail(batch, error)
        except psycopg.Error as error:
            if len(batch) == 1:
                logger.error("A statement of the relay failed: %s %s", error.sqlstate, type(error).__name__)
                self._fail(batch, DatabaseGone(type(error).__name__))
                return
            # One wish broke the statement: each gets its own, so that the others are served.
            for one in batch:
                await self._serve(line, [one])
        except asyncio.CancelledError:
            self._fail(batch, DatabaseGone("stopping"))
            raise
        except Exception as error:
            # A fault of ours must not end the line: these calls are refused, the next ones are served.
            logger.error("A batch of the relay failed: %s", type(error).__name__)
            self._fail(batch, DatabaseGone(type(error).__name__))
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _try(self, line: Line, wishes: list[I]) -> list[O]:
        try:
            return await self._run(line, wishes)
        except DatabaseGone:
            # The connection may just have been an old one; a second, fresh one decides.
            return await self._run(line, wishes)

    @staticmethod
    def _fail(batch: list[tuple[I, asyncio.Future[O]]], error: DatabaseGone) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
