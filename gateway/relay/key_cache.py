"""Keys by the digest of their secret, read when first used, dropped when something about keys changes."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.contract.loading import KEYS_SQL, Row, key_from_row
from gateway.contract.types import KeyView
from gateway.relay.database import Batcher, DatabaseGone, Line
from gateway.relay.last_known import LastKnown
from gateway.relay.options import options
from keys.secrets import candidate_digests

MOST_KEYS = 50_000
MOST_UNKNOWN = 10_000
KNOWN_SECONDS = 30.0
UNKNOWN_SECONDS = 5.0
# After a reading that failed, keys that are known are not asked for again for so long.
AWAY_SECONDS = 1.0


@dataclass(slots=True)
class _Entry:
    view: KeyView | None
    generation: int
    read_at: float
    row: Any = None


class KeyCache:
    """Bounded, oldest use out first. It holds digests, never a secret.

    While PostgreSQL is away a key that is known is taken as it was for ``RELAY_MAX_STALE_SECONDS``, unless something about keys
    changed after it was read. Keys of the old route are forwarded even then: the old entry checks them itself."""

    def __init__(self, last_known: LastKnown) -> None:
        self._last_known = last_known
        self._is_dirty = False
        # Generations from this one on are known to hold every change that was heard of.
        self._changed_at = 0
        self._away_until = 0.0
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Entry] = OrderedDict()
        self._generation = 1
        self._batcher: Batcher[list[bytes], Row | None] = Batcher(_load, lines=1, most=200)

    def start(self) -> None:
        self._batcher.start()
        moment, wall = time.monotonic(), time.time()
        for read_at, row in self._last_known.known_keys():
            age = max(0.0, wall - read_at)
            if age >= options().max_stale_seconds:
                continue
            # What another version of the relay kept may have another shape.
            with contextlib.suppress(LookupError, TypeError, ValueError):
                # Of an older generation: asked for as soon as somebody answers.
                self._keep(bytes(row[0]), _Entry(key_from_row(row), 0, moment - age, row))

    async def stop(self) -> None:
        await self._batcher.stop()
        await self.tell()

    async def tell(self) -> None:
        """Keep on the disk what is known."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        offset = time.time() - time.monotonic()
        rows = [(entry.read_at + offset, entry.row) for entry in self._known.values()]
        await asyncio.to_thread(self._last_known.keep_keys, rows)

    def forget(self, is_sure: bool = True) -> None:
        """Everything read before now must be read again; ``is_sure``: something did change."""
        self._generation += 1
        if is_sure:
            self._changed_at = self._generation
        self._unknown.clear()

    @property
    def generation(self) -> int:
        """Grows with every change to keys that was heard of."""
        return self._generation

    async def hold(self, digest: bytes) -> KeyView | None:
        """Read the key behind a stored digest into the cache, before anybody calls with it; raises DatabaseGone."""
        generation, at = self._generation, time.monotonic()
        row = await self._batcher.ask([digest])
        view = key_from_row(row) if row is not None else None
        self._keep(digest, _Entry(view, generation, at, row))
        self._is_dirty = True
        return view

    async def find(self, bare: str) -> KeyView | None:
        """The key whose secret this is, or None; raises DatabaseGone when that cannot be known."""
        digests = candidate_digests(bare)
        now = time.monotonic()
        first = digests[0]
        entry = self._known.get(first)
        if entry is not None and entry.generation == self._generation and now - entry.read_at < KNOWN_SECONDS:
            self._known.move_to_end(first)
            return entry.view
        missing = self._unknown.get(first)
        if missing is not None and missing.generation == self._generation and now - missing.read_at < UNKNOWN_SECONDS:
            return None
        # Read under the number of now: a change that comes while the answer is on its way makes it old again.
        generation = self._generation
        try:
            if now < self._away_until and self._may_stay(entry, now):
                raise DatabaseGone("a moment ago")
            row = await self._batcher.ask(digests)
        except DatabaseGone:
            if entry is not None and self._may_stay(entry, now):
                self._away_until = max(self._away_until, now + AWAY_SECONDS)
                return entry.view
            raise
        view = key_from_row(row) if row is not None else None
        # Under the digest that was asked for: the one in the row may be of an older pepper.
        self._keep(first, _Entry(view, generation, now, (first, *row[1:]) if row is not None else None))
        self._is_dirty = True
        return view

    def _may_stay(self, entry: _Entry | None, now: float) -> bool:
        """Whether a key may be taken as it was while nobody can say how it is."""
        if entry is None or entry.view is None or now - entry.read_at >= options().max_stale_seconds:
            return False
        return entry.view.route == "old" or entry.generation >= self._changed_at

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        kept, other, most = (
            (self._unknown, self._known, MOST_UNKNOWN) if entry.view is None else (self._known, self._unknown, MOST_KEYS)
        )
        other.pop(digest, None)
        kept[digest] = entry
        kept.move_to_end(digest)
        while len(kept) > most:
            kept.popitem(last=False)


async def _load(line: Line, wishes: list[list[bytes]]) -> list[Row | None]:
    rows = await line.run(KEYS_SQL, ([digest for digests in wishes for digest in digests],))
    found = {bytes(row[0]): row for row in rows}
    return [next((found[digest] for digest in digests if digest in found), None) for digests in wishes]
