"""Settings the hot path needs, read once: Django's settings object costs a little at every look."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings

BODY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, sizes in bytes. ``is_behind_proxy``: what X-Forwarded-For says last is the client's address."""

    hold_seconds: int
    upstream_seconds: int
    body_limit: int
    is_behind_proxy: bool


@cache
def options() -> Options:
    return Options(
        hold_seconds=settings.HOLD_SECONDS,
        upstream_seconds=settings.UPSTREAM_TIMEOUT_SECONDS,
        body_limit=BODY_BYTES,
        is_behind_proxy=settings.SECURE_PROXY_SSL_HEADER is not None,
    )
