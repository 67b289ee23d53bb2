"""What LiteLLM says of a finished call, as the contract's usage; counted by length where it says nothing."""

from typing import Any

from .calls import BYTES_A_TOKEN, Call

Usage = dict[str, Any]
MOST_TOKENS = 10**9


def usage_of(call: Call, response: Any, payload: Any) -> Usage:
    """``usage`` and ``usage_source`` of an event. Zero for an answer with words in it is no usage.

    ``payload`` is LiteLLM's standard logging object: for a stream only it has the figures.
    """
    told = _told(_field(_field(payload, "metadata"), "usage_object")) or _told(_field(response, "usage")) or _told(payload)
    if call.is_aborted:
        # LiteLLM counts what it saw of a stream that was left; the provider's own figures never came.
        if told is None:
            return {"usage": {"input": call.input_tokens, "output": -(-call.size // BYTES_A_TOKEN)}, "usage_source": "counted"}
        return {"usage": told, "usage_source": "counted"}
    if told is not None:
        return {"usage": told, "usage_source": "upstream"}
    images = _field(response, "data")
    if call.facts.get("endpoint", "").startswith("/v1/images/") and isinstance(images, list):
        return {"usage": {"images": len(images)}, "usage_source": "upstream"}
    size = call.size or text_size(response)
    if not size:
        return {"usage_source": "none"}
    return {"usage": {"input": call.input_tokens, "output": -(-size // BYTES_A_TOKEN)}, "usage_source": "counted"}


def text_size(response: Any) -> int:
    """Bytes of the words in an answer or in one piece of a stream."""
    if isinstance(response, bytes | str):
        return len(response)
    total = 0
    for choice in _field(response, "choices") or ():
        for part in (_field(choice, "message"), _field(choice, "delta")):
            for name in ("content", "reasoning_content"):
                total += _length(_field(part, name))
            for tool in _field(part, "tool_calls") or ():
                total += _length(_field(_field(tool, "function"), "arguments"))
        total += _length(_field(choice, "text"))
    return total


def is_only_usage(piece: Any) -> bool:
    """A piece of a stream that holds the usage and no word, no role and no end."""
    if _field(piece, "usage") is None or text_size(piece):
        return False
    return not any(_field(choice, "finish_reason") for choice in _field(piece, "choices") or ())


def cost_nano(payload: Any) -> int:
    """LiteLLM's own idea of the cost, for comparison only, in whole nano-USD."""
    cost = payload.get("response_cost") if isinstance(payload, dict) else None
    return round(cost * 1_000_000_000) if isinstance(cost, int | float) and 0 < cost < 100_000 else 0


def _told(usage: Any) -> Usage | None:
    """The counts of a usage block; None for one that says nothing, or what cannot be true: an event with such a figure would
    be refused for good, and its call be free."""
    names = ("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens")
    if any(isinstance(value, int) and value > MOST_TOKENS for value in (_field(usage, name) for name in names)):
        return None
    given = _count(usage, "prompt_tokens") or _count(usage, "input_tokens")
    output = _count(usage, "completion_tokens") or _count(usage, "output_tokens")
    if not given and not output:
        return None
    inside = _field(usage, "prompt_tokens_details") or _field(usage, "input_tokens_details")
    written = _field(usage, "completion_tokens_details") or _field(usage, "output_tokens_details")
    return {
        "input": given,
        "output": output,
        "cached": min(given, _count(inside, "cached_tokens") or _count(usage, "cache_read_input_tokens")),
        "cache_write": min(given, _count(inside, "cache_creation_tokens") or _count(usage, "cache_creation_input_tokens")),
        "reasoning": min(output, _count(written, "reasoning_tokens")),
        "audio_in": min(given, _count(inside, "audio_tokens")),
        "audio_out": min(output, _count(written, "audio_tokens")),
    }


def _count(holder: Any, name: str) -> int:
    value = _field(holder, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS else 0


def _length(value: Any) -> int:
    return len(value.encode("utf-8", "replace")) if isinstance(value, str) else 0


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
