"""JSON bodies off the line: unpacked where the client packed them, and read; or the refusal that says what is wrong."""

import asyncio
import zlib

import orjson

from gateway.contract import denials
from gateway.contract.types import Denial
from gateway.relay.call import Call
from gateway.relay.exchange import BodyTooLarge, Exchange

GZIP, DEFLATE = (b"gzip", b"x-gzip"), (b"deflate",)
# Switches that decide what a call costs or how its answer is read. An upstream that takes "true" or 1 for true would do
# what we did not see.
SWITCHES = {"stream": "", "background": "responses"}


async def take_json(call: Call, exchange: Exchange, limit: int) -> Denial | None:
    """The body onto the call; raises BodyTooLarge and ClientGone."""
    raw = await exchange.body(limit)
    packing = exchange.headers.get(b"content-encoding", b"").strip().lower()
    if packing and packing != b"identity":
        # A bomb or a large body must not keep other calls waiting.
        plain = await asyncio.to_thread(unpacked, raw, packing, limit)
        if plain is None:
            return denials.BAD_PACKING
        raw = plain
    # Only the parsed body stays; a large request is not kept twice.
    body = _parsed(raw)
    call.body, call.size = body or {}, len(raw)
    return None if body is not None else denials.NOT_JSON


def unpacked(raw: bytes, packing: bytes, limit: int) -> bytes | None:
    """``raw`` without its packing, None when it cannot be unpacked; raises BodyTooLarge beyond ``limit`` bytes."""
    if raw.lstrip()[:1] == b"{":
        # Some clients and proxies name a packing that they did not use.
        return raw
    if packing not in GZIP + DEFLATE:
        return None
    for wrapping in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS) if packing in DEFLATE else (16 + zlib.MAX_WBITS,):
        inflater = zlib.decompressobj(wrapping)
        try:
            plain = inflater.decompress(raw, limit + 1)
        except zlib.error:
            continue
        if len(plain) > limit:
            raise BodyTooLarge
        return plain if inflater.eof and not inflater.unused_data else None
    return None


def unclear_switch(call: Call) -> str:
    """The name of a switch in the body that is neither true nor false, or ""."""
    for name, kind in SWITCHES.items():
        is_read = call.spec.kind == kind if kind else call.spec.streams
        if is_read and not isinstance(call.body.get(name), bool | None):
            return name
    return ""


def _parsed(raw: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
