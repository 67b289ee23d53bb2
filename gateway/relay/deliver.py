"""One attempt at an upstream, whose answer comes whole, as a stream of events, or as bytes; each settles the call itself."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import orjson

from config.foundation.outcomes import Outcome
from gateway.contract import denials
from gateway.contract.types import Candidate
from gateway.relay.answers import Answer, NoAnswer, read_answer
from gateway.relay.call import CLIENT_GONE, RELAY_STOPPED, Call
from gateway.relay.exchange import JSON, Exchange
from gateway.relay.options import options
from gateway.relay.readers import reader_for
from gateway.relay.sse import StreamReader
from gateway.relay.upstream import AttemptFailed, bad_answer, client_wants_usage, failure_of, open_attempt, since_now
from gateway.relay.wires import Reply

if TYPE_CHECKING:
    from gateway.relay.runtime import Runtime

EVENT_STREAM = b"text/event-stream; charset=utf-8"
# An upstream that only says that it is still there is believed for so long; then its words go out, and no other is tried.
PATIENCE_MS = 15_000

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')

Way: TypeAlias = "Callable[[Runtime, Call, Exchange, Candidate, int], Awaitable[None]]"


def way_of(call: Call) -> Way:
    if call.is_stream:
        return stream
    return sound if call.spec.kind == "speech" else whole


async def whole(runtime: "Runtime", call: Call, exchange: Exchange, candidate: Candidate, seconds: int) -> None:
    """An answer that is read to its end before it goes out."""
    since = since_now()
    reply = await open_attempt(runtime.wires, call, candidate, seconds, since)
    try:
        raw = await reply.read()
        answer = read_answer(call.spec.kind, raw)
    except OSError as error:
        failed = failure_of(error, call)
        call.note(candidate, reply.status, since, failed.error)
        raise failed from None
    except NoAnswer as wrong:
        failed = bad_answer(call, str(wrong))
        call.note(candidate, reply.status, since, failed.error)
        raise failed from None
    finally:
        reply.release()
    call.note(candidate, 200, since)
    call.served_model = answer.model or candidate.upstream_name
    # Settled before the answer goes out: whatever the client does with it, it was made.
    _settle_whole(runtime, call, answer)
    if not options().shows_served:
        raw = renamed(raw, call.decision.asked_model)
    await exchange.reply(200, raw, JSON if call.spec.kind != "transcript" else _content_type(reply))


def renamed(answer: bytes, name: str) -> bytes:
    """The answer with the served model's name replaced. Inside a text of JSON the quotes are escaped, so none is touched."""
    word = b'"model":' + orjson.dumps(name)
    return _MODEL.sub(lambda _: word, answer)


def _settle_whole(runtime: "Runtime", call: Call, answer: Answer) -> None:
    if call.spec.is_free:
        runtime.end(call, call.served_free())
        return
    tokens = answer.tokens
    if tokens is None and not call.counts_units:
        tokens = call.counted(answer.counted)
    runtime.end(call, call.charged(call.with_units(tokens, answer)))


async def stream(runtime: "Runtime", call: Call, exchange: Exchange, candidate: Candidate, seconds: int) -> None:
    """A stream of events, passed on as it comes."""
    since = since_now()
    reply = await open_attempt(runtime.wires, call, candidate, seconds, since)
    reader = reader_for(call.spec, strip_usage=call.spec.asks_usage and not client_wants_usage(call))
    shown_as = "" if options().shows_served else call.decision.asked_model
    error: BaseException | None = None

    def settle_ok() -> None:
        call.note(candidate, 200, since)
        _settle_stream(runtime, call, candidate, reader, Outcome.OK, "")

    try:
        await _pump(reply, reader, call, exchange, shown_as, settle_ok)
    except OSError as broken:
        error = broken
    except asyncio.CancelledError:
        code = "client_gone" if exchange.is_gone else RELAY_STOPPED
        if call.is_settled:
            if exchange.is_gone:
                return
            raise
        call.note(candidate, 200, since, code)
        if not exchange.is_started:
            raise
        _settle_stream(runtime, call, candidate, reader, Outcome.CANCELLED, code)
        if exchange.is_gone:
            return
        raise
    finally:
        reply.release()
    if not reader.has_output and (error or not reader.is_complete):
        failed = failure_of(error, call) if error else bad_answer(call, "no_output")
        call.note(candidate, 200, since, failed.error)
        if exchange.is_started:
            await _give_up(runtime, call, exchange, failed)
            return
        raise failed
    if call.is_settled or (error is None and reader.is_complete):
        if not call.is_settled:
            settle_ok()
        if not exchange.is_started:
            await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
        await exchange.write(b"", more=False)
        return
    cut = denials.STREAM_TIMED_OUT if isinstance(error, TimeoutError) else denials.CUT_STREAM
    call.note(candidate, 200, since, type(error).__name__ if error else "cut")
    _settle_stream(runtime, call, candidate, reader, cut.outcome, cut.code)
    await exchange.end_stream(cut)


async def _pump(
    reply: Reply,
    reader: StreamReader,
    call: Call,
    exchange: Exchange,
    shown_as: str,
    settle_ok: Callable[[], None],
) -> None:
    """Pass whole events on. The answer starts with the first word, so that until then another upstream may take over.

    The last event of a whole answer goes out only after the call is settled: who has all of an answer has been charged."""
    waiting = b""
    async for data in reply:
        part = reader.feed(data)
        if shown_as:
            part = renamed(part, shown_as)
        if reader.is_over and not reader.has_output:
            break
        if reader.has_output:
            call.mark_first_token()
            if reader.is_done and reader.is_complete and not call.is_settled:
                settle_ok()
        elif not exchange.is_started and not reader.is_finished and call.elapsed_ms() < PATIENCE_MS:
            waiting += part
            continue
        if not exchange.is_started:
            await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
            part, waiting = waiting + part, b""
        if part:
            await exchange.write(part)
        if reader.is_over:
            # What is no answer goes no further; what came before it stays.
            break
    else:
        waiting += renamed(reader.rest(), shown_as) if shown_as else reader.rest()
        if waiting and reader.error is None and (reader.has_output or reader.is_complete):
            if not exchange.is_started:
                await exchange.start(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
            await exchange.write(waiting)


def _settle_stream(
    runtime: "Runtime", call: Call, candidate: Candidate, reader: StreamReader, outcome: Outcome, code: str
) -> None:
    """Charge a stream by the upstream's usage if it came, else by the text that went through."""
    call.served_model = reader.served_model or candidate.upstream_name
    tokens = reader.tokens()
    if tokens is None and not call.counts_units:
        tokens = call.counted(reader.counted_output())
    # A picture whose making was followed and then given up was made all the same.
    images = max(reader.images, 1) if call.spec.kind == "images" else 0
    units = call.with_units(tokens, Answer(images=images, counted=reader.counted_output()))
    runtime.end(call, call.charged(units, outcome, CLIENT_GONE if outcome is Outcome.CANCELLED else 200, code))


async def _give_up(runtime: "Runtime", call: Call, exchange: Exchange, failed: AttemptFailed) -> None:
    """The stream had begun without a word in it: it ends with an error and costs nothing."""
    runtime.end(call, call.failed(failed.denial.outcome, 200, failed.denial.code))
    await exchange.end_stream(failed.denial)


async def sound(runtime: "Runtime", call: Call, exchange: Exchange, candidate: Candidate, seconds: int) -> None:
    """Speech, passed on as it comes. It is paid by the text that was read, so from its first byte on it costs all of it."""
    since = since_now()
    reply = await open_attempt(runtime.wires, call, candidate, seconds, since)
    call.served_model = candidate.upstream_name
    outcome, code, error = Outcome.OK, "", ""
    try:
        async for part in reply:
            if not exchange.is_started:
                call.mark_first_token()
                await exchange.start(200, _content_type(reply))
            await exchange.write(part)
    except OSError as broken:
        failed = failure_of(broken, call)
        if not exchange.is_started:
            call.note(candidate, 200, since, failed.error)
            raise failed from None
        outcome, code, error = denials.CUT_STREAM.outcome, denials.CUT_STREAM.code, failed.error
    except asyncio.CancelledError:
        code = "client_gone" if exchange.is_gone else RELAY_STOPPED
        call.note(candidate, 200, since, code)
        if not exchange.is_started:
            raise
        runtime.end(call, call.charged(call.with_units(None, Answer()), Outcome.CANCELLED, CLIENT_GONE, code))
        if exchange.is_gone:
            return
        raise
    finally:
        reply.release()
    if not exchange.is_started:
        failed = bad_answer(call, "no_output")
        call.note(candidate, 200, since, failed.error)
        raise failed
    call.note(candidate, 200, since, error)
    runtime.end(call, call.charged(call.with_units(None, Answer()), outcome, 200, code))
    if outcome is Outcome.OK:
        # Without this last word the client's connection breaks, which is how it learns of a sound that was cut.
        await exchange.write(b"", more=False)


def _content_type(reply: Reply) -> bytes:
    return reply.headers.get(b"content-type", b"application/octet-stream")
