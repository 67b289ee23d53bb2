"""Counts which features each model name is called with, so that a mapping is proven for what people use; told now and then.

A relay that is killed loses the counts of the last seconds. They steer proofs, never what anything costs.
"""

import time

import psycopg

from gateway.contract.features import features_of
from gateway.relay.call import Call
from gateway.relay.database import DatabaseGone, Line

MOST_WAITING = 5_000
USED_SQL = """
INSERT INTO gateway_featureuse (model_name, feature, source, call_count, first_at, last_at, note)
SELECT name, feature, 'calls', calls, now(), to_timestamp(at), ''
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::float8[]) AS u(name, feature, calls, at)
ON CONFLICT (model_name, feature, source) DO UPDATE SET
    call_count = gateway_featureuse.call_count + excluded.call_count,
    last_at = GREATEST(gateway_featureuse.last_at, excluded.last_at)
"""


class Features:
    """Notes and tells; what cannot be written is kept for the next time."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], tuple[int, float]] = {}
        self._line = Line()

    def note(self, call: Call, *, is_here: bool) -> None:
        """Of a call that was admitted; ``is_here`` False: it is passed on to an old entry."""
        found = features_of(call.body, call.spec.kind if is_here else None, is_stream=call.is_stream)
        name = call.decision.asked_model
        if not found or not name:
            return
        at = time.time()
        for feature in found:
            count, _last = self._used.get((name, feature), (0, at))
            if count or len(self._used) < MOST_WAITING:
                self._used[(name, feature)] = (count + 1, at)

    async def tell(self) -> None:
        if not self._used:
            return
        told, self._used = self._used, {}
        names, features = map(list, zip(*told, strict=True))
        counts, lasts = map(list, zip(*told.values(), strict=True))
        try:
            await self._line.run(USED_SQL, (names, features, counts, lasts))
        except (DatabaseGone, psycopg.Error):
            for place, (count, last) in told.items():
                more, newest = self._used.get(place, (0, last))
                self._used[place] = (count + more, max(last, newest))

    async def stop(self) -> None:
        await self.tell()
        await self._line.close()
