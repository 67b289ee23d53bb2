"""Time-ordered ids made by us (UUIDv7, RFC 9562): 48 bits of milliseconds, then randomness."""

import hashlib
import os
import time
import uuid
from datetime import UTC, datetime


def uuid7(milliseconds: int | None = None) -> uuid.UUID:
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    return _assemble(stamp, int.from_bytes(os.urandom(10), "big"))


def uuid7_from(milliseconds: int, *parts: object) -> uuid.UUID:
    """The same id for the same time and parts, so that a repeated import meets its own rows."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return _assemble(milliseconds, int.from_bytes(digest[:10], "big"))


def uuid7_time(value: uuid.UUID) -> datetime:
    """The instant inside a UUIDv7, to the millisecond, UTC."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, tz=UTC)


def _assemble(milliseconds: int, random_bits: int) -> uuid.UUID:
    value = (milliseconds & (2**48 - 1)) << 80 | (random_bits & (2**80 - 1))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
