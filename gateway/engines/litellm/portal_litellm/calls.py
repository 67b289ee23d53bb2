"""Calls that run in this process, and the events they end in. Nothing of a prompt or an answer is kept, only lengths."""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .spool import Event, Spool

if TYPE_CHECKING:
    from .lender import Draw

# A call that has ended but whose figures did not come is reported with what is known after so long.
PATIENCE_SECONDS = 10.0
BYTES_A_TOKEN = 4
CLIENT_GONE = 499
MOST_REFUSALS_WAITING = 5_000


def new_request_id() -> str:
    """A UUIDv7 (RFC 9562): the time, then randomness. It is ours: neither the client nor a provider has a say in it."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    text = f"{value & ~(0x3 << 62) | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True)
class Call:
    """``attempts`` counts those that failed; ``ended`` is set when the client's side of it is over (monotonic seconds)."""

    request_id: str
    facts: Event
    input_tokens: int = 0
    channels: frozenset[int] = frozenset()
    model: str = ""
    started: float = field(default_factory=time.time)
    first_at: float | None = None
    attempts: int = 0
    chunks: int = 0
    size: int = 0
    ended: float | None = None
    is_aborted: bool = False
    # The client was told that the call failed: no attempt follows.
    is_over: bool = False
    # The client did not ask for the usage of its stream, but we did: it is taken out again.
    hides_usage: bool = False
    failure: Event | None = None
    # What it may spend of money lent to this process; None: the portal holds for it.
    draw: "Draw | None" = None


class Calls:
    """``begin`` before the portal is asked; then exactly one of ``finish`` and ``forget``."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._open: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, facts: Event, input_tokens: int, draw: "Draw | None" = None) -> Call:
        call = Call(new_request_id(), {name: value for name, value in facts.items() if value not in (None, "")}, input_tokens)
        if draw is not None:
            call.draw = draw
            call.facts |= {"lease_id": draw.loan.id, "promised_nano": draw.amount}
        self._open[call.request_id] = call
        self._spool.open(call.request_id, call.facts)
        return call

    def get(self, request_id: str | None) -> Call | None:
        return self._open.get(request_id or "")

    def forget(self, call: Call) -> None:
        """The portal refused the call and has logged that."""
        self._open.pop(call.request_id, None)
        self._spool.drop(call.request_id)

    def refuse(self, facts: Event, status: int, code: str) -> str:
        """A call refused here, without asking; gives its id."""
        request_id = new_request_id()
        if len(self._spool.pending) >= MOST_REFUSALS_WAITING:
            # Refusals carry no money; a flood of them must not fill the disk.
            return request_id
        self._spool.add(_event(request_id, facts, 1, "refused_local", http_status=status, error_class=code))
        return request_id

    def attempt_failed(self, call: Call, **facts: Any) -> None:
        """One attempt failed; whether another follows is not known yet."""
        if call.failure is not None:
            self._spool.add({**call.failure, "is_final": False})
        call.attempts += 1
        call.failure = self._ended(call, call.attempts, _failed(call, facts), facts)

    def finish(self, call: Call, outcome: str, **facts: Any) -> None:
        """The call's one end; a second one is not looked at."""
        if self._open.pop(call.request_id, None) is None:
            return
        if call.failure is not None:
            self._spool.add({**call.failure, "is_final": False})
            call.failure = None
        if outcome == "ok" and call.is_aborted:
            outcome, facts["http_status"] = "client_abort", CLIENT_GONE
        self._end(call, self._ended(call, call.attempts + 1, outcome, facts))

    def _end(self, call: Call, event: Event) -> None:
        self._spool.add(event)
        if call.draw is not None:
            call.draw.end(event)

    def finish_failed(self, call: Call) -> None:
        """The last attempt was the end."""
        if self._open.pop(call.request_id, None) is None:
            return
        failure = call.failure or self._ended(call, 1, _failed(call, {}), {"http_status": 502})
        self._end(call, {**failure, "is_final": True})

    def overdue(self, hold_seconds: float) -> None:
        """End calls whose figures did not come, and those that run longer than money is held for them."""
        moment = time.monotonic()
        for call in list(self._open.values()):
            if call.ended is not None and moment - call.ended > PATIENCE_SECONDS:
                if call.failure is not None or not call.is_aborted:
                    self.finish_failed(call)
                else:
                    self.finish(call, "client_abort", **self.counted(call))
            elif time.time() - call.started > hold_seconds:
                self.finish(call, "unknown")

    @staticmethod
    def counted(call: Call) -> Event:
        """What an aborted call used, by the length of what went through."""
        output = -(-call.size // BYTES_A_TOKEN)
        return {"usage": {"input": call.input_tokens, "output": output}, "usage_source": "counted"}

    @staticmethod
    def _ended(call: Call, attempt: int, outcome: str, facts: Event) -> Event:
        event = _event(call.request_id, call.facts, attempt, outcome, **facts)
        event["started_at"] = _iso(call.started)
        if call.first_at is not None:
            event["first_token_at"] = _iso(call.first_at)
        if call.chunks:
            event["delivered"] = {"bytes": call.size, "chunks": call.chunks}
        return event


def lost(request_id: str, facts: Event) -> Event:
    """The end of a call of a process that was killed: nobody knows it."""
    return _event(request_id, facts, 1000, "unknown")


def _event(request_id: str, facts: Event, attempt: int, outcome: str, **more: Any) -> Event:
    given = {name: value for name, value in more.items() if value not in (None, "")}
    return {
        **facts,
        **given,
        "event_id": f"{request_id}:{attempt}",
        "request_id": request_id,
        "attempt": attempt,
        "outcome": outcome,
        "ended_at": _iso(time.time()),
    }


def _failed(call: Call, facts: Event) -> str:
    """How a failed attempt is called: by whether something of an answer went out, and whether time ran out."""
    kind = (
        "timeout"
        if facts.get("http_status") in (408, 504) or "timeout" in str(facts.get("error_class", ""))
        else "upstream_error"
    )
    return f"{kind}_{'after' if call.chunks else 'before'}_output"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
