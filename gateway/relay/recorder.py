"""Writes the ends of calls: request log, charge and closed hold, in batches and until PostgreSQL has them.

An end is on the relay's disk (``gateway.relay.spool``) before the last byte of the answer goes out, and waits in memory for
its batch. A graceful stop writes all of them; after a crash the next process that looks sends what lies in the spool, so that
every call that was answered is charged, once. Refusals beyond what memory takes are counted instead of kept.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import orjson
import psycopg

from billing.services.ledger import RECORD_SQL, CallEvent
from gateway.relay.bare_end import bare_end
from gateway.relay.database import DatabaseGone, Line
from gateway.relay.loan import Loan
from gateway.relay.spool import Spool

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
MOST_AT_ONCE = 300
# With more than this waiting no further call is admitted: what is served must be written.
MOST_WAITING = 20_000
# Refusals carry no money; with more than this waiting they are counted instead of kept.
MOST_REFUSALS_WAITING = 5_000
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
USED_SECONDS = 60.0

USED_SQL = """
UPDATE keys_apikey k SET last_used_at = u.at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS u(id, at)
WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
"""


class End(NamedTuple):
    """The end of a call, as the ledger takes it, and the lease it drew on."""

    call: UUID
    line: bytes
    loan: Loan | None = None
    at: float = 0.0
    is_bare: bool = False


class Recorder:
    """``add`` never waits and never fails; ``is_full`` tells the front door to refuse."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._queue: deque[End] = deque()
        self._wanted = asyncio.Event()
        self._written = asyncio.Event()
        self._line = Line()
        self._task: asyncio.Task[None] | None = None
        self._in_hand = 0
        self._oldest_in_hand = 0.0
        self._is_closing = False
        self._is_hurried = False
        self.dropped_refusals = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._work())

    @property
    def waiting(self) -> int:
        return len(self._queue) + self._in_hand

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest end has waited for PostgreSQL."""
        if self._in_hand:
            return time.monotonic() - self._oldest_in_hand
        return time.monotonic() - self._queue[0].at if self._queue else 0.0

    @property
    def is_full(self) -> bool:
        """Whether no call may be admitted: too much waits, or the end of another could not be kept on the disk."""
        return len(self._queue) >= MOST_WAITING or bool(self.spool.error)

    def add(self, event: CallEvent, loan: Loan | None = None) -> None:
        if not event.hold and not event.cost_nano and len(self._queue) >= MOST_REFUSALS_WAITING:
            self.dropped_refusals += 1
            return
        end = End(event.request_id, orjson.dumps(event), loan, time.monotonic())
        self.spool.ended(end.call, end.line)
        self._queue.append(end)
        self._wanted.set()

    async def flush(self, seconds: float) -> bool:
        """Wait until everything added before now is written; False when that takes longer."""
        deadline = time.monotonic() + seconds
        self._is_hurried = True
        self._wanted.set()
        while self.waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._written.clear()
            try:
                async with asyncio.timeout(left):
                    await self._written.wait()
            except TimeoutError:
                return False
        return True

    async def stop(self, seconds: float) -> None:
        """Write what waits, for at most this long."""
        self._is_closing = True
        self._wanted.set()
        if not await self.flush(seconds):
            logger.error("%d ends of calls could not be written before the stop; they wait in the spool.", self.waiting)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._line.close()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._wanted.clear()
                await self._wanted.wait()
            if len(self._queue) < MOST_AT_ONCE and not self._is_closing and not self._is_hurried:
                await asyncio.sleep(GATHER_SECONDS)
            self._is_hurried = False
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_AT_ONCE))]
            self._in_hand, self._oldest_in_hand = len(batch), batch[0].at
            await self._write(batch)
            self._in_hand = 0
            self._written.set()

    async def _write(self, batch: Sequence[End]) -> None:
        attempt = 0
        payload = (b"[" + b",".join([end.line for end in batch]) + b"]").decode()
        while True:
            try:
                rows = await self._line.run(RECORD_SQL, (payload,))
            except DatabaseGone as error:
                if not attempt:
                    logger.warning("PostgreSQL does not take the ends of calls (%s); they wait in the spool.", error)
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                attempt += 1
                await asyncio.sleep(pause)
            except Exception as error:
                if len(batch) == 1:
                    what = getattr(error, "sqlstate", None) or type(error).__name__
                    logger.error("The end of call %s cannot be written: %s", batch[0].call.hex, what)
                    await self._write_bare(batch[0])
                    return
                for end in batch:
                    await self._write([end])
                return
            else:
                for end, (_, status, reason) in zip(batch, rows, strict=True):
                    if status == "refused":
                        logger.error("The end of call %s was refused: %s", end.call.hex, reason)
                        await self._write_bare(end)
                    else:
                        self._done(end)
                return

    async def _write_bare(self, end: End) -> None:
        """Charge a call of which the log cannot hold everything; the rest is kept for people."""
        bare = None if end.is_bare else bare_end(end.line)
        if not end.is_bare:
            self.spool.refuse(end.line)
        if bare is None:
            self._done(end)
        else:
            await self._write([end._replace(line=bare, is_bare=True)])

    def _done(self, end: End) -> None:
        self.spool.done(end.call)
        if end.loan is not None:
            end.loan.unwritten -= 1


class LastUse:
    """Tells the keys table when a key was last used, at most once a minute for each key."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        self._told: dict[int, float] = {}
        self._line = Line()

    def note(self, key_id: int) -> None:
        self._used[key_id] = time.time()

    async def tell(self) -> None:
        """Write what is due; what cannot be written is tried again next time."""
        now = time.time()
        due = {key: at for key, at in self._used.items() if now - self._told.get(key, 0.0) >= USED_SECONDS}
        if not due:
            return
        try:
            stamps = [_utc(at) for at in due.values()]
            await self._line.run(USED_SQL, (list(due), stamps))
        except (DatabaseGone, psycopg.Error):
            return
        for key, at in due.items():
            self._told[key] = now
            if self._used.get(key) == at:
                del self._used[key]
        if len(self._told) > 100_000:
            self._told = {key: at for key, at in self._told.items() if now - at < USED_SECONDS}

    async def stop(self) -> None:
        self._told.clear()
        await self.tell()
        await self._line.close()


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(seconds))
