"""The token counts of a call: as an upstream reports them, checked before they are trusted, or counted by us."""

from dataclasses import dataclass
from typing import Any

from billing.models import RequestLog

MAX_TOKENS = 1_000_000_000
REPORTED = RequestLog.UsageSource.UPSTREAM.value
ESTIMATED = RequestLog.UsageSource.ESTIMATED.value
NONE = RequestLog.UsageSource.NONE.value


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts of one call. ``input`` contains ``cached`` and ``cache_write``, ``output`` contains ``reasoning``."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    source: str = NONE

    def log_columns(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "cached_tokens": self.cached,
            "cache_write_tokens": self.cache_write,
            "output_tokens": self.output,
            "reasoning_tokens": self.reasoning,
            "usage_source": self.source,
        }


NO_TOKENS = Tokens()


def reported(usage: object) -> Tokens | None:
    """The counts of an upstream's ``usage`` block, or None when it is missing or cannot be true."""
    if not isinstance(usage, dict):
        return None
    prompt = _number(usage.get("prompt_tokens"))
    if prompt is None:
        return None
    output = _number(usage.get("completion_tokens"))
    if output is None:
        total = _number(usage.get("total_tokens"))
        output = max(0, total - prompt) if total is not None else 0
    inside = usage.get("prompt_tokens_details")
    prompt_details = inside if isinstance(inside, dict) else {}
    inside = usage.get("completion_tokens_details")
    output_details = inside if isinstance(inside, dict) else {}
    cached = _number(prompt_details.get("cached_tokens")) or _number(usage.get("prompt_cache_hit_tokens")) or 0
    written = _number(prompt_details.get("cached_creation_tokens")) or _number(usage.get("cache_creation_input_tokens")) or 0
    cached = min(cached, prompt)
    return Tokens(
        input=prompt,
        cached=cached,
        cache_write=min(written, prompt - cached),
        output=output,
        reasoning=min(_number(output_details.get("reasoning_tokens")) or 0, output),
        source=REPORTED,
    )


def estimated(input_tokens: int, output_tokens: int) -> Tokens:
    return Tokens(input=input_tokens, output=output_tokens, source=ESTIMATED)


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value
