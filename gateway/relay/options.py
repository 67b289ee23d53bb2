"""Settings the hot path needs, read once: Django's settings object costs a little at every look."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, sizes in bytes. ``is_behind_proxy``: what X-Forwarded-For says last is the client's address."""

    hold_seconds: int
    task_hold_seconds: int
    upstream_seconds: int
    body_limit: int
    is_behind_proxy: bool
    shows_served: bool
    breaker_failures: int
    breaker_seconds: int
    state_folder: Path
    spool_sync_seconds: float
    lends: bool
    max_stale_seconds: int


@cache
def options() -> Options:
    return Options(
        hold_seconds=settings.HOLD_SECONDS,
        task_hold_seconds=settings.TASK_HOLD_HOURS * 3600,
        upstream_seconds=settings.UPSTREAM_TIMEOUT_SECONDS,
        body_limit=settings.RELAY_BODY_MEGABYTES * 1024 * 1024,
        is_behind_proxy=settings.SECURE_PROXY_SSL_HEADER is not None,
        shows_served=settings.SHOW_SERVED_MODEL,
        breaker_failures=settings.RELAY_BREAKER_FAILURES,
        breaker_seconds=settings.RELAY_BREAKER_SECONDS,
        state_folder=settings.RELAY_STATE_DIR,
        spool_sync_seconds=settings.RELAY_SPOOL_SYNC_MS / 1000,
        max_stale_seconds=settings.RELAY_MAX_STALE_SECONDS,
        lends=settings.RELAY_MONEY == "leases",
    )
