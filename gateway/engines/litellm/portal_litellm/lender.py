"""Money lent to this process: calls are admitted from it in memory, without asking the portal for each.

A call is admitted when what is free of its key's lease covers the most it may cost, by the rates that came with the lease; so
nothing is overdrawn. Every other call is asked for by itself: of a key without a lease, of a name without a rate, of pictures
and sounds. What a call cost the portal reckons; here it counts with the most its tokens may have cost, so a lease is not
prolonged but followed by another one. Every two seconds the portal is asked whether the leases in use still stand.

While the portal is away calls go on for as long as the lease and its time last.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .keys import Copy, Row
from .portal import PortalGone, PortalRefused
from .spool import Event, Spool

logger = logging.getLogger("portal_litellm")

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

CALLS_AHEAD = 32
TIDY_SECONDS = 2.0
IDLE_SECONDS = 5.0
# Rates are as old as their lease: at this age it is followed by another one.
RATES_SECONDS = 60.0
# A key that can have no lease is not asked for again for so long.
REFUSED_SECONDS = 10.0
# Our clock against the portal's.
MARGIN_SECONDS = 2.0
MILLION = 1_000_000
# As the portal takes it where the client sets no limit.
DEFAULT_OUTPUT_TOKENS = 4_096
MOST_AT_ONCE = 100
# Priced by tokens alone; True: the answer is written in tokens.
ENDPOINTS = {
    "/v1/chat/completions": True,
    "/v1/completions": True,
    "/v1/responses": True,
    "/v1/messages": True,
    "/v1/embeddings": False,
}
FREE_OUTCOMES = ("not_dispatched", "refused_local")


@dataclass(slots=True, eq=False)
class Loan:
    """One lease: granted = spent + promised to calls that run + free. Amounts in nano-USD, times monotonic seconds."""

    id: str
    key_id: int
    account: tuple[str, int]
    granted: int
    until: float
    rates: dict[str, Row]
    # The purse had less than was wanted: single calls may need what is free here.
    is_scarce: bool = False
    spent: int = 0
    promised: int = 0
    calls: int = 0
    used_at: float = field(default_factory=time.monotonic)
    opened_at: float = field(default_factory=time.monotonic)

    @property
    def free(self) -> int:
        return self.granted - self.spent - self.promised

    @property
    def is_idle(self) -> bool:
        return not self.calls and time.monotonic() - self.used_at > IDLE_SECONDS

    def take(self, amount: int) -> None:
        self.promised += amount
        self.calls += 1
        self.used_at = time.monotonic()

    def end(self, amount: int, cost: int) -> None:
        """A call that was promised ``amount`` is over."""
        self.promised -= amount
        self.spent += min(cost, amount)
        self.calls -= 1
        self.used_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class Draw:
    """What one call was promised of a loan."""

    loan: Loan
    amount: int
    rate: Row

    def end(self, event: Event) -> None:
        """The call ended in this event."""
        if event["outcome"] in FREE_OUTCOMES:
            cost = 0
        elif event.get("usage_source") == "upstream" and event.get("usage"):
            cost = cost_of(self.rate, event["usage"].get("input", 0), event["usage"].get("output", 0))
        else:
            # Counted by length, or not known: the portal may reckon otherwise.
            cost = self.amount
        self.loan.end(self.amount, cost)


class Lender:
    """``admit`` never waits; the portal is asked in the background."""

    def __init__(self, post: Post, spool: Spool, copy: Copy) -> None:
        self._post, self._spool, self._copy = post, spool, copy
        self._loans: dict[int, Loan] = {}
        # Not drawn on any more: given back when the ends of their calls are reported. None: of an earlier process.
        self._ending: dict[str, Loan | None] = dict.fromkeys(spool.leases)
        self._refused: dict[int, float] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._version = copy.version

    def __len__(self) -> int:
        return len(self._loans) + len(self._ending)

    def admit(self, row: Row, name: str, endpoint: str, est: dict[str, Any]) -> Draw | None:
        """What the call may spend, or None: then the portal is asked for it."""
        loan = self._loans.get(row["key_id"])
        if loan is None or endpoint not in ENDPOINTS or time.monotonic() >= loan.until or self._version != self._copy.version:
            return None
        rate, channels = loan.rates.get(name), self.channels_of(name)
        if rate is None or not channels or any(channel.get("groups") for channel in channels):
            # Which channels a group may use is the portal's to say.
            return None
        output = est.get("max_output_tokens", DEFAULT_OUTPUT_TOKENS) if ENDPOINTS[endpoint] else 0
        amount = cost_of(rate, est["input_tokens"], output)
        if amount <= 0 or loan.free < amount:
            return None
        loan.take(amount)
        self.wish(row, name, endpoint, amount)
        return Draw(loan, amount, rate)

    def channels_of(self, name: str) -> list[dict[str, Any]]:
        model = self._copy.model_of(name)
        found = next((one for one in self._copy.config.get("models", ()) if one["public_name"] == model), None)
        return found["channels"] if found else []

    def wish(self, row: Row, name: str, endpoint: str, amount: int) -> None:
        """Have a lease for calls like one of this amount, ahead of need, unless one is on its way or was refused just now."""
        key_id, moment = row["key_id"], time.monotonic()
        if amount <= 0 or endpoint not in ENDPOINTS or key_id in self._asking or self._refused.get(key_id, 0.0) > moment:
            return
        loan = self._loans.get(key_id)
        if loan is not None and name not in loan.rates:
            return
        is_fresh = loan is not None and moment - loan.opened_at < RATES_SECONDS * 2 / 3 and moment < loan.until
        if loan is not None and is_fresh and loan.free * 3 >= amount * CALLS_AHEAD:
            return
        task = self._asking[key_id] = asyncio.create_task(self._open(row, amount))
        task.add_done_callback(lambda _done: self._asking.pop(key_id, None))

    async def make_room(self, row: Row) -> None:
        """Before a call is asked for by itself: what is free of the payer's leases here is given back if money is short."""
        account = _account(row)
        short = [loan for loan in self._loans.values() if loan.account == account and loan.is_scarce and loan.free > 0]
        if not short:
            return
        for loan in short:
            # Promised to nobody from here on, whatever the answer is.
            loan.granted = loan.spent + loan.promised
        try:
            await self._post("leases", {"renew": [{"lease_id": loan.id, "granted_nano": loan.granted} for loan in short]})
        except (PortalGone, PortalRefused):
            return

    def call_back(self, key_ids: set[int] | None) -> None:
        """Something about these keys changed (None: about any): no call draws on their leases."""
        for key_id in [*self._loans]:
            if key_ids is None or key_id in key_ids:
                self._end(key_id)
        for key_id in [*self._refused]:
            if key_ids is None or key_id in key_ids:
                del self._refused[key_id]

    async def tidy(self) -> None:
        """Every two seconds: ask whether the leases in use still stand, give back the others. Raises PortalGone."""
        if self._version != self._copy.version:
            # Prices, names or channels may be others now.
            self._version = self._copy.version
            self.call_back(None)
        moment = time.monotonic()
        for key_id, loan in [*self._loans.items()]:
            if moment >= loan.until:
                self._end(key_id)
        self._refused = {key_id: until for key_id, until in self._refused.items() if until > moment}
        await self._look()
        await self._give_back()

    async def stop(self) -> None:
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self.call_back(None)
        try:
            await self._give_back()
        except (PortalGone, PortalRefused):
            return

    async def _open(self, row: Row, amount: int) -> None:
        key_id, version, began, wall = row["key_id"], self._copy.version, time.monotonic(), time.time()
        # Written down first: who finds it after a kill gives it back.
        lease_id = str(uuid.uuid4())
        self._spool.lend(lease_id)
        wanted = amount * CALLS_AHEAD
        wish = {"lease_id": lease_id, "key_id": key_id, "wanted_nano": wanted, "least_nano": amount}
        try:
            found = (await self._post("leases", {"open": [wish]}))["open"][0]
        except (PortalGone, PortalRefused, asyncio.CancelledError) as error:
            # It may have been lent all the same.
            self._ending[lease_id] = None
            self._refused[key_id] = time.monotonic() + 1.0
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        if found["status"] not in ("open", "repeated"):
            self._spool.unlend(lease_id)
            self._refused[key_id] = time.monotonic() + REFUSED_SECONDS
            return
        rates = {rate["name"]: rate for rate in found["rates"]}
        until = began + _seconds(found["draw_until"], wall) - MARGIN_SECONDS
        loan = Loan(lease_id, key_id, _account(row), found["granted_nano"], until, rates, found["granted_nano"] < wanted)
        if version != self._copy.version or self._copy.rows.get(row["key_hash"]) != row:
            # Changed while it was on its way.
            self._ending[lease_id] = loan
            return
        if key_id in self._loans:
            self._end(key_id)
        self._loans[key_id] = loan

    def _end(self, key_id: int) -> None:
        loan = self._loans.pop(key_id)
        self._ending[loan.id] = loan

    async def _look(self) -> None:
        """Leases that are idle or whose rates are old end; the others go on from now, or end when the portal says so."""
        moment = time.monotonic()
        loans = [*self._loans.values()]
        for start in range(0, len(loans), MOST_AT_ONCE):
            part = loans[start : start + MOST_AT_ONCE]
            wall, began = time.time(), time.monotonic()
            asked = [{"lease_id": loan.id, "granted_nano": loan.granted} for loan in part]
            # Without an answer all stay: what is lent may be all there is until the portal comes back.
            answers = (await self._post("leases", {"renew": asked}))["renew"]
            for loan, answer in zip(part, answers, strict=True):
                if self._loans.get(loan.key_id) is not loan:
                    continue
                is_over = loan.is_idle or moment - loan.opened_at > RATES_SECONDS
                if answer["status"] != "renewed" or is_over:
                    self._end(loan.key_id)
                else:
                    loan.until = began + _seconds(answer["draw_until"], wall) - MARGIN_SECONDS

    async def _give_back(self) -> None:
        reported = {event.get("lease_id") for event in self._spool.pending.values()}
        running = {facts.get("lease_id") for facts in self._spool.opened.values()}
        ready = [one for one, loan in self._ending.items() if not (loan and loan.calls) and one not in reported | running]
        for start in range(0, len(ready), MOST_AT_ONCE):
            part = ready[start : start + MOST_AT_ONCE]
            await self._post("leases", {"close": part})
            for lease_id in part:
                self._ending.pop(lease_id, None)
                self._spool.unlend(lease_id)

    def adopt(self, lease_ids: set[str]) -> None:
        """Leases of a process that is gone, whose ends of calls are in our spool now."""
        for lease_id in lease_ids:
            self._spool.lend(lease_id)
            self._ending.setdefault(lease_id, None)


def cost_of(rate: Row, input_tokens: int, output_tokens: int) -> int:
    """The most so many tokens cost, nano-USD."""
    parts = rate["input_nano"] * input_tokens + rate["output_nano"] * output_tokens
    return int(rate["call_nano"]) + -(-parts // MILLION)


def _account(row: Row) -> tuple[str, int]:
    return str(row["account"]["kind"]), int(row["account"]["id"])


def _seconds(moment: str, wall: float) -> float:
    return datetime.fromisoformat(moment).timestamp() - wall
