"""Reads the keys the portal asks to be confirmed into the cache, and says of each what is held: the handshake before a wave.

Outside of any call. A look at one small table every two seconds; the rest only when something was asked, or when keys have
changed since, and that not more often than every quarter of a minute.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable

import orjson
import psycopg

from gateway.contract.fingerprint import fingerprint_of
from gateway.contract.types import KeyView
from gateway.relay.database import DatabaseGone, Line
from gateway.relay.key_cache import KeyCache
from keys.secrets import pepper_numbers

EVERY_SECONDS = 2.0
AGAIN_SECONDS = 15.0
AT_ONCE = 200
ASKED_SQL = "SELECT count(*), max(asked_at)::text FROM gateway_keywatch"
# Keys without a living secret come with empty columns: they are answered too.
WATCHED_SQL = """
SELECT w.key_id, s.digest, s.pepper_number FROM gateway_keywatch w
LEFT JOIN keys_keysecret s ON s.key_id = w.key_id AND s.revoked_at IS NULL AND (s.valid_until IS NULL OR s.valid_until > now())
ORDER BY w.key_id
"""
SAY_SQL = """
INSERT INTO gateway_keyconfirmation (relay, key_id, fingerprint, withheld, config_version, confirmed_at)
SELECT %(relay)s, (x ->> 0)::bigint, x ->> 1, x ->> 2, %(version)s, now() FROM jsonb_array_elements(%(said)s::jsonb) x
WHERE EXISTS (SELECT FROM keys_apikey k WHERE k.id = (x ->> 0)::bigint)
ON CONFLICT (relay, key_id) DO UPDATE SET fingerprint = excluded.fingerprint, withheld = excluded.withheld,
    config_version = excluded.config_version, confirmed_at = excluded.confirmed_at
"""


class Confirmations:
    """``look`` is called every few seconds; it does nothing unless there is something new to say."""

    def __init__(self, relay: str, keys: KeyCache, version: Callable[[], int]) -> None:
        self._relay, self._keys, self._version = relay, keys, version
        self._line = Line()
        self._asked: tuple[object, ...] = ()
        self._generation = -1
        self._said_at = 0.0

    async def look(self) -> None:
        with contextlib.suppress(DatabaseGone, psycopg.Error):
            count, asked_at = (await self._line.run(ASKED_SQL, ()))[0]
            # Read before the keys are: a change that comes meanwhile makes another round.
            asked, generation = (count, asked_at), self._keys.generation
            is_changed = generation != self._generation and time.monotonic() - self._said_at >= AGAIN_SECONDS
            if not count or (asked == self._asked and not is_changed):
                return
            said = await self._held()
            version = self._version()
            await self._line.run(SAY_SQL, {"relay": self._relay, "version": version, "said": orjson.dumps(said).decode()})
            self._asked, self._generation, self._said_at = asked, generation, time.monotonic()

    async def _held(self) -> list[tuple[int, str, str]]:
        rows = await self._line.run(WATCHED_SQL, ())
        peppers = pepper_numbers()
        digests: defaultdict[int, list[bytes]] = defaultdict(list)
        strange = set()
        for key_id, digest, pepper in rows:
            digests[key_id] += [bytes(digest)] if digest is not None else []
            if digest is not None and pepper not in peppers:
                strange.add(key_id)
        wanted = [digest for found in digests.values() for digest in found]
        held: dict[bytes, KeyView | None] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            held.update(zip(part, await asyncio.gather(*map(self._keys.hold, part)), strict=True))
        said = []
        for key_id, found in digests.items():
            views = {digest: view for digest in found if (view := held[digest]) is not None and view.id == key_id}
            withheld = "unknown_pepper" if key_id in strange else "" if views and len(views) == len(found) else "no_secret"
            said.append((key_id, "" if withheld else fingerprint_of(views), withheld))
        return said

    async def stop(self) -> None:
        await self._line.close()
