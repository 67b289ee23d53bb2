"""Calls that are served and charged here: reserve, forward, settle. Each ends in exactly one event for the recorder."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from billing.services.ledger import LIMIT_STATUSES, ReserveRequest, ReserveResult
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.error_shapes import status_of
from gateway.contract.holding import refusal_of
from gateway.contract.types import Candidate
from gateway.relay import deliver, media
from gateway.relay.call import CLIENT_GONE, RELAY_STOPPED, Call
from gateway.relay.database import DatabaseGone
from gateway.relay.exchange import Exchange, HeaderList
from gateway.relay.options import options
from gateway.relay.pricing import NotPriced, hold_amount
from gateway.relay.upstream import AttemptFailed, order_of, since_now

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0


async def serve(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """Answer one admitted call."""
    if call.spec.is_task and (denial := await media.take_callback(runtime, call)) is not None:
        await runtime.refuse(call, exchange, denial)
        return
    if not call.spec.is_free and not await _reserve(runtime, call, exchange):
        return
    if call.spec.is_task:
        await media.begin_picture(runtime, call)
    try:
        with runtime.serving(exchange):
            await _serve(runtime, call, exchange)
    finally:
        if call.loan is not None and not call.is_settled:
            # Whatever went wrong: what was promised to the call goes back into the lease.
            runtime.end(call, call.failed(denials.INTERNAL.outcome, denials.INTERNAL.http_status, denials.INTERNAL.code))


async def _serve(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    try:
        await _forward(runtime, call, exchange)
    except AttemptFailed as failed:
        denial = failed.denial
        runtime.end(call, call.failed(denial.outcome, status_of(denial, exchange.profile), denial.code))
        extra = [(b"retry-after", failed.retry_after)] if failed.retry_after else []
        await exchange.refuse(denial, failed.param, extra)


async def _reserve(runtime: "Runtime", call: Call, exchange: Exchange) -> bool:
    """Hold the money for the call, or refuse it. Without an answer from the database there is no call."""
    try:
        amount = hold_amount(call)
    except NotPriced:
        await runtime.refuse(call, exchange, denials.model_not_priced(call.decision.asked_model))
        return False
    if call.possible_fallback is not None:
        try:
            other = hold_amount(call, call.possible_fallback.price)
        except NotPriced:
            # A model that has no price for this call may not answer it in place of another either.
            call.possible_fallback = None
        else:
            amount = amount if call.possible_fallback.is_protected else max(amount, other)
    return await hold(runtime, call, exchange, amount)


async def hold(runtime: "Runtime", call: Call, exchange: Exchange, amount: int, life: timedelta | None = None) -> bool:
    """Hold this much for the call (``life``: for longer than calls usually run), or refuse it."""
    if runtime.recorder.is_full:
        await runtime.refuse(call, exchange, denials.SERVICE_UNAVAILABLE)
        return False
    try:
        # A task may outlive its relay, so it has a hold of its own.
        if runtime.lender is not None and not call.spec.is_task and life is None and await _lent(runtime, call, amount):
            return True
        result = await _ask(runtime, call, call.reserve_request(amount, life))
    except DatabaseGone:
        # Should the hold have been made all the same, the event that follows ends it.
        await runtime.refuse(call, exchange, denials.SERVICE_UNAVAILABLE)
        return False
    if result.status in {"held", "repeated"}:
        call.held_nano = amount
        return True
    denial = refusal_of(result)
    if denial is denials.SERVICE_UNAVAILABLE:
        logger.error("The reservation of call %s was answered with %s.", call.request_id.hex, result.status)
    await runtime.refuse(call, exchange, denial, _retry_after(result.resets_at))
    return False


def _retry_after(moment: datetime | None) -> HeaderList:
    """When asking again makes sense, for a limit that begins anew."""
    if moment is None:
        return []
    return [(b"retry-after", b"%d" % max(1, ceil((moment - datetime.now(UTC)).total_seconds())))]


async def _lent(runtime: "Runtime", call: Call, amount: int) -> bool:
    """Promise the call money that is lent to this relay; False: it needs a hold of its own. Raises DatabaseGone."""
    assert runtime.lender is not None
    assert call.decision.key is not None
    loan = await runtime.lender.admit(call.decision.key, amount)
    if loan is None:
        return False
    if not runtime.spool.opened(call.request_id, lambda: call.open_line(loan, amount)):
        loan.undo(amount)
        raise DatabaseGone("the spool cannot be written")
    call.loan, call.held_nano = loan, amount
    return True


async def _ask(runtime: "Runtime", call: Call, request: ReserveRequest) -> ReserveResult:
    result = await runtime.reservations.ask(request)
    if result.status != "no_balance" and result.status not in LIMIT_STATUSES:
        return result
    # What ended calls held and did not use, and what this relay has lent and not spent, is free again before it is asked twice.
    is_other = False
    if runtime.lender is not None and call.decision.key is not None:
        is_other = await runtime.lender.make_room(call.decision.key)
    if runtime.recorder.waiting:
        await runtime.recorder.flush(FLUSH_SECONDS)
        is_other = True
    return await runtime.reservations.ask(request) if is_other else result


async def _forward(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """Try the upstreams in order, then those of the model that may answer instead; the last failure is raised."""
    deadline = since_now() + options().upstream_seconds
    try:
        await _try_all(runtime, call, exchange, call.decision.candidates, deadline)
    except AttemptFailed as failed:
        other = call.possible_fallback
        if other is None or not failed.may_fall_back or failed.denial.outcome.value not in other.triggers:
            raise
        call.fallback = other
        await _try_all(runtime, call, exchange, other.candidates, deadline)


async def _try_all(
    runtime: "Runtime", call: Call, exchange: Exchange, candidates: Sequence[Candidate], deadline: float
) -> None:
    attempt_at = deliver.way_of(call)
    usable = runtime.health.usable(order_of(candidates), may_probe=not call.spec.is_create)
    if not usable:
        after = str(runtime.health.seconds_until_trial(candidates)) if candidates else "5"
        raise AttemptFailed(
            denials.model_unavailable(call.decision.asked_model),
            False,
            error="open",
            falls_back=True,
            retry_after=after.encode(),
        )
    for n, candidate in enumerate(usable, 1):
        seconds = int(deadline - since_now())
        try:
            await attempt_at(runtime, call, exchange, candidate, max(1, seconds))
            return
        except AttemptFailed as failed:
            if not failed.may_retry or n == len(usable) or seconds <= 1:
                raise
        except asyncio.CancelledError:
            # Nothing has reached the client yet, or the attempt would have settled it. One who leaves pays for the input;
            # when it is us who stop, nobody does.
            if exchange.is_gone:
                runtime.end(call, call.charged(call.counted(0), Outcome.CANCELLED, CLIENT_GONE, "client_gone"))
                return
            runtime.end(call, call.failed(Outcome.CANCELLED, 503, RELAY_STOPPED))
            raise
