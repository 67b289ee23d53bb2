"""Keeps the snapshot fresh: at once when PostgreSQL says that something changed, and every half minute anyway."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import psycopg

from gateway.contract.loading import load_snapshot
from gateway.contract.snapshot import Snapshot
from gateway.relay.database import connection_arguments
from gateway.relay.last_known import LastKnown, Recording
from gateway.relay.options import options

logger = logging.getLogger(__name__)

CHANNEL = "portal_config"
REFRESH_SECONDS = 30.0
# Many changes in a row (an import) become one reading each fifth of a second.
GATHER_SECONDS = 0.2
# Tables that only say something about keys; they empty the cache of keys, the snapshot does not hold them.
KEY_TABLES = frozenset(
    {"keys_apikey", "keys_keysecret", "accounts_user", "gateway_keyoldentry", "keys_calllimit", "keys_useprofile"}
)
# "lease:<payer>": what lends to relays must be looked at again (billing/sql/leases.sql).
PURSE_PREFIX = "lease:"


class ConfigStore:
    """``snapshot`` is the newest state read, None until the first one; while PostgreSQL is away at the start it is the one kept
    on the disk. ``on_keys_changed`` is called after changes to keys (False: when nobody knows whether there were any),
    ``on_purses_changed`` with the payer whose purses or limits changed (a team's number is negative), or None: perhaps any."""

    def __init__(
        self,
        last_known: LastKnown,
        on_keys_changed: Callable[[bool], None],
        on_purses_changed: Callable[[int | None], None],
    ) -> None:
        self._last_known = last_known
        self.snapshot: Snapshot | None = None
        self._on_keys_changed = on_keys_changed
        self._on_purses_changed = on_purses_changed
        self._loaded_at = 0.0
        self._wanted = asyncio.Event()
        self._loaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: psycopg.Connection | None = None

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._refresh())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()

    async def ready(self, seconds: float) -> Snapshot | None:
        """The snapshot, waiting for the first one if need be; None when there is none in time, or only one that is too old."""
        if self.snapshot is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._loaded.wait()
            except TimeoutError:
                return None
        return self.snapshot if self.age_seconds < options().max_stale_seconds else None

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._loaded_at

    async def _refresh(self) -> None:
        pause = 0.0
        while True:
            if not pause:
                self._wanted.clear()
            try:
                # In a thread: reading thousands of prices must not keep the calls waiting.
                self.snapshot = await asyncio.to_thread(self._load)
                self._loaded_at = time.monotonic()
                self._loaded.set()
                pause = 0.0
            except (psycopg.Error, OSError) as error:
                logger.warning("The configuration cannot be read (%s); the last one stays.", type(error).__name__)
                pause = 1.0
                if self.snapshot is None:
                    await self._take_last_known()
            if pause:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._wanted.wait()

    async def _take_last_known(self) -> None:
        found = await asyncio.to_thread(self._last_known.config)
        if found is None or found[1] >= options().max_stale_seconds:
            return
        self.snapshot, age = found
        self._loaded_at = time.monotonic() - age
        self._loaded.set()
        logger.warning("The relay serves with the configuration kept on its disk, %d seconds old.", age)

    def _load(self) -> Snapshot:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(**{**connection_arguments(statement_seconds=30), "autocommit": False})
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                recording = Recording(cursor)
                snapshot = load_snapshot(recording)
            self._last_known.keep_config(recording.answers)
            return snapshot
        except psycopg.OperationalError:
            self._connection.close()
            raise

    async def _listen(self) -> None:
        while True:
            try:
                arguments = connection_arguments()
                async with await psycopg.AsyncConnection.connect(**arguments) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    # What changed while nobody listened is not known: everything is read again.
                    self._changed({"all"})
                    await self._hear(connection)
            except (psycopg.Error, OSError) as error:
                logger.warning("Changes of the configuration cannot be heard (%s); trying again.", type(error).__name__)
            await asyncio.sleep(1)

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            tables = set()
            async for notice in connection.notifies(timeout=REFRESH_SECONDS, stop_after=1):
                tables.add(notice.payload)
            if not tables:
                # A word now and then, so that a connection that died in silence is noticed.
                await connection.execute("SELECT 1")
                continue
            async for notice in connection.notifies(timeout=GATHER_SECONDS):
                tables.add(notice.payload)
            self._changed(tables)

    def _changed(self, tables: set[str]) -> None:
        purses = {table for table in tables if table.startswith(PURSE_PREFIX)}
        tables = tables - purses
        for purse in purses:
            self._on_purses_changed(int(purse.removeprefix(PURSE_PREFIX)))
        if "all" in tables:
            self._on_purses_changed(None)
        if tables & KEY_TABLES or "all" in tables:
            self._on_keys_changed(tables != {"all"})
        if tables - KEY_TABLES:
            self._wanted.set()
