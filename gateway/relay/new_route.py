"""Calls that are served and charged here: reserve, forward, settle. Each ends in exactly one event for the recorder."""

import asyncio
import logging
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from billing.services.ledger import LIMIT_STATUSES, ReserveRequest, ReserveResult
from config.foundation.money import format_usd
from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.estimate import counted_text
from gateway.contract.types import Candidate, Denial
from gateway.contract.usage import Tokens, reported
from gateway.relay.call import RELAY_STOPPED, Call
from gateway.relay.database import DatabaseGone
from gateway.relay.exchange import Exchange, HeaderList, error_body
from gateway.relay.options import options
from gateway.relay.pricing import NotPriced, hold_amount
from gateway.relay.sse import StreamReader
from gateway.relay.upstream import AttemptFailed, bad_answer, client_wants_usage, failure_of, open_attempt, order_of, since_now

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

logger = logging.getLogger(__name__)

EMBEDDINGS = "/v1/embeddings"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
FLUSH_SECONDS = 3.0
CUT_STREAM = Denial(Outcome.CUT_STREAM, 200, "stream_cut", "The model's provider cut the answer off. What came was charged.")
STREAM_TIMED_OUT = Denial(
    Outcome.TIMEOUT, 200, "stream_timeout", "The answer took too long and was cut off. What came was charged."
)
CLIENT_GONE = 499
# An upstream that only says that it is still there is believed for so long; then its words go out, and no other is tried.
PATIENCE_MS = 15_000


async def serve(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """Answer one admitted call."""
    if not await _reserve(runtime, call, exchange):
        return
    with runtime.serving(exchange):
        try:
            await _forward(runtime, call, exchange)
        except AttemptFailed as failed:
            denial = failed.denial
            runtime.end(call, call.failed(denial.outcome, denial.http_status, denial.code))
            extra = [(b"retry-after", failed.retry_after)] if failed.retry_after else []
            await exchange.reply(denial.http_status, error_body(denial, failed.param), extra=extra)


async def _reserve(runtime: "Runtime", call: Call, exchange: Exchange) -> bool:
    """Hold the money for the call, or refuse it. Without an answer from the database there is no call."""
    if runtime.recorder.is_full:
        await runtime.refuse(call, exchange, denials.SERVICE_UNAVAILABLE)
        return False
    try:
        amount = hold_amount(call.decision, call.body, call.size, has_output=call.endpoint != EMBEDDINGS)
    except NotPriced:
        await runtime.refuse(call, exchange, denials.model_not_priced(call.decision.asked_model))
        return False
    request = call.reserve_request(amount)
    try:
        result = await _ask(runtime, request)
    except DatabaseGone:
        # Should the hold have been made all the same, the event that follows ends it.
        await runtime.refuse(call, exchange, denials.SERVICE_UNAVAILABLE)
        return False
    if result.status in {"held", "repeated"}:
        call.held_nano = amount
        return True
    denial = _refusal(result)
    if denial is denials.SERVICE_UNAVAILABLE:
        logger.error("The reservation of call %s was answered with %s.", call.request_id.hex, result.status)
    await runtime.refuse(call, exchange, denial, _retry_after(result.resets_at))
    return False


def _retry_after(moment: datetime | None) -> HeaderList:
    """When asking again makes sense, for a limit that begins anew."""
    if moment is None:
        return []
    return [(b"retry-after", b"%d" % max(1, ceil((moment - datetime.now(UTC)).total_seconds())))]


def _refusal(result: ReserveResult) -> Denial:
    """Why the ledger holds no money for a call, in the client's words."""
    if result.status == "no_balance":
        return denials.NO_BALANCE
    if result.status not in LIMIT_STATUSES or result.span is None:
        return denials.SERVICE_UNAVAILABLE
    scope = result.status.removesuffix("_limit")
    left = format_usd(max(0, result.available_nano))
    return denials.limit_reached(scope, result.span, left, result.resets_at, result.time_zone or "UTC")


async def _ask(runtime: "Runtime", request: ReserveRequest) -> ReserveResult:
    result = await runtime.reservations.ask(request)
    if (result.status == "no_balance" or result.status in LIMIT_STATUSES) and runtime.recorder.waiting:
        # Calls that have ended may still hold what they did not use: they are settled first, then it is asked again.
        await runtime.recorder.flush(FLUSH_SECONDS)
        result = await runtime.reservations.ask(request)
    return result


async def _forward(runtime: "Runtime", call: Call, exchange: Exchange) -> None:
    """Try the upstreams in order; the last failure is raised."""
    attempt_at = _stream if call.is_stream else _plain
    candidates = order_of(call.decision.candidates)
    deadline = since_now() + options().upstream_seconds
    for n, candidate in enumerate(candidates, 1):
        seconds = int(deadline - since_now())
        try:
            await attempt_at(runtime, call, exchange, candidate, max(1, seconds))
            return
        except AttemptFailed as failed:
            if not failed.may_retry or n == len(candidates) or seconds <= 1:
                raise
        except asyncio.CancelledError:
            # Nothing has reached the client yet, or the attempt would have settled it. One who leaves pays for the input;
            # when it is us who stop, nobody does.
            if exchange.is_gone:
                runtime.end(call, call.charged(call.counted(0), Outcome.CANCELLED, CLIENT_GONE, "client_gone"))
                return
            runtime.end(call, call.failed(Outcome.CANCELLED, 503, RELAY_STOPPED))
            raise


async def _plain(runtime: "Runtime", call: Call, exchange: Exchange, candidate: Candidate, seconds: int) -> None:
    since = since_now()
    response = await open_attempt(runtime.session, call, candidate, seconds, since)
    try:
        raw = await response.read()
        answer, tokens = _answer_of(raw, call)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        failed = failure_of(error, call)
        call.note_attempt(candidate.upstream.id, response.status, since, failed.error)
        raise failed from None
    except AttemptFailed as failed:
        call.note_attempt(candidate.upstream.id, response.status, since, failed.error)
        raise
    finally:
        response.release()
    call.note_attempt(candidate.upstream.id, 200, since)
    call.served_model = _name(answer.get("model")) or candidate.upstream_name
    # Settled before the answer goes out: whatever the client does with it, it was made.
    runtime.end(call, call.charged(tokens))
    await exchange.reply(200, raw)


def _answer_of(raw: bytes, call: Call) -> tuple[dict[str, Any], Tokens]:
    """The parsed answer and its tokens; raises AttemptFailed for what is no answer."""
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise bad_answer("no_json") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("choices", answer.get("data")), list):
        raise bad_answer("no_answer")
    tokens = reported(answer.get("usage"))
    output = 0 if tokens and (tokens.input or tokens.output) else counted_text(*_texts(answer))
    if tokens is None or (output and not tokens.input and not tokens.output):
        # Missing, or zero beside a text: counted and flagged, never free.
        tokens = call.counted(output)
    return answer, tokens


def _texts(answer: dict[str, Any]) -> list[object]:
    """The parts of a whole answer that a model wrote; embeddings have none."""
    found: list[object] = []
    for choice in answer.get("choices") or ():
        if isinstance(choice, dict):
            message = choice.get("message")
            found.append(choice.get("text"))
            if isinstance(message, dict):
                found += [message.get(name) for name in ("content", "reasoning_content", "refusal")]
                found += [call.get("function") for call in message.get("tool_calls") or () if isinstance(call, dict)]
    return [_as_text(value) for value in found if value]


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


async def _stream(runtime: "Runtime", call: Call, exchange: Exchange, candidate: Candidate, seconds: int) -> None:
    since = since_now()
    response = await open_attempt(runtime.session, call, candidate, seconds, since)
    reader = StreamReader(strip_usage=not client_wants_usage(call))
    error: BaseException | None = None
    try:
        await _pump(response, reader, call, exchange)
    except (aiohttp.ClientError, TimeoutError, OSError) as broken:
        error = broken
    except asyncio.CancelledError:
        response.close()
        code = "client_gone" if exchange.is_gone else RELAY_STOPPED
        call.note_attempt(candidate.upstream.id, 200, since, code)
        if not exchange.is_started:
            raise
        _settle_stream(runtime, call, candidate, reader, Outcome.CANCELLED, code)
        if exchange.is_gone:
            return
        raise
    finally:
        if not response.closed:
            response.release()
    if not reader.has_output and (error or not reader.is_complete):
        failed = failure_of(error, call) if error else bad_answer("no_output")
        call.note_attempt(candidate.upstream.id, 200, since, failed.error)
        if exchange.is_started:
            await _give_up(runtime, call, exchange, failed)
            return
        raise failed
    if error is None and reader.is_complete:
        call.note_attempt(candidate.upstream.id, 200, since)
        _settle_stream(runtime, call, candidate, reader, Outcome.OK, "")
        if not exchange.is_started:
            await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
        await exchange.write(b"", more=False)
        return
    cut = STREAM_TIMED_OUT if isinstance(error, TimeoutError) else CUT_STREAM
    call.note_attempt(candidate.upstream.id, 200, since, type(error).__name__ if error else "cut")
    _settle_stream(runtime, call, candidate, reader, cut.outcome, cut.code)
    await exchange.write(b"data: " + error_body(cut) + b"\n\n", more=False)


async def _pump(response: aiohttp.ClientResponse, reader: StreamReader, call: Call, exchange: Exchange) -> None:
    """Pass whole events on. The answer starts with the first word, so that until then another upstream may take over."""
    waiting = b""
    async for data in response.content.iter_any():
        part = reader.feed(data)
        if reader.is_broken or reader.error is not None:
            # What is no answer goes no further; what came before it stays.
            break
        if reader.has_output:
            call.mark_first_token()
        elif not exchange.is_started and not reader.is_finished and call.elapsed_ms() < PATIENCE_MS:
            waiting += part
            continue
        if not exchange.is_started:
            await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
            part, waiting = waiting + part, b""
        if part:
            await exchange.write(part)
    else:
        waiting += reader.rest()
        if waiting and reader.error is None and (reader.has_output or reader.is_complete):
            if not exchange.is_started:
                await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
            await exchange.write(waiting)


def _settle_stream(
    runtime: "Runtime", call: Call, candidate: Candidate, reader: StreamReader, outcome: Outcome, code: str
) -> None:
    """Charge a stream by the upstream's usage if it came, else by the text that went through."""
    call.served_model = reader.served_model or candidate.upstream_name
    tokens = reported(reader.usage)
    if tokens is None or (reader.has_output and not tokens.input and not tokens.output):
        tokens = call.counted(reader.counted_output())
    runtime.end(call, call.charged(tokens, outcome, CLIENT_GONE if outcome is Outcome.CANCELLED else 200, code))


async def _give_up(runtime: "Runtime", call: Call, exchange: Exchange, failed: AttemptFailed) -> None:
    """The stream had begun without a word in it: it ends with an error and costs nothing."""
    runtime.end(call, call.failed(failed.denial.outcome, 200, failed.denial.code))
    await exchange.write(b"data: " + error_body(failed.denial) + b"\n\n", more=False)
