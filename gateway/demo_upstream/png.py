"""Real pictures of a wanted size, one grey bit a pixel, so that a reader can measure them."""

import base64
import re
import struct
import zlib
from functools import lru_cache

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
DEFAULT = "1024x1024"


@lru_cache(maxsize=64)
def picture(size: str) -> str:
    """A PNG of this size ("" or nonsense: 1024x1024) in base64."""
    found = _SIZE.fullmatch(size) or _SIZE.fullmatch(DEFAULT)
    assert found is not None
    width, height = (min(8192, max(1, int(part))) for part in found.groups())
    rows = zlib.compress(b"\x00" * ((width + 7) // 8 + 1) * height, 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    ).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
