"""Calls and tokens a minute, and calls at once: held to by all relays together, without asking anybody for most calls.

A relay takes shares of a limit from Valkey (``shared_counts``) and spends them by itself: a twentieth of the limit at a time,
one by one where the limit is small. What that means, in numbers (docs/decisions tells why):

* Valkey is there: no minute sees more than the limit over all relays; up to a twentieth of it for each further relay may lie
  unused where the load is uneven.
* Valkey is emptied: every relay tells it again what it has with its next question, a second later at the latest. What others
  admitted before they told can be admitted once more, so at most twice the limit in that minute.
* Valkey is gone: each relay keeps to its share, the limit divided by the number of relays, rounded up.
* A relay dies: what it took of the minute stays taken; its running calls stop counting within 15 seconds.

Minutes are those of the clock. Money is not touched by any of this: it is held in PostgreSQL for every call.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.contract import denials
from gateway.contract.types import CallLimits, Denial
from gateway.relay.shared_counts import Answer, CountsGone, SharedCounts, Wish

MINUTE = 60
SHARES = 20
# Slots of calls that have ended are given back so soon; a call that comes before takes them over.
IDLE_SECONDS = 0.02
# A refusal for calls at once is asked for twice: another relay may just be giving its slots back.
SECOND_TRY_SECONDS = 0.05
TELL_SECONDS = 1.0
# A limit that was found used up is not asked for again for so long (calls: to the end of the minute).
DRY_SECONDS = 0.5
CALLS, TOKENS, SLOTS = "calls", "tokens", "slots"


@dataclass(slots=True)
class Meter:
    """What this relay has of one limit. ``mine`` was taken in all, ``left`` of it is not used; for slots, not used now."""

    name: str
    kind: str
    limit: int
    minute: int = 0
    mine: int = 0
    left: int = 0
    # Of the limit, by all relays, when Valkey was last heard; and what it was last told of ``mine`` (-1: not sure).
    taken: int = 0
    told: int = 0
    dry_until: float = 0.0
    asking: asyncio.Future[None] | None = None

    @property
    def is_slots(self) -> bool:
        return self.kind == SLOTS

    def turn(self, minute: int, limit: int) -> None:
        """Begin a new minute, or take over a changed limit."""
        if limit != self.limit:
            self.limit, self.dry_until = limit, 0.0
        if self.minute != minute and self.kind != SLOTS:
            self.minute, self.mine, self.left, self.taken, self.told, self.dry_until = minute, 0, 0, 0, 0, 0.0

    @property
    def wire_name(self) -> str:
        return self.name if self.is_slots else f"{self.name}:{self.minute}"

    def remaining(self) -> int:
        return max(0, self.limit - max(self.taken, self.mine) + self.left)

    def give_back(self, amount: int) -> None:
        """Correct what was used: negative when it was more than thought. What is beyond one share goes back to all."""
        self.left += amount
        spare = self.left - (0 if self.is_slots else max(1, self.limit // SHARES))
        if spare > 0:
            self.left -= spare
            self.mine -= spare
            self.taken = max(0, self.taken - spare)
        elif self.left < 0:
            self.mine -= self.left
            self.taken -= self.left
            self.left = 0


@dataclass(slots=True)
class Permit:
    """A call that was admitted: what it took, to be settled when it ends."""

    tokens: int
    minute: int
    counted: list[Meter] = field(default_factory=list)
    token_meters: list[Meter] = field(default_factory=list)
    slots: list[Meter] = field(default_factory=list)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """X-RateLimit-*, as OpenAI's clients read them, of the limit that is closest."""
        wait = b"%ds" % seconds_to_next_minute()
        found: list[tuple[bytes, bytes]] = []
        for word, meters in ((b"requests", self.counted), (b"tokens", self.token_meters)):
            if meters:
                closest = min(meters, key=Meter.remaining)
                found += [
                    (b"x-ratelimit-limit-" + word, b"%d" % closest.limit),
                    (b"x-ratelimit-remaining-" + word, b"%d" % closest.remaining()),
                    (b"x-ratelimit-reset-" + word, wait),
                ]
        return found


@dataclass(frozen=True, slots=True)
class Refusal:
    denial: Denial
    headers: list[tuple[bytes, bytes]]


def seconds_to_next_minute() -> int:
    return MINUTE - int(time.time()) % MINUTE


class Limiter:
    """``admit`` before a call, ``end`` after it. Meters of limits nobody used for some minutes are forgotten."""

    def __init__(self, relay: str) -> None:
        self._counts = SharedCounts(relay)
        self._meters: dict[tuple[str, str, str], Meter] = {}
        self._mark = ""
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # How many relays share the load when Valkey cannot say; told by the heartbeat.
        self.relay_count = 1

    async def admit(self, limits: Sequence[CallLimits], tokens: int) -> Permit | Refusal:
        """Let a call in that will use at most ``tokens``, or say which limit stops it. Every permit must be ended."""
        while True:
            minute = int(time.time()) // MINUTE
            permit = Permit(tokens, minute)
            short: tuple[Meter, int, str] | None = None
            for one in limits:
                short = short or self._look(one, permit, minute)
            if short is None:
                return self._take(permit)
            meter, need, of = short
            if not await self._more(meter, need):
                return self._refuse(meter, need, of)

    def end(self, permit: Permit, used_tokens: int) -> None:
        """Settle a permit: the slot is free, and tokens that were not used are there for others."""
        for meter in permit.slots:
            meter.left += 1
        if permit.slots and self._idle is None:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._release_slots)
        for meter in permit.token_meters:
            if meter.minute == permit.minute:
                meter.give_back(permit.tokens - used_tokens)

    async def tell(self) -> None:
        """Regularly: repeat to Valkey what this relay has, in full when Valkey has lost it, and forget old meters."""
        minute = int(time.time()) // MINUTE
        for key, meter in list(self._meters.items()):
            is_over = not meter.mine and not meter.told if meter.is_slots else meter.minute < minute - 1
            if is_over and meter.asking is None:
                del self._meters[key]
        if not self._meters:
            return
        try:
            await self._counts.tell(lambda: self._parts(lambda meter: meter.mine != meter.told))
            if self._counts.mark != self._mark:
                await self._counts.tell(lambda: self._parts(lambda meter: True))
                self._mark = self._counts.mark
        except CountsGone:
            self._is_unsure()

    async def stop(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._counts.stop()

    def _look(self, one: CallLimits, permit: Permit, minute: int) -> tuple[Meter, int, str] | None:
        """The first meter of this subject that has too little in hand, noting those that have enough."""
        for kind, limit, need, taken in (
            (CALLS, one.requests, 1, permit.counted),
            (TOKENS, one.tokens, permit.tokens, permit.token_meters),
            (SLOTS, one.parallel, 1, permit.slots),
        ):
            if limit is None:
                continue
            meter = self._meter(one, kind, minute, limit)
            if meter.left < need:
                return meter, need, one.of
            taken.append(meter)
        return None

    def _meter(self, one: CallLimits, kind: str, minute: int, limit: int) -> Meter:
        key = (one.of, one.subject_id, kind)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(":".join(key), kind, limit)
        meter.turn(minute, limit)
        return meter

    def _take(self, permit: Permit) -> Permit:
        for meter in permit.counted:
            meter.left -= 1
        for meter in permit.token_meters:
            meter.left -= permit.tokens
        for meter in permit.slots:
            meter.left -= 1
        return permit

    async def _more(self, meter: Meter, need: int) -> bool:
        """Get at least what is missing; False when the limit is used up. Those who wait for the same ask once."""
        if need > meter.limit or time.monotonic() < meter.dry_until:
            return False
        if meter.asking is not None:
            await meter.asking
            return True
        meter.asking = asyncio.get_running_loop().create_future()
        try:
            given = await self._ask(meter, need)
            if not given and meter.is_slots:
                await asyncio.sleep(SECOND_TRY_SECONDS)
                given = meter.left >= need or await self._ask(meter, need)
        finally:
            meter.asking.set_result(None)
            meter.asking = None
        if not given:
            wait = 0.0 if meter.is_slots else DRY_SECONDS
            meter.dry_until = time.monotonic() + (seconds_to_next_minute() if meter.kind == CALLS else wait)
        return given

    async def _ask(self, meter: Meter, need: int) -> bool:
        minute, missing = meter.minute, need - meter.left
        want = missing if meter.is_slots else max(missing, meter.limit // SHARES)
        mine, meter.told = meter.mine, -1
        try:
            answer = await self._counts.ask(Wish(meter.wire_name, mine, want, missing, meter.limit, meter.is_slots))
            told = mine + answer.given
        except CountsGone:
            answer, told = self._own_share(meter, missing), -1
        if meter.minute != minute:
            return True  # a new minute has begun meanwhile: look again
        meter.taken, meter.told = answer.taken, told
        meter.mine += answer.given
        meter.left += answer.given
        return answer.given > 0

    def _own_share(self, meter: Meter, missing: int) -> Answer:
        share = -(-meter.limit // max(1, self.relay_count))
        given = missing if meter.mine + missing <= share else 0
        return Answer(given, meter.limit - share + meter.mine + given)

    def _refuse(self, meter: Meter, need: int, of: str) -> Refusal:
        if meter.is_slots:
            return Refusal(denials.parallel_calls(of, meter.limit), [(b"retry-after", b"1")])
        seconds = seconds_to_next_minute()
        is_calls = meter.kind == CALLS
        word = b"requests" if is_calls else b"tokens"
        headers = [
            (b"retry-after", b"%d" % seconds),
            (b"x-ratelimit-limit-" + word, b"%d" % meter.limit),
            (b"x-ratelimit-remaining-" + word, b"%d" % (0 if is_calls else meter.remaining())),
            (b"x-ratelimit-reset-" + word, b"%ds" % seconds),
        ]
        if is_calls:
            return Refusal(denials.calls_per_minute(of, meter.limit, seconds), headers)
        return Refusal(denials.tokens_per_minute(of, meter.limit, need, seconds), headers)

    def _release_slots(self) -> None:
        """Give idle slots back to all relays, in the background."""
        self._idle = None
        is_freed = False
        for meter in self._meters.values():
            if meter.left > 0 and meter.is_slots and meter.asking is None:
                meter.mine -= meter.left
                meter.left = 0
                is_freed = True
        if is_freed:
            task = asyncio.create_task(self._tell_freed())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell_freed(self) -> None:
        try:
            await self._counts.tell(lambda: self._parts(lambda meter: meter.is_slots and meter.mine != meter.told))
        except CountsGone:
            self._is_unsure()

    def _is_unsure(self) -> None:
        """What Valkey has heard is not known: it is told everything once it is there again."""
        for meter in self._meters.values():
            meter.told = -1

    def _parts(self, is_meant: Callable[[Meter], bool]) -> list[Wish]:
        """What Valkey shall be told. Meters that are being asked for are left out: their question tells it."""
        parts = []
        for meter in self._meters.values():
            if meter.asking is None and is_meant(meter):
                meter.told = meter.mine
                parts.append(Wish(meter.wire_name, meter.mine, 0, 0, meter.limit, meter.is_slots))
        return parts
