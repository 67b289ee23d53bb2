"""Tells the same call again by a keyed digest of its normalised body, never by its text: 63 bits, different for every API key.

What a client changes without meaning another call (streaming or not, who the end user is) is left out. Very large requests
are told by their size and shape, so that no call waits for its digest.
"""

import contextlib
import hashlib
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings

from gateway.relay.call import Call

LEFT_OUT = frozenset({"stream", "stream_options", "stream_format", "user", "metadata", "safety_identifier", "seed", "store"})
# About a tenth of a millisecond for the largest that is read in full.
MOST_BYTES = 32 * 1024


def note_body(call: Call, key_id: int) -> None:
    """Put the digest of the call's body on the call; a body that is none leaves it empty."""
    if call.body:
        # A body nested too deep to be written has none; it goes no further than the first attempt.
        with contextlib.suppress(orjson.JSONEncodeError):
            call.body_digest = digest_of(call.body, call.size, key_id, call.endpoint)


def digest_of(body: dict[str, Any], size: int, key_id: int, endpoint: str) -> int:
    """A positive 63-bit number; equal for equal calls of one key."""
    if size <= MOST_BYTES:
        kept: Any = {name: value for name, value in body.items() if name not in LEFT_OUT}
    else:
        kept = [size, sorted((name, len(value) if isinstance(value, (list, str)) else 0) for name, value in body.items())]
    content = orjson.dumps([endpoint, kept], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(content, digest_size=8, key=_secret(), salt=key_id.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big") >> 1


@lru_cache(maxsize=1)
def _secret() -> bytes:
    return hashlib.sha256(b"the same call again:" + str(settings.SECRET_KEY).encode()).digest()
