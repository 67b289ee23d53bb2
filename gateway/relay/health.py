"""Passive health: upstreams that fail again and again are left alone for a while, then tried by one call.

Each (upstream, name at the upstream) has a breaker. It opens after so many failures in a row; while it is open no call goes
there. When its time is over one call is let through: a success closes it, a failure opens it for twice as long. Each relay
learns by itself; what it knows is told to the database for the pages.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.contract.types import Candidate

MOST_SECONDS = 120.0
# An end that says nothing about the upstream: the client left, or its request was wrong or too frequent.
NEUTRAL = frozenset({"client_gone", "relay_stopped", "refused", "rate_limited"})
PROBE_SECONDS = 30.0

Key = tuple[int, str]


@dataclass(slots=True)
class Breaker:
    """``until`` is the monotonic time before which nothing is sent; 0 while it is closed."""

    failures: int = 0
    until: float = 0.0
    pause: float = 0.0
    probing_until: float = 0.0
    reason: str = ""
    opened_at: float = 0.0


class Health:
    """``changed`` is true until ``open_now`` was read."""

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = failures, seconds, clock
        self._breakers: dict[Key, Breaker] = {}
        self.changed = False

    def usable(self, candidates: Sequence[Candidate], *, may_probe: bool = True) -> list[Candidate]:
        """Those that may be tried, in their order; at most one whose breaker is due for its trial, and that one first."""
        if not self._breakers:
            return list(candidates)
        now = self._clock()
        ready: list[Candidate] = []
        trial: Candidate | None = None
        for one in candidates:
            breaker = self._breakers.get(_key(one))
            if breaker is None or not breaker.until:
                ready.append(one)
            elif trial is None and breaker.until <= now and breaker.probing_until <= now:
                trial = one
        if trial is None or (ready and not may_probe):
            return ready
        self._breakers[_key(trial)].probing_until = now + PROBE_SECONDS
        return [trial, *ready]

    def seconds_until_trial(self, candidates: Sequence[Candidate]) -> int:
        """How long a client had better wait."""
        now = self._clock()
        times = [breaker.until - now for one in candidates if (breaker := self._breakers.get(_key(one)))]
        return max(1, round(min(times, default=1.0)))

    def note(self, candidate: Candidate, error: str) -> None:
        """Take in how an attempt ended; "" is a success."""
        key = _key(candidate)
        breaker = self._breakers.get(key)
        if error in NEUTRAL:
            if breaker is not None:
                breaker.probing_until = 0.0
            return
        if not error:
            if breaker is not None:
                self.changed |= bool(breaker.until)
                del self._breakers[key]
            return
        breaker = breaker or self._breakers.setdefault(key, Breaker())
        breaker.failures += 1
        breaker.probing_until = 0.0
        if breaker.failures >= self._most:
            breaker.pause = min(breaker.pause * 2 or self._seconds, MOST_SECONDS)
            breaker.until = self._clock() + breaker.pause
            breaker.opened_at = breaker.opened_at or time.time()
            breaker.reason = error
            self.changed = True

    def open_now(self) -> list[tuple[int, str, str, int, float]]:
        """(upstream, name there, last error, failures in a row, open since) of every breaker that is not closed."""
        self.changed = False
        return [
            (upstream_id, name, breaker.reason, breaker.failures, breaker.opened_at)
            for (upstream_id, name), breaker in self._breakers.items()
            if breaker.until
        ]


def _key(candidate: Candidate) -> Key:
    return candidate.upstream.id, candidate.upstream_name
