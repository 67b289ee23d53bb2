"""How large a call may get, from its request: only lengths are taken, nothing of the text is kept."""

from math import ceil, isfinite
from typing import Any

# As the portal estimates for its own relay: a token for three bytes, more for messages, pictures and sounds.
BYTES_A_TOKEN = 3
MESSAGE_OVERHEAD = 8
ATTACHMENT_TOKENS = 2_000
HISTORY_TOKENS = 32_000
MOST, MOST_IMAGES = 10**9, 100_000
TEXTS = ("messages", "prompt", "input", "tools", "functions", "system", "instructions", "query", "documents")
LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def estimate_of(data: dict[str, Any]) -> dict[str, Any]:
    """The ``est`` of an authorize call. An output that the client does not limit is left to the portal."""
    size, attachments = 0, 0
    for name in TEXTS:
        texts, attached = _measure(data.get(name))
        size, attachments = size + texts, attachments + attached
    messages = data.get("messages")
    count = len(messages) if isinstance(messages, list) else 1
    kept = HISTORY_TOKENS if data.get("previous_response_id") or data.get("conversation") else 0
    found: dict[str, Any] = {
        "input_tokens": min(MOST, size // BYTES_A_TOKEN + 1 + count * MESSAGE_OVERHEAD + attachments * ATTACHMENT_TOKENS + kept)
    }
    asked = [value for name in LIMITS if (value := _whole(data.get(name))) is not None]
    choices = max(_whole(data.get("n")) or 1, _whole(data.get("best_of")) or 1)
    if asked:
        found["max_output_tokens"] = min(MOST, max(asked) * choices)
    elif choices > 1:
        found["max_output_tokens"] = min(MOST, 4_096 * choices)
    return found


def units_of(data: dict[str, Any], endpoint: str) -> dict[str, Any]:
    """What is not counted in tokens: pictures wanted, text read aloud."""
    if endpoint.startswith("/v1/images/"):
        found: dict[str, Any] = {"images": min(_whole(data.get("n")) or 1, MOST_IMAGES)}
        found |= {f"image_{name}": str(data[name])[:16] for name in ("size", "quality") if isinstance(data.get(name), str)}
        return found
    if endpoint == "/v1/audio/speech" and isinstance(data.get("input"), str):
        return {"characters": len(data["input"])}
    return {}


def _measure(value: object) -> tuple[int, int]:
    """(bytes of text, attachments) inside a JSON value; without calling itself, however deep that is nested."""
    size, attachments, rest = 0, 0, [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            if one.startswith("data:"):
                attachments += 1
            else:
                size += len(one.encode("utf-8", "replace"))
        elif isinstance(one, dict):
            if isinstance(one.get("data"), str) and "format" in one:
                attachments += 1
            else:
                # Field names and punctuation are tokens too.
                size += 8 * len(one)
                rest += one.values()
        elif isinstance(one, list):
            size += len(one)
            rest += one
        elif one is not None:
            size += len(str(one))
    return size, attachments


def _whole(value: object) -> int | None:
    """A number of one or more, as upstreams read it: many take "500" and 500.0 for 500."""
    if isinstance(value, str):
        word = value.strip()
        value = int(word[:20]) if word.isascii() and word.isdigit() else None
    elif isinstance(value, float) and isfinite(value):
        value = ceil(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
