"""Which key was seen at which entry, with which client: counted in memory, added to the day's row every few seconds.

A relay that is killed loses the counts of the last seconds. They tell who still has to move, never what anything costs.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache

import psycopg

from gateway.relay.client import family_of
from gateway.relay.database import DatabaseGone, Line
from gateway.relay.exchange import Exchange

MOST_WAITING = 20_000
# Hosts that are not in the register become one row: a client may send whatever it likes there.
SEEN_SQL = """
INSERT INTO gateway_entrysighting (day_on, key_id, entry_id, route, client_family, call_count, first_at, last_at)
SELECT s.day_on, s.key_id, e.id, s.route, s.family, sum(s.calls), min(s.first_at), max(s.last_at)
FROM unnest(%s::date[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
     AS s(day_on, key_id, host, route, family, calls, first_at, last_at)
JOIN keys_apikey k ON k.id = s.key_id
LEFT JOIN LATERAL (SELECT id FROM gateway_entrypoint WHERE host = s.host ORDER BY id LIMIT 1) e ON true
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (key_id, day_on, entry_id, route, client_family) DO UPDATE SET
    call_count = gateway_entrysighting.call_count + excluded.call_count,
    first_at = LEAST(gateway_entrysighting.first_at, excluded.first_at),
    last_at = GREATEST(gateway_entrysighting.last_at, excluded.last_at)
"""

Place = tuple[str, int, str, str, str]


class Sightings:
    """Notes and tells; what cannot be written is kept for the next time."""

    def __init__(self) -> None:
        self._seen: dict[Place, tuple[int, float, float]] = {}
        self._line = Line()

    def note(self, key_id: int, route: str, exchange: Exchange) -> None:
        at = time.time()
        place = (
            _day(int(at) // 86_400),
            key_id,
            _host(exchange.headers.get(b"host", b"")),
            route,
            family_of(exchange.headers.get(b"user-agent", b"")),
        )
        count, first, _last = self._seen.get(place, (0, at, at))
        if count or len(self._seen) < MOST_WAITING:
            self._seen[place] = (count + 1, first, at)

    async def tell(self) -> None:
        if not self._seen:
            return
        told, self._seen = self._seen, {}
        columns = list(zip(*told, strict=True))
        counts, firsts, lasts = zip(*told.values(), strict=True)
        try:
            await self._line.run(
                SEEN_SQL, (*map(list, columns), list(counts), [_utc(at) for at in firsts], [_utc(at) for at in lasts])
            )
        except (DatabaseGone, psycopg.Error):
            for place, (count, first, last) in told.items():
                now_count, now_first, now_last = self._seen.get(place, (0, first, last))
                self._seen[place] = (count + now_count, min(first, now_first), max(last, now_last))

    async def stop(self) -> None:
        await self.tell()
        await self._line.close()


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    """The UTC day that many days after the first of 1970."""
    return time.strftime("%Y-%m-%d", time.gmtime(number * 86_400))


@lru_cache(maxsize=1024)
def _host(header: bytes) -> str:
    """The host as the register has it: lower case, without a usual port."""
    text = header.decode("latin-1").strip().lower()[:260].rstrip(".")
    for port in (":80", ":443"):
        text = text.removesuffix(port)
    return text.replace("\x00", "").strip("[]") if text.startswith("[") and text.endswith("]") else text.replace("\x00", "")


def _utc(seconds: float) -> str:
    # To the microsecond: who is seen in the second of the own switch is seen after it.
    return datetime.fromtimestamp(seconds, UTC).isoformat()
