"""What a call used: as an upstream reports it, checked before it is trusted, or counted by us."""

from dataclasses import dataclass, replace
from typing import Any

from billing.models import RequestLog

MAX_TOKENS = 1_000_000_000
REPORTED = RequestLog.UsageSource.UPSTREAM.value
ESTIMATED = RequestLog.UsageSource.ESTIMATED.value
NONE = RequestLog.UsageSource.NONE.value


@dataclass(slots=True)
class Tokens:
    """Counts of one call. ``input`` contains ``cached`` and ``cache_write``, ``output`` contains ``reasoning``.

    ``cache_write`` contains ``cache_write_1h``; the image and audio counts are inside ``input`` and ``output``.
    ``is_anthropic``: the upstream counts cached tokens beside its input, which some old price rules treat differently.
    ``images`` are pictures made (of ``size`` and ``quality``), ``audio_ms`` sound heard, ``characters`` text read aloud.
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    source: str = NONE
    cache_write_1h: int = 0
    image_input: int = 0
    image_output: int = 0
    audio_input: int = 0
    audio_output: int = 0
    is_anthropic: bool = False
    images: int = 0
    size: str = ""
    quality: str = ""
    audio_ms: int = 0
    characters: int = 0

    def log_columns(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "cached_tokens": self.cached,
            "cache_write_tokens": self.cache_write,
            "output_tokens": self.output,
            "reasoning_tokens": self.reasoning,
            "usage_source": self.source,
        }

    def unit_columns(self, modality: str) -> dict[str, Any]:
        """Log columns of what is not plain text."""
        return {
            "modality": modality,
            "audio_input_tokens": self.audio_input,
            "audio_output_tokens": self.audio_output,
            "image_count": self.images,
            "media_ms": self.audio_ms,
            "character_count": self.characters,
            "media_size": self.size[:32],
            "media_quality": self.quality[:16],
        }

    @property
    def is_empty(self) -> bool:
        """Nothing in it that a text could have used."""
        return not self.input and not self.output


NO_TOKENS = Tokens()


def reported(usage: object, *, writes: bool = True) -> Tokens | None:
    """The counts of an upstream's ``usage`` block, or None when it is missing or cannot be true.

    Both families of names are read: prompt and completion tokens, and input and output tokens (responses, images, sound).
    Where nothing is written (``writes`` False) one sum for all will do.
    """
    if not isinstance(usage, dict):
        return None
    prompt = _number(usage.get("prompt_tokens"))
    if prompt is None:
        return _reported_as_input(usage, writes)
    output = _number(usage.get("completion_tokens"))
    if output is None:
        total = _number(usage.get("total_tokens"))
        output = max(0, total - prompt) if total is not None else 0
    inside, written = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    cached = _first_of(inside, "cached_tokens", usage, "prompt_cache_hit_tokens")
    fresh = _first_of(inside, "cached_creation_tokens", usage, "cache_creation_input_tokens")
    return _tokens(prompt, output, cached, fresh, inside, written)


def reported_by_anthropic(usage: object) -> Tokens | None:
    """The counts of Anthropic's ``usage``: its input leaves out what was read from and written to the cache."""
    if not isinstance(usage, dict):
        return None
    plain = _number(usage.get("input_tokens"))
    if plain is None:
        return None
    cached = _number(usage.get("cache_read_input_tokens")) or 0
    written = _number(usage.get("cache_creation_input_tokens")) or 0
    if plain + cached + written > MAX_TOKENS:
        return None
    hour = _number(_details(usage, "cache_creation").get("ephemeral_1h_input_tokens")) or 0
    return Tokens(
        input=plain + cached + written,
        cached=cached,
        cache_write=written,
        cache_write_1h=min(hour, written),
        output=_number(usage.get("output_tokens")) or 0,
        source=REPORTED,
        is_anthropic=True,
    )


def estimated(input_tokens: int, output_tokens: int) -> Tokens:
    return Tokens(input=input_tokens, output=output_tokens, source=ESTIMATED)


def as_estimated(tokens: Tokens, **changes: Any) -> Tokens:
    """The same counts with some of them set by us, and marked so."""
    return replace(tokens, source=ESTIMATED, **changes)


def milliseconds(seconds: object) -> int | None:
    """Seconds an upstream reports, whole or not; None for what cannot be a length."""
    if isinstance(seconds, str):
        try:
            seconds = float(seconds)
        except ValueError:
            return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 1_000_000:
        return None
    return round(seconds * 1000)


def _reported_as_input(usage: dict[str, Any], writes: bool) -> Tokens | None:
    given = _number(usage.get("input_tokens"))
    if given is None and not writes:
        given = _number(usage.get("total_tokens"))
    if given is None:
        return None
    inside = _details(usage, "input_tokens_details") or _details(usage, "input_token_details")
    written = _details(usage, "output_tokens_details") or _details(usage, "output_token_details")
    cached = _number(inside.get("cached_tokens")) or 0
    fresh = _number(inside.get("cache_write_tokens")) or 0
    return _tokens(given, _number(usage.get("output_tokens")) or 0, cached, fresh, inside, written)


def _tokens(given: int, output: int, cached: int, fresh: int, inside: dict[str, Any], written: dict[str, Any]) -> Tokens:
    """Counts of parts are cut to the whole they are part of."""
    cached = min(cached, given)
    tokens = Tokens(given, cached, min(fresh, given - cached), output, 0, REPORTED)
    if inside:
        tokens.image_input = _part_of(inside, "image_tokens", given)
        tokens.audio_input = _part_of(inside, "audio_tokens", given)
    if written:
        tokens.reasoning = _part_of(written, "reasoning_tokens", output)
        tokens.image_output = _part_of(written, "image_tokens", output)
        tokens.audio_output = _part_of(written, "audio_tokens", output)
    return tokens


def _part_of(counts: dict[str, Any], name: str, whole: int) -> int:
    return min(_number(counts.get(name)) or 0, whole) if name in counts else 0


def _first_of(inside: dict[str, Any], name: str, usage: dict[str, Any], other_name: str) -> int:
    found = _number(inside[name]) if name in inside else 0
    return found or (_number(usage[other_name]) or 0 if other_name in usage else 0)


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    inside = usage.get(name)
    return inside if isinstance(inside, dict) else {}


def _number(value: object) -> int | None:
    # Not isinstance: true and false are no counts.
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None
