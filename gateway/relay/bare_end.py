"""The end of a call with only what decides who pays: sent when PostgreSQL will not take the whole of it.

What a call costs does not depend on what can be told of it. The whole line is kept for people (``Spool.refuse``).
"""

from typing import Any

import orjson

NUMBERS = (
    "user_id", "key_id", "price_version_id", "held_nano", "http_status", "duration_ms", "first_token_ms", "input_tokens",
    "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "is_stream",
)  # fmt: skip
MOST = {"held_nano": 2**62}
# Words of closed lists.
WORDS = ("route", "outcome", "usage_source", "endpoint", "modality")
MOST_LETTERS = 16


def bare_end(line: bytes) -> bytes | None:
    """The shorter line; None when nothing was left out, or the line makes no sense."""
    value: dict[str, Any] = orjson.loads(line)
    log = value.get("log")
    if not isinstance(log, dict):
        return None
    kept: dict[str, Any] = {}
    for name in NUMBERS:
        number = log.get(name)
        if isinstance(number, int) and 0 <= number < MOST.get(name, 2**31):
            kept[name] = number
    for name in WORDS:
        word = log.get(name)
        if (
            isinstance(word, str)
            and word.isascii()
            and word.isprintable()
            and (name == "endpoint" or len(word) <= MOST_LETTERS)
        ):
            kept[name] = word[:64]
    return None if kept == log else orjson.dumps({**value, "log": kept})
