"""Leases of this relay: money of a payer that calls are served from without asking PostgreSQL for each.

A call is admitted when what is free of its payer's lease covers the most it may cost, so nothing is ever overdrawn. A lease is
renewed before it is used up, given back when it is idle, and given up at once when PostgreSQL says that a limit or a purse of
the payer changed. Where there can be none (a spend limit may concern the call, the balance is nearly used up), calls are held
one by one. While the database is away calls go on for as long as the lease and its time last.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from billing.services.leases import (
    CLOSE_SQL,
    OPEN_SQL,
    RENEW_SQL,
    LeaseRenewal,
    LeaseRequest,
    LeaseResult,
    close_payload,
    open_payload,
    renew_payload,
)
from config.foundation.ids import uuid7
from gateway.contract.types import KeyView
from gateway.relay.database import Batcher, DatabaseGone, Line
from gateway.relay.lease_file import Inheritance, LeaseFile
from gateway.relay.loan import Loan, Payer

# A lease is wanted for so many calls like the one that asks, and one call's worth is little when less than a third is left.
CALLS_AHEAD = 32
# The disk is told so much of a lease ahead: 1 part in 8, so that it is told at some calls only.
KEPT_AHEAD = 8
# A payer who can have no lease is not asked for again for so long.
REFUSED_SECONDS = 10.0
# Our clock against the database's.
MARGIN_SECONDS = 2.0


class Lender:
    """``source`` names this life of the relay. Only it can use what it was lent, until it is gone: then what was promised to
    nobody serves the relays of this machine (``folder`` is their spool) for as long as PostgreSQL is away."""

    def __init__(self, source: str, folder: Path) -> None:
        self.source = source
        self.inherited = Inheritance(folder, source)
        self._file = LeaseFile(folder, source)
        self._loans: dict[Payer, Loan] = {}
        # Not drawn on any more; given back when their calls have ended.
        self._ending: set[Loan] = set()
        self._refused: dict[Payer, float] = {}
        self._asking: dict[Payer, asyncio.Task[None]] = {}
        # How often each payer's leases were called back; None counts for all.
        self._called_back: Counter[int | None] = Counter()
        self._opens: Batcher[LeaseRequest, LeaseResult] = Batcher(_open, lines=1, most=200)
        self._renewals: Batcher[LeaseRenewal, LeaseResult] = Batcher(_renew, lines=1, most=200)
        self._line = Line()

    def start(self) -> None:
        self._opens.start()
        self._renewals.start()

    async def stop(self) -> None:
        """Give back everything whose calls are written; what is left runs out by itself, or with the spool."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        drawable = {*self._loans.values()}
        self._ending |= drawable
        self._loans.clear()
        for loan in drawable:
            self._file.keep(loan, loan.spent + loan.promised)
        with contextlib.suppress(DatabaseGone, psycopg.Error):
            await self._line.run("SELECT 1", ())
            # From here on PostgreSQL may have closed them, whatever it answers.
            for loan in drawable:
                self._file.drop(loan)
            drawable.clear()
            await self._give_back_ended()
        self.inherited.tidy()
        self._file.close(is_needed=bool(drawable))
        await self._opens.stop()
        await self._renewals.stop()
        await self._line.close()

    @property
    def open_count(self) -> int:
        return len(self._loans) + len(self._ending) + self.inherited.open_count

    async def admit(self, key: KeyView, amount: int) -> Loan | None:
        """A loan with the amount taken from it, or None: then the call is held by itself. Raises DatabaseGone when money would
        have to be lent first and cannot be."""
        payer = payer_of(key)
        loan = self._taken(payer, amount) or self.inherited.take(payer, amount)
        if loan is not None:
            return loan
        try:
            return await self._lent(key, payer, amount)
        except DatabaseGone:
            loan = self.inherited.look(payer, amount)
            if loan is None:
                raise
            return loan

    async def _lent(self, key: KeyView, payer: Payer, amount: int) -> Loan | None:
        if self._refused.get(payer, 0.0) > time.monotonic() or not amount:
            return None
        for _try in range(2):
            task = self._asking.get(payer)
            if task is None:
                task = self._ask(payer, self._more(payer, key, amount))
            await asyncio.shield(task)
            loan = self._taken(payer, amount)
            if loan is not None or payer in self._refused:
                return loan
        return None

    async def make_room(self, key: KeyView) -> bool:
        """Give back what is free of the payer's lease, so that a call may be held that it does not cover; False if there was
        nothing."""
        payer = payer_of(key)
        while task := self._asking.get(payer):
            with contextlib.suppress(DatabaseGone):
                await asyncio.shield(task)
        loan = self._loans.get(payer)
        if loan is None or loan.free <= 0:
            return False
        await asyncio.shield(self._ask(payer, self._shrink(loan)))
        return True

    async def _shrink(self, loan: Loan) -> None:
        # Promised to nobody from here on, whatever the answer is.
        loan.granted = loan.spent + loan.promised
        if self._is_drawn(loan):
            self._file.keep(loan, loan.granted)
        await self._renewals.ask(LeaseRenewal(loan.id, self.source, loan.granted))

    def call_back(self, payer: int | None) -> None:
        """Something about the purses or limits of a payer changed (None: nobody knows of whom): no call draws on its lease."""
        self._called_back[payer] += 1
        for one in [*self._loans]:
            if payer is None or one[0] == payer:
                self._end(self._loans.pop(one))
        self.inherited.stop_drawing(payer)
        for one in [*self._refused]:
            if payer is None or one[0] == payer:
                del self._refused[one]

    async def tidy(self) -> None:
        """Every second: give back what is idle or was called back, forget refusals that are old."""
        idle = [loan for loan in self._loans.values() if loan.is_idle]
        if idle:
            # What cannot be given back now may be all there is until the database comes back.
            with contextlib.suppress(DatabaseGone):
                await self._line.run("SELECT 1", ())
                for loan in idle:
                    loan.is_stopped = loan.is_stopped or loan.is_idle
        moment = time.monotonic()
        for payer, loan in [*self._loans.items()]:
            if loan.is_stopped or moment >= loan.draw_until:
                self._end(self._loans.pop(payer))
        self.inherited.tidy()
        self._refused = {payer: until for payer, until in self._refused.items() if until > moment}
        if not self._asking:
            self._called_back.clear()
        # Of the others only what is promised to their calls stays.
        with contextlib.suppress(DatabaseGone):
            for loan in [*self._ending]:
                if loan.free > 0 and (loan.calls or loan.unwritten):
                    await self._shrink(loan)
        await self._give_back_ended()

    def _end(self, loan: Loan) -> None:
        """No call draws on it any more; of the next relay of this machine neither."""
        self._file.drop(loan)
        self._ending.add(loan)

    def _taken(self, payer: Payer, amount: int) -> Loan | None:
        loan = self._loans.get(payer)
        moment = time.monotonic()
        if loan is None or loan.is_stopped or moment >= loan.draw_until or loan.free < amount:
            return None
        reach = loan.spent + loan.promised + amount
        if reach > loan.kept and not self._file.keep(loan, reach + loan.granted // KEPT_AHEAD):
            return None
        loan.take(amount)
        if (moment >= loan.renew_at or loan.free * 3 < amount * CALLS_AHEAD) and payer not in self._asking:
            # Ahead of need; while it is on its way, and should it fail, calls go on with what is there.
            loan.renew_at = moment + 1.0
            self._ask(payer, self._renew_quietly(loan, amount))
        return loan

    def _ask(self, payer: Payer, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._asking[payer] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._asked(payer, done))
        return task

    def _asked(self, payer: Payer, done: asyncio.Task[None]) -> None:
        if self._asking.get(payer) is done:
            del self._asking[payer]
        if not done.cancelled():
            done.exception()

    async def _more(self, payer: Payer, key: KeyView, amount: int) -> None:
        """Lend enough for a call of this amount, if that can be."""
        loan = self._loans.get(payer)
        if loan is not None and not loan.is_stopped and time.monotonic() < loan.draw_until:
            await self._renew(loan, amount)
            if loan.free >= amount:
                return
            if not loan.is_stopped:
                self._refused[payer] = time.monotonic() + 1.0
                return
        if self._loans.pop(payer, None) is not None and loan is not None:
            self._end(loan)
        await self._open_for(payer, key, amount)

    async def _open_for(self, payer: Payer, key: KeyView, amount: int) -> None:
        began = time.monotonic()
        is_team = key.team_id is not None
        wish = LeaseRequest(
            uuid7(),
            self.source,
            key.id,
            amount * CALLS_AHEAD,
            amount,
            user_id=None if is_team else key.owner_id,
            group_id=key.team_id,
        )
        calls_back = self._calls_back(payer)
        answer = await self._opens.ask(wish)
        if answer.status in {"open", "repeated"}:
            renew_at = began + settings.LEASE_SECONDS / 2
            loan = Loan(wish.lease_id, payer, answer.granted_nano, _until(began), renew_at)
            if calls_back == self._calls_back(payer):
                self._loans[payer] = loan
            else:
                # Called back while it was on its way.
                self._ending.add(loan)
        else:
            self._refused[payer] = began + REFUSED_SECONDS

    def _calls_back(self, payer: Payer) -> int:
        return self._called_back[payer[0]] + self._called_back[None]

    async def _renew_quietly(self, loan: Loan, amount: int) -> None:
        with contextlib.suppress(DatabaseGone):
            await self._renew(loan, amount)

    async def _renew(self, loan: Loan, amount: int) -> None:
        began = time.monotonic()
        ahead = max(amount * CALLS_AHEAD, 2 * (loan.spent - loan.spent_at_renewal))
        ahead = max(min(ahead, settings.LEASE_MOST_NANO), amount)
        answer = await self._renewals.ask(LeaseRenewal(loan.id, self.source, loan.granted + max(0, ahead - loan.free)))
        if answer.status != "renewed":
            loan.is_stopped = True
            return
        loan.granted = max(loan.granted, answer.granted_nano)
        loan.spent_at_renewal = loan.spent
        loan.draw_until, loan.renew_at = _until(began), began + settings.LEASE_SECONDS / 2
        # One that was called back while the answer was on its way stays given up on the disk.
        if self._is_drawn(loan):
            self._file.keep(loan, loan.spent + loan.promised + loan.granted // KEPT_AHEAD)

    def _is_drawn(self, loan: Loan) -> bool:
        return self._loans.get(loan.payer) is loan

    async def _give_back_ended(self) -> None:
        ready = [loan for loan in self._ending if not loan.calls and not loan.unwritten]
        if not ready:
            return
        try:
            await self._line.run(CLOSE_SQL, (close_payload(self.source, [loan.id for loan in ready]),))
        except DatabaseGone:
            return
        self._ending.difference_update(ready)


def payer_of(key: KeyView) -> Payer:
    payer = -key.team_id if key.team_id is not None else key.owner_id or 0
    return payer, key.purpose == "test"


def _until(began: float) -> float:
    return began + settings.LEASE_SECONDS - min(MARGIN_SECONDS, settings.LEASE_SECONDS / 4)


async def _open(line: Line, wishes: list[LeaseRequest]) -> list[LeaseResult]:
    return [LeaseResult(*row) for row in await line.run(OPEN_SQL, (open_payload(wishes),))]


async def _renew(line: Line, wishes: list[LeaseRenewal]) -> list[LeaseResult]:
    return [LeaseResult(*row) for row in await line.run(RENEW_SQL, (renew_payload(wishes),))]
