"""The usage of a call as columns of the request log, and back: what is kept is enough to calculate the price again."""

from collections.abc import Mapping
from typing import Any, Protocol

from billing.pricing.figures import Usage

VIDEO = "video"


class Logged(Protocol):
    """A row of the request log, as far as its price needs it."""

    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    modality: str
    audio_input_tokens: int
    audio_output_tokens: int
    image_count: int
    media_ms: int
    character_count: int
    media_size: str
    media_quality: str


def usage_columns(usage: Usage, modality: str) -> dict[str, Any]:
    """The columns of ``RequestLog`` for this usage. Input is written with its cached tokens inside.

    One call has one kind of media: ``media_ms`` is the length of its video, else of its sound.
    """
    whole = usage.input + (usage.cached + usage.cache_write if usage.input_excludes_cache else 0)
    return {
        "input_tokens": whole,
        "cached_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "modality": modality,
        "audio_input_tokens": usage.audio_input,
        "audio_output_tokens": usage.audio_output,
        "image_count": usage.images,
        "media_ms": usage.video_ms or usage.audio_ms,
        "character_count": usage.characters,
        "media_size": (usage.resolution or usage.size)[:32],
        "media_quality": usage.quality[:16],
    }


def usage_of(row: Logged, params: Mapping[str, Any] | None = None) -> Usage:
    """The usage a request log row tells of."""
    is_video = row.modality == VIDEO
    return Usage(
        input=row.input_tokens,
        cached=row.cached_tokens,
        cache_write=row.cache_write_tokens,
        output=row.output_tokens,
        reasoning=row.reasoning_tokens,
        audio_input=row.audio_input_tokens,
        audio_output=row.audio_output_tokens,
        images=row.image_count,
        size="" if is_video else row.media_size,
        quality=row.media_quality,
        video_ms=row.media_ms if is_video else 0,
        resolution=row.media_size if is_video else "",
        audio_ms=0 if is_video else row.media_ms,
        characters=row.character_count,
        params=params or {},
    )
