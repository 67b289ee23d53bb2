"""How large a call may get before it is made, and how large it was when the upstream does not say."""

import struct
from dataclasses import replace
from math import ceil, isfinite
from typing import Any

from billing.pricing import Usage

DEFAULT_OUTPUT_TOKENS = 4_096
MAX_OUTPUT_TOKENS = 10_000_000
# More than anybody has money for, and small enough that no price of it is too large a number.
MOST_TOKENS = 10_000_000_000
# Tokens a picture or sound may stand for; their base64 text says nothing about it.
ATTACHMENT_TOKENS = 2_000
MESSAGE_OVERHEAD = 8
# A conversation the provider keeps is not in the request, but is read and charged again.
HISTORY_TOKENS = 32_000
# A picture written in tokens takes no more than this; sound is taken to have at least this many bytes a second.
IMAGE_OUTPUT_TOKENS = 6_500
SOUND_BYTES_A_SECOND = 2_000
MOST_IMAGES = 100_000
# No sound is longer than a day, whatever its first bytes say.
MOST_SOUND_MS = 86_400_000
# Bodies up to this size are taken as text; larger ones are searched for attachments.
PLAIN_BODY_BYTES = 16_384

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
CHOICES = ("n", "best_of")

Body = dict[str, Any]


def input_estimate(body: Body, size: int) -> int:
    """Input tokens the call will not exceed in practice: a token for three bytes, more for messages and attachments."""
    attachments = 0
    if size > PLAIN_BODY_BYTES:
        attachments, attached_bytes = _attachments(body)
        size -= attached_bytes
    messages = body.get("messages")
    count = len(messages) if isinstance(messages, list) else 1
    kept = HISTORY_TOKENS if body.get("previous_response_id") or body.get("conversation") else 0
    return size // 3 + 1 + count * MESSAGE_OVERHEAD + attachments * ATTACHMENT_TOKENS + kept


def output_estimate(body: Body, model_limit: int | None, *, has_output: bool = True) -> int:
    """Output tokens the call may use: what the client allows, else 4,096, never more than the model can; for all choices."""
    if not has_output:
        return 0
    tokens = _most(body, OUTPUT_LIMITS) or DEFAULT_OUTPUT_TOKENS
    if model_limit:
        tokens = min(tokens, model_limit)
    return min(min(tokens, MAX_OUTPUT_TOKENS) * (_most(body, CHOICES) or 1), MOST_TOKENS)


def images_wanted(body: Body) -> int:
    """How many pictures a request asks for."""
    return min(_count(body.get("n")) or 1, MOST_IMAGES)


def with_one_unit(usage: Usage, kind: str) -> Usage:
    """``usage`` with something of the unit that calls of this kind are priced by, so that a rule without a price for it is
    noticed also where the amount is not known yet."""
    if kind == "images":
        return replace(usage, images=max(usage.images, 1))
    if kind == "speech":
        return replace(usage, characters=max(usage.characters, 1))
    return replace(usage, audio_ms=max(usage.audio_ms, 1)) if kind == "transcript" else usage


def sound_ms(first: bytes, size: int) -> int:
    """How long a sound of ``size`` bytes may be, in milliseconds; ``first`` are its first bytes. WAVE files say it exactly, in
    several ways that a client may set apart: the longest counts."""
    a_second = SOUND_BYTES_A_SECOND
    if first[:4] == b"RIFF" and first[8:16] == b"WAVEfmt " and len(first) >= 36:
        channels, rate, bytes_told, block, bits = struct.unpack("<HIIHH", first[22:36])
        a_second = min([told for told in (bytes_told, rate * block, rate * channels * bits // 8) if told], default=a_second)
    return min(size * 1000 // a_second + 1, MOST_SOUND_MS)


def counted_tokens(ascii_characters: int, others: int) -> int:
    """Tokens of a text of which only the lengths are known, as ``text_lengths`` gives them: four ASCII characters a token."""
    return ceil(ascii_characters / 4) + others


def counted_input(body: Body) -> int:
    """Input tokens counted from the text of the request, for calls whose upstream reports none."""
    text, attachments = _Text(), 0
    for name in ("messages", "prompt", "input", "tools", "functions", "system", "instructions", "query", "documents"):
        attachments += text.add(body.get(name))
    messages = body.get("messages")
    overhead = 4 * len(messages) if isinstance(messages, list) else 0
    return text.tokens() + overhead + attachments * ATTACHMENT_TOKENS


def counted_text(*texts: object) -> int:
    """Tokens counted from texts (anything else in the arguments counts nothing)."""
    text = _Text()
    for value in texts:
        text.add(value)
    return text.tokens()


def text_lengths(text: str) -> tuple[int, int]:
    """(ASCII characters, tokens of the others): three bytes a token, so that no count is above ``input_estimate``."""
    if text.isascii():
        return len(text), 0
    plain = len(text) - sum(character > "\x7f" for character in text)
    return plain, ceil((len(text.encode("utf-8", "surrogatepass")) - plain) / 3)


class _Text:
    """Adds up the lengths of all texts inside a JSON value."""

    def __init__(self) -> None:
        self.ascii = self.other = 0

    def add(self, value: object) -> int:
        """Count the texts in ``value``; returns the number of attachments found instead of text."""
        if isinstance(value, str):
            if value.startswith("data:"):
                return 1
            plain, other = text_lengths(value)
            self.ascii += plain
            self.other += other
            return 0
        if isinstance(value, dict):
            return sum(self.add(item) for item in value.values())
        if isinstance(value, list):
            if value and all(type(item) is int for item in value):
                # A text given as the numbers of its tokens.
                self.ascii += 4 * len(value)
                return 0
            return sum(self.add(item) for item in value)
        return 0

    def tokens(self) -> int:
        return counted_tokens(self.ascii, self.other)


def _attachments(value: object) -> tuple[int, int]:
    """(number, bytes) of the attachments inside: data URLs, and the base64 text of sounds and files."""
    number, size, rest = 0, 0, [value]
    # Without calling itself: a body may be nested deeper than Python calls.
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            if one.startswith("data:"):
                number, size = number + 1, size + len(one)
        elif isinstance(one, list):
            rest += one
        elif isinstance(one, dict):
            data = one.get("data")
            if isinstance(data, str) and "format" in one:
                number, size = number + 1, size + len(data)
            else:
                rest += one.values()
    return number, size


def _most(body: Body, names: tuple[str, ...]) -> int:
    """The largest of these counts; 0 when none is there."""
    most = 0
    for name in names:
        if name in body:
            most = max(most, _count(body[name]) or 0)
    return most


def _count(value: object) -> int | None:
    """A number of one or more, as upstreams read it: many take "500" and 500.0 for 500."""
    if isinstance(value, str):
        word = value.strip()
        value = int(word[:20]) if word.isascii() and word.isdigit() else None
    elif isinstance(value, float) and isfinite(value):
        value = ceil(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return None
    return value
