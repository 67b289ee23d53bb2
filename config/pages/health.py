"""Is it alive, is it ready: for load balancers, for ``make up`` and for people who look.

Both are answered before sessions, languages and host names come into play: a probe must not fail with the database gone
because a cookie was sent along, nor because it asked by address.
"""

import time
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from config.foundation.clock import now
from config.tasks import HEARTBEAT_KEY

# Beat sends a heartbeat every 5 s; this old means that beat or the workers stand still.
HEARTBEAT_LIMIT_SECONDS = 30

Handler = Callable[[HttpRequest], HttpResponse]
Check = Callable[[], dict[str, Any]]


class ProbeMiddleware:
    """Answers the two probe addresses; stands first in the list."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return healthz(request)
        if request.path == "/readyz":
            return readyz(request)
        return self.get_response(request)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; asks nothing of any server."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything that a page or a call needs is there, else 503 with the names of what is not."""
    checks = {name: _run(check) for name, check in CHECKS.items()}
    failing = [name for name, found in checks.items() if not found["ok"]]
    body = {"status": "not_ready" if failing else "ready", "failing": failing, "checks": checks}
    return JsonResponse(body, status=503 if failing else 200)


def _run(check: Check) -> dict[str, Any]:
    started = time.perf_counter()
    # The answer is open to everybody: it names the kind of trouble, never a server's own words, which may hold its address.
    try:
        found = check()
    except (Error, RedisError, OSError) as error:
        found = {"ok": False, "error": type(error).__name__}
    return {**found, "ms": round((time.perf_counter() - started) * 1000, 1)}


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return {"ok": True}


def _migrations() -> dict[str, Any]:
    known = set(_migrations_on_disk())
    unapplied = len(known - set(MigrationRecorder(connection).applied_migrations()))
    return {"ok": unapplied == 0, "unapplied": unapplied}


def _redis() -> dict[str, Any]:
    cache.get(HEARTBEAT_KEY)
    return {"ok": True}


def _heartbeat() -> dict[str, Any]:
    beat_at = cache.get(HEARTBEAT_KEY)
    if beat_at is None:
        return {"ok": False, "age_seconds": None}
    age = max(0.0, now().timestamp() - float(beat_at))
    return {"ok": age <= HEARTBEAT_LIMIT_SECONDS, "age_seconds": round(age, 1)}


def _migrations_on_disk() -> list[tuple[str, str]]:
    if not _on_disk:
        _on_disk.extend(MigrationLoader(None).disk_migrations or ())
    return _on_disk


# Files do not change while a process lives.
_on_disk: list[tuple[str, str]] = []

CHECKS: dict[str, Check] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "worker_and_beat": _heartbeat,
}
