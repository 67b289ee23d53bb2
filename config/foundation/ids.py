"""Time-ordered ids made by us (UUIDv7, RFC 9562): 48 bits of milliseconds, then randomness."""

import hashlib
import os
import time
import uuid
from datetime import UTC, datetime

# The version, 7, and the variant stand among the random bits.
_MARKS = 0x7 << 76 | 0x2 << 62
_RANDOM = (2**80 - 1) & ~(0xF << 76 | 0x3 << 62)
_MILLISECONDS = 2**48 - 1


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
    return uuid.UUID(int=(milliseconds & _MILLISECONDS) << 80 | random_bits & _RANDOM | _MARKS)
