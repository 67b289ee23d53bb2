"""Keys by the digest of their secret, read when first used, dropped when something about keys changes."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from gateway.contract.loading import KEYS_SQL, key_from_row
from gateway.contract.types import KeyView
from gateway.relay.database import Batcher, DatabaseGone, Line
from keys.secrets import candidate_digests

MOST_KEYS = 50_000
MOST_UNKNOWN = 10_000
KNOWN_SECONDS = 30.0
UNKNOWN_SECONDS = 5.0
# While the database is away, keys of the old route are still forwarded: the old entry checks them itself.
STALE_SECONDS = 900.0


@dataclass(slots=True)
class _Entry:
    view: KeyView | None
    generation: int
    read_at: float


class KeyCache:
    """Bounded, oldest use out first. It holds digests, never a secret."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Entry] = OrderedDict()
        self._generation = 0
        self._batcher: Batcher[list[bytes], KeyView | None] = Batcher(_load, lines=1, most=200)

    def start(self) -> None:
        self._batcher.start()

    async def stop(self) -> None:
        await self._batcher.stop()

    def forget(self) -> None:
        """Everything read before now must be read again."""
        self._generation += 1
        self._unknown.clear()

    @property
    def generation(self) -> int:
        """Grows with every change to keys that was heard of."""
        return self._generation

    async def hold(self, digest: bytes) -> KeyView | None:
        """Read the key behind a stored digest into the cache, before anybody calls with it; raises DatabaseGone."""
        generation, at = self._generation, time.monotonic()
        view = await self._batcher.ask([digest])
        self._keep(digest, _Entry(view, generation, at))
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
            view = await self._batcher.ask(digests)
        except DatabaseGone:
            if (
                entry is not None
                and entry.view is not None
                and entry.view.route == "old"
                and now - entry.read_at < STALE_SECONDS
            ):
                return entry.view
            raise
        self._keep(first, _Entry(view, generation, now))
        return view

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        kept, other, most = (
            (self._unknown, self._known, MOST_UNKNOWN) if entry.view is None else (self._known, self._unknown, MOST_KEYS)
        )
        other.pop(digest, None)
        kept[digest] = entry
        kept.move_to_end(digest)
        while len(kept) > most:
            kept.popitem(last=False)


async def _load(line: Line, wishes: list[list[bytes]]) -> list[KeyView | None]:
    rows = await line.run(KEYS_SQL, ([digest for digests in wishes for digest in digests],))
    found = {bytes(row[0]): key_from_row(row) for row in rows}
    return [next((found[digest] for digest in digests if digest in found), None) for digests in wishes]
