"""Everything a relay process keeps: connections, snapshot, keys, the writer of ends; started and stopped as one."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import psycopg

from billing.services.ledger import RESERVE_SQL, CallEvent, ReserveRequest, ReserveResult, reserve_payload
from gateway.contract.error_shapes import status_of
from gateway.contract.types import Denial
from gateway.relay.call import Call
from gateway.relay.config_store import ConfigStore
from gateway.relay.confirmations import EVERY_SECONDS, Confirmations
from gateway.relay.database import NOT_NOW, Batcher, DatabaseGone, Line
from gateway.relay.exchange import Exchange, HeaderList
from gateway.relay.features import Features
from gateway.relay.health import Health
from gateway.relay.key_cache import KeyCache
from gateway.relay.last_known import LastKnown
from gateway.relay.lender import Lender
from gateway.relay.limits import TELL_SECONDS, Limiter
from gateway.relay.options import options
from gateway.relay.recorder import LastUse, Recorder
from gateway.relay.replay import left_behind, replay
from gateway.relay.sightings import Sightings
from gateway.relay.spool import Spool, stem_for
from gateway.relay.task_store import TaskStore
from gateway.relay.wires import Wires

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
LAST_USE_SECONDS = 5.0
REPLAY_SECONDS = 10.0
TIDY_SECONDS = 1.0
KEYS_SECONDS = 5.0
WIRES_SECONDS = 15.0
HEALTH_SECONDS = 2.0
HEALTH_AGAIN_SECONDS = 15.0
# A graceful stop waits this long for calls to end, and then that long for their ends to be written.
PATIENCE_SECONDS = 4.0
STOP_SECONDS = 4.0
# A relay that was not heard of for a day is forgotten.
HEARTBEAT_SQL = """
WITH gone AS (DELETE FROM gateway_relayinstance WHERE seen_at < now() - interval '1 day' AND name <> %(name)s)
INSERT INTO gateway_relayinstance (name, started_at, seen_at, config_version, open_calls, spool_depth, oldest_unacked_s,
    lease_count)
VALUES (%(name)s, to_timestamp(%(started)s), now(), %(version)s, %(open)s, %(depth)s, %(oldest)s, %(leases)s)
ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at, seen_at = excluded.seen_at,
    config_version = excluded.config_version, open_calls = excluded.open_calls, spool_depth = excluded.spool_depth,
    oldest_unacked_s = excluded.oldest_unacked_s, lease_count = excluded.lease_count
"""
HEALTH_SQL = """
WITH gone AS (DELETE FROM gateway_upstreamhealth
    WHERE (relay = %(name)s AND (upstream_id, upstream_name) NOT IN
           (SELECT (x ->> 0)::bigint, x ->> 1 FROM jsonb_array_elements(%(open)s::jsonb) x))
       OR seen_at < now() - interval '1 hour')
INSERT INTO gateway_upstreamhealth (relay, upstream_id, upstream_name, reason, failure_count, since_at, seen_at)
SELECT %(name)s, (x ->> 0)::bigint, x ->> 1, x ->> 2, (x ->> 3)::int, to_timestamp((x ->> 4)::float8), now()
FROM jsonb_array_elements(%(open)s::jsonb) x
ON CONFLICT (relay, upstream_id, upstream_name) DO UPDATE SET reason = excluded.reason,
    failure_count = excluded.failure_count, since_at = excluded.since_at, seen_at = excluded.seen_at
"""
RELAYS_SQL = "SELECT count(*) FROM gateway_relayinstance WHERE seen_at > now() - interval '30 seconds'"
FAREWELL_SQL = "DELETE FROM gateway_relayinstance WHERE name = %s"


class Runtime:
    """Started once, stopped once; between the two it serves calls."""

    wires: Wires
    session: aiohttp.ClientSession
    old_session: aiohttp.ClientSession

    def __init__(self) -> None:
        self.name = os.environ.get("RELAY_NAME", "") or f"{socket.gethostname()}-{os.getpid()}"
        self.spool = Spool(options().state_folder / "spool", stem_for(self.name))
        last_known = LastKnown(options().state_folder, self.spool.stem)
        self.keys = KeyCache(last_known)
        self.config = ConfigStore(last_known, self.keys.forget, self._purses_changed)
        self.recorder = Recorder(self.spool)
        self.lender = Lender(self.spool.stem, self.spool.folder) if options().lends else None
        self.last_use = LastUse()
        self.sightings = Sightings()
        self.features = Features()
        self.tasks = TaskStore()
        self.reservations: Batcher[ReserveRequest, ReserveResult] = Batcher(_reserve, lines=3, most=200)
        self._open: set[asyncio.Task[Any]] = set()
        self.limits = Limiter(self.name)
        self.confirmations = Confirmations(self.name, self.keys, self._version)
        self.health = Health(failures=options().breaker_failures, seconds=options().breaker_seconds)
        self._health_told = 0.0
        self._started_at = time.time()
        self._line = Line()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        # Charged calls have a client of their own. Two sessions for the rest: videos, and the old entry, whose answers go
        # through as they are, compressed or not.
        self.wires = Wires()
        self.session = aiohttp.ClientSession(connector=_connector(), cookie_jar=aiohttp.DummyCookieJar())
        self.old_session = aiohttp.ClientSession(
            connector=_connector(), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        # What was loaded so far lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # Calls leave hardly any circles behind: the collector looks for some less often.
        gc.set_threshold(10_000, 20, 50)
        self.spool.open()
        self.keys.start()
        if self.lender is not None:
            self.lender.start()
            self._tasks.append(asyncio.create_task(self._every(TIDY_SECONDS, self.lender.tidy)))
        self.reservations.start()
        self.recorder.start()
        self.config.start()
        self._tasks += [
            asyncio.create_task(self._every(HEARTBEAT_SECONDS, self._heartbeat)),
            asyncio.create_task(self._every(WIRES_SECONDS, self.wires.tidy)),
            asyncio.create_task(self._every(LAST_USE_SECONDS, self.last_use.tell)),
            asyncio.create_task(self._every(LAST_USE_SECONDS, self.sightings.tell)),
            asyncio.create_task(self._every(LAST_USE_SECONDS, self.features.tell)),
            asyncio.create_task(self._every(HEALTH_SECONDS, self._tell_health)),
            asyncio.create_task(self._every(TELL_SECONDS, self.limits.tell)),
            asyncio.create_task(self._every(EVERY_SECONDS, self.confirmations.look)),
            asyncio.create_task(self._every(KEYS_SECONDS, self.keys.tell)),
            asyncio.create_task(self._every(options().spool_sync_seconds, self._keep_spool)),
            asyncio.create_task(self._every(REPLAY_SECONDS, self._replay)),
        ]

    async def stop(self) -> None:
        """Let calls end, settle those that do not, write what waits, close everything: a graceful stop loses nothing."""
        if self._open:
            await asyncio.wait(self._open, timeout=PATIENCE_SECONDS)
        for call in self._open:
            call.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.limits.stop()
        await self.recorder.stop(STOP_SECONDS)
        if self.lender is not None:
            await self.lender.stop()
        # What was lent and could not be given back is given back by the next one that finds the lock without its owner.
        self.spool.close(is_needed=self.lender is not None and self.lender.open_count > 0)
        await self.last_use.stop()
        await self.sightings.stop()
        await self.confirmations.stop()
        await self.features.stop()
        await self.tasks.stop()
        with contextlib.suppress(DatabaseGone, psycopg.Error):
            await self._line.run(FAREWELL_SQL, (self.name,))
            await self._line.run(HEALTH_SQL, {"name": self.name, "open": "[]"})
        await self._line.close()
        await self.config.stop()
        await self.keys.stop()
        await self.reservations.stop()
        self.wires.close()
        await self.session.close()
        await self.old_session.close()

    @property
    def open_calls(self) -> int:
        """Calls being served now."""
        return len(self._open)

    def serving(self, exchange: Exchange) -> "Serving":
        """While inside, the running task is an open call: it is cancelled when its client goes away or the relay stops."""
        return Serving(self._open, exchange)

    def end(self, call: Call, event: CallEvent) -> None:
        """Take the one end of a call; a second one is not looked at."""
        if call.is_settled:
            return
        call.is_settled = True
        if call.loan is not None:
            call.loan.end(call.held_nano or 0, event.cost_nano)
        self.recorder.add(event, call.loan)

    async def refuse(self, call: Call, exchange: Exchange, denial: Denial, extra: HeaderList | None = None) -> None:
        """Refuse a call and log that."""
        self.end(call, call.refused(denial, status_of(denial, exchange.profile)))
        await exchange.refuse(denial, extra=extra)

    @property
    def lease_count(self) -> int:
        return self.lender.open_count if self.lender is not None else 0

    def _version(self) -> int:
        return self.config.snapshot.version if self.config.snapshot else 0

    async def _heartbeat(self) -> None:
        snapshot = await self.config.ready(3.0)
        left = await asyncio.to_thread(left_behind, self.spool.folder)
        named = {
            "name": self.name,
            "started": self._started_at,
            "version": snapshot.version if snapshot else 0,
            "open": self.open_calls,
            "depth": self.recorder.waiting + left.calls,
            "oldest": int(max(self.recorder.oldest_seconds, left.oldest_seconds)),
            "leases": self.lease_count,
        }
        with contextlib.suppress(DatabaseGone):
            await self._line.run(HEARTBEAT_SQL, named)
            self.limits.relay_count = (await self._line.run(RELAYS_SQL, ()))[0][0]

    def _purses_changed(self, payer: int | None) -> None:
        if self.lender is not None:
            self.lender.call_back(payer)

    async def _keep_spool(self) -> None:
        self.spool.repair()
        self.spool.keep_begun()
        await asyncio.to_thread(self.spool.sync)

    async def _replay(self) -> None:
        """Send what relays of this machine left behind that are gone."""
        with contextlib.suppress(*NOT_NOW):
            await asyncio.to_thread(replay, self.spool.folder)

    async def _tell_health(self) -> None:
        """Tell the pages which upstreams are left alone, when that has changed or is to be said again."""
        due = self._health_told and time.monotonic() - self._health_told > HEALTH_AGAIN_SECONDS
        if not self.health.changed and not due:
            return
        found = self.health.open_now()
        try:
            await self._line.run(HEALTH_SQL, {"name": self.name, "open": orjson.dumps(found).decode()})
        except (DatabaseGone, psycopg.Error):
            self.health.changed = True
            return
        self._health_told = time.monotonic() if found else 0.0

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except Exception as error:
                logger.error("A regular task of the relay failed: %s", type(error).__name__)
            await asyncio.sleep(seconds)


class Serving:
    """One open call; see ``Runtime.serving``."""

    __slots__ = ("_exchange", "_open", "_task")

    def __init__(self, calls: set[asyncio.Task[Any]], exchange: Exchange) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open, self._exchange, self._task = calls, exchange, task

    def __enter__(self) -> None:
        self._open.add(self._task)
        self._exchange.watch(self._task)

    def __exit__(self, *_error: object) -> None:
        self._exchange.unwatch()
        self._open.discard(self._task)


def _connector() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=60)


async def _reserve(line: Line, requests: list[ReserveRequest]) -> list[ReserveResult]:
    rows = await line.run(RESERVE_SQL, (reserve_payload(requests),))
    found = {row[0]: ReserveResult(*row) for row in rows}
    return [found[request.request_id] for request in requests]
