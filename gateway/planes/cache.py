"""The snapshot kept by a process that answers data planes, read again when the configuration changed.

A change is numbered when it is made and seen when it is committed. So a snapshot read under a number may still miss that very
change: it is read again until every transaction that ran at the first reading has ended, at most once a second.
"""

import threading
import time
from dataclasses import dataclass

from django.db import connection

from gateway.contract.snapshot import Snapshot
from gateway.selectors import current_snapshot

STATE_SQL = """
SELECT last_value, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
FROM gateway_catalogue_version
"""
AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    """``settles_at``: with every transaction below this number ended, nothing of ``number`` can be missing."""

    snapshot: Snapshot
    number: int
    settles_at: int
    is_settled: bool
    at: float


class SnapshotCache:
    def __init__(self) -> None:
        self._read: _Read | None = None
        self._lock = threading.Lock()

    def get(self) -> Snapshot:
        """The configuration as it is now; costs one small query while nothing changes."""
        number, oldest, newest = self._state()
        kept = self._read
        if kept is not None and self._is_fresh(kept, number, oldest):
            return kept.snapshot
        with self._lock:
            kept = self._read
            if kept is not None and self._is_fresh(kept, number, oldest):
                return kept.snapshot
            number, oldest, newest = self._state()
            settles_at = kept.settles_at if kept is not None and kept.number == number else newest
            self._read = _Read(current_snapshot(), number, settles_at, oldest >= settles_at, time.monotonic())
            return self._read.snapshot

    def forget(self) -> None:
        self._read = None

    @staticmethod
    def _state() -> tuple[int, int, int]:
        with connection.cursor() as cursor:
            cursor.execute(STATE_SQL)
            number, oldest, newest = cursor.fetchone()
        return number, oldest, newest

    @staticmethod
    def _is_fresh(kept: _Read, number: int, oldest: int) -> bool:
        if kept.number != number:
            return False
        return kept.is_settled or (oldest < kept.settles_at and time.monotonic() - kept.at < AGAIN_SECONDS)


snapshots = SnapshotCache()
