"""The background work of one proxy process: configuration, keys, events, heartbeat, comparison."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from . import VERSION
from .calls import Calls, lost
from .keys import Copy
from .lender import TIDY_SECONDS, Lender
from .options import Options
from .portal import Portal, PortalGone, PortalRefused
from .spool import Spool

logger = logging.getLogger("portal_litellm")

WAIT_SECONDS = 25
KEYS_SECONDS = 2.0
# An unknown key makes us look again, but not more often than this.
LOOK_AGAIN_SECONDS = 1.0
HEARTBEAT_SECONDS = 10.0
SEND_SECONDS = 0.2
MOST_EVENTS = 500
RECONCILE_SECONDS = 3_600.0
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

Install = Callable[[dict[str, Any], Callable[[str | None], Awaitable[str]]], Awaitable[None]]


class Worker:
    """``install`` puts a configuration document into the proxy's router."""

    def __init__(self, options: Options, install: Install) -> None:
        self.options = options
        self.portal = Portal(options)
        self.copy = Copy()
        self.spool = Spool(options.folder)
        self.calls = Calls(self.spool)
        self.lender = Lender(self.portal.post, self.spool, self.copy) if options.lends else None
        self.source = f"{options.instance}-{self.spool.slot}"
        self.is_draining = False
        self._install = install
        self._seq = int(time.time() * 1000)
        self._done_for = ""
        self._looked_at = 0.0
        self._keys_lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._saved = ""

    async def start(self) -> None:
        """Begin with what was saved; the first configuration and keys come in the background."""
        for request_id, facts in self.spool.lost_calls():
            self.spool.add(lost(request_id, facts))
        self.copy.load(self.options.folder / f"copy-{self.spool.slot}.json")
        works = [self._config, self._keys, self._send, self._heartbeat, self._reconcile]
        if self.lender is not None:
            works.append(self._lend)
        self._tasks = [asyncio.create_task(self._forever(work)) for work in works]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.lender is not None:
            await self.lender.stop()
        await self.portal.close()

    @property
    def hold_seconds(self) -> float:
        return float(self.copy.config.get("settings", {}).get("hold_seconds", 900))

    async def look_again(self) -> None:
        """Read the newest keys now, because one was presented that is not known yet."""
        if time.monotonic() - self._looked_at < LOOK_AGAIN_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            await self._read_keys()
        except (PortalGone, PortalRefused):
            return

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await work()
                failures = 0
            except (PortalGone, PortalRefused) as error:
                if not failures:
                    logger.warning("The portal does not answer %s: %s", work.__name__.strip("_"), error)
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
            except Exception as error:
                # Only the kind: a text may hold what a client sent.
                logger.error("Background work %s failed: %s", work.__name__.strip("_"), type(error).__name__)
                await asyncio.sleep(1)

    async def _config(self) -> None:
        wait = WAIT_SECONDS if self._saved and self._saved == self.copy.version else 0
        document = await self.portal.get("config", wait, since=self._saved, wait=str(wait))
        if document is None:
            return
        await self._install(document, self._secret)
        self.copy.take_config(document)
        self._saved = self.copy.version

    async def _secret(self, ref: str | None) -> str:
        """The credential behind a reference: from our environment, else from the portal if it lets us."""
        if ref is None:
            return ""
        own = os.environ.get("PORTAL_SECRET_" + ref.upper().replace("-", "_"), "")
        if own:
            return own
        try:
            found = await self.portal.get(f"secrets/{ref}")
        except PortalRefused:
            logger.warning("No credential for %s: set %s", ref, "PORTAL_SECRET_" + ref.upper().replace("-", "_"))
            return ""
        return str((found or {}).get("value", ""))

    async def _keys(self) -> None:
        await self._read_keys()
        await asyncio.sleep(KEYS_SECONDS)

    async def _read_keys(self) -> None:
        async with self._keys_lock:
            before = self.copy.cursor
            while True:
                page = await self.portal.get("keys", since=self.copy.cursor)
                assert page is not None
                told = {row["key_id"] for row in page["rows"]} | set(page["gone"])
                known = {key_id: self.copy.rows_of(key_id) for key_id in told}
                self.copy.take_page(page)
                if self.lender is not None:
                    # A key may be told again that is as it was.
                    changed = {key_id for key_id, rows in known.items() if rows != self.copy.rows_of(key_id)}
                    self.lender.call_back(None if page["is_reset"] else changed)
                if not page["has_more"]:
                    break
            if not before or page["rows"] or page["gone"]:
                await asyncio.to_thread(self.copy.save, self.options.folder / f"copy-{self.spool.slot}.json")

    async def _send(self) -> None:
        self.calls.overdue(self.hold_seconds - 30)
        batch = self.spool.batch(MOST_EVENTS)
        if not batch:
            await asyncio.sleep(SEND_SECONDS)
            return
        self._seq += 1
        events = [{name: value for name, value in event.items() if name != "_at"} for event in batch]
        answer = await self.portal.post("usage", {"source": self.source, "seq": self._seq, "events": events})
        done, again = [], 0
        for event, result in zip(batch, answer["results"], strict=True):
            if result["status"] == "rejected":
                logger.error("Event %s was refused: %s", event["event_id"], result.get("reason", ""))
                if result.get("retryable"):
                    again += 1
                    continue
            done.append(event["event_id"])
        self.spool.ack(done)
        if again:
            await asyncio.sleep(1)

    async def _lend(self) -> None:
        assert self.lender is not None
        await self.lender.tidy()
        await asyncio.sleep(TIDY_SECONDS)

    async def _heartbeat(self) -> None:
        answer = await self.portal.post(
            "heartbeat",
            {
                "instance": self.source,
                "version": VERSION,
                "config_version": self.copy.version,
                "key_cursor": self.copy.cursor[:64],
                "spool_depth": len(self.spool.pending),
                "oldest_unacked_s": self.spool.oldest_seconds(),
                "inflight": len(self.calls),
                "leases": len(self.lender) if self.lender is not None else 0,
                "sent_at": datetime.now(UTC).isoformat(),
            },
        )
        self.is_draining = answer.get("wanted") == "drain"
        if answer.get("wanted") == "resync" and answer.get("wanted_at") != self._done_for:
            self._done_for = str(answer.get("wanted_at"))
            self.copy.cursor, self._saved = "", ""
        self._adopt()
        await asyncio.sleep(HEARTBEAT_SECONDS)

    def _adopt(self) -> None:
        """Report what processes left behind that nobody started again."""
        for left in self.spool.orphans():
            for request_id, facts in left.lost_calls():
                left.add(lost(request_id, facts))
            for event in list(left.pending.values()):
                self.spool.add(event)
            left.ack(list(left.pending))
            if self.lender is not None:
                self.lender.adopt(left.leases)
                for lease_id in [*left.leases]:
                    left.unlend(lease_id)
            left.compact()
            left.close()

    async def _reconcile(self) -> None:
        await asyncio.sleep(RECONCILE_SECONDS)
        await self.reconcile()

    async def reconcile(self, until: float | None = None) -> list[dict[str, Any]]:
        """Compare the last full day of hours; gives those that differ."""
        end = int((until or time.time() - 600) // 3600) * 3600
        begin = end - 24 * 3600
        span = [time.strftime("%Y-%m-%dT%H:00:00+00:00", time.gmtime(moment)) for moment in (begin, end)]
        rows = [
            {"hour_at": hour, "channel_id": channel, "calls": counts[0], "input_tokens": counts[1], "output_tokens": counts[2]}
            for (hour, channel), counts in self.spool.tallies.items()
            if span[0] <= hour < span[1]
        ]
        told = {"source": self.source, "begin_at": span[0], "end_at": span[1], "rows": rows}
        differences = (await self.portal.post("reconcile", told)).get("differences", [])
        if differences:
            logger.error("%d hours differ from what the portal has", len(differences))
        return list(differences)
