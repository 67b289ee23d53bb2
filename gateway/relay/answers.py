"""What a whole answer says: whether it is one, which model gave it, what it used."""

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.contract.estimate import counted_text
from gateway.contract.usage import Tokens, milliseconds, reported, reported_by_anthropic

# The member that makes a JSON object an answer of this kind.
MARKS = {
    "chat": ("choices",),
    "text": ("choices",),
    "responses": ("output",),
    "messages": ("content",),
    "embeddings": ("data",),
    "moderations": ("results",),
    "rerank": ("results", "data"),
    "images": ("data",),
}


class NoAnswer(Exception):
    """An answer with status 200 that holds none; the argument says what is wrong."""


@dataclass(slots=True)
class Answer:
    """``tokens`` None: nothing was reported that can be true. ``counted``: tokens of what was written, by our count."""

    model: str = ""
    tokens: Tokens | None = None
    counted: int = 0
    images: int = 0
    audio_ms: int | None = None
    size: str = ""
    quality: str = ""
    value: dict[str, Any] | None = None


def read_answer(kind: str, raw: bytes) -> Answer:
    """Raises NoAnswer."""
    if kind == "transcript":
        return _transcript(raw)
    value = _object(raw)
    if value is None:
        raise NoAnswer("no_json")
    if kind == "count":
        if not isinstance(value.get("input_tokens"), int):
            raise NoAnswer("no_answer")
        return Answer(value=value)
    if not any(isinstance(value.get(name), list) for name in MARKS[kind]) or value.get("status") == "failed":
        raise NoAnswer("no_answer")
    answer = Answer(_text(value.get("model")), value=value)
    if kind == "images":
        answer.images = len(value["data"])
        if not answer.images:
            # No picture is no result, whatever was held for it.
            raise NoAnswer("no_picture")
        answer.size, answer.quality = _text(value.get("size")), _text(value.get("quality"))
    usage = value.get("usage")
    if kind == "rerank" and usage is None:
        usage = _billed(value.get("meta"))
    writes = kind in {"chat", "text", "responses", "messages"}
    tokens = reported_by_anthropic(usage) if kind == "messages" else reported(usage, writes=writes)
    if not writes:
        answer.tokens = tokens
        return answer
    if tokens is None or tokens.is_empty:
        # Missing, or zero beside a text: counted and flagged, never free.
        answer.counted = counted_text(*_written(kind, value))
        tokens = tokens if tokens is not None and not answer.counted else None
    answer.tokens = tokens
    return answer


def _transcript(raw: bytes) -> Answer:
    """JSON with or without usage, or a plain text, subtitles and the like."""
    value = _object(raw)
    if value is None:
        if raw.lstrip()[:1] in {b"<", b"{", b"["} or not raw.strip():
            raise NoAnswer("no_answer")
        return Answer(counted=counted_text(raw.decode("utf-8", "replace")))
    if not isinstance(value.get("text"), str) and not isinstance(value.get("segments"), list):
        raise NoAnswer("no_answer")
    usage = value.get("usage")
    seconds = usage.get("seconds") if isinstance(usage, dict) else None
    return Answer(
        tokens=reported(usage),
        counted=counted_text(value.get("text")),
        audio_ms=milliseconds(seconds if seconds is not None else value.get("duration")),
        value=value,
    )


def _billed(meta: object) -> dict[str, Any] | None:
    """The usage of a reranker that speaks of tokens in ``meta``."""
    if not isinstance(meta, dict):
        return None
    for name in ("tokens", "billed_units"):
        inside = meta.get(name)
        if isinstance(inside, dict) and isinstance(inside.get("input_tokens"), int):
            return inside
    return None


def _written(kind: str, value: dict[str, Any]) -> list[object]:
    """The parts of an answer that a model wrote."""
    if kind == "responses":
        return [_as_text(part) for item in _dicts(value.get("output")) for part in _parts_of_item(item) if part]
    if kind == "messages":
        blocks = _dicts(value.get("content"))
        found = [block.get(name) for block in blocks for name in ("text", "thinking", "name", "input")]
    else:
        found = [part for choice in _dicts(value.get("choices")) for part in _parts_of_choice(choice)]
    return [_as_text(part) for part in found if part]


def _parts_of_choice(choice: dict[str, Any]) -> list[object]:
    message = choice.get("message")
    found: list[object] = [choice.get("text")]
    if isinstance(message, dict):
        found += [message.get(name) for name in ("content", "reasoning_content", "refusal")]
        found += [call.get("function") for call in _dicts(message.get("tool_calls"))]
    return found


def _parts_of_item(item: dict[str, Any]) -> list[object]:
    inner = [*_dicts(item.get("content")), *_dicts(item.get("summary"))]
    return [item.get("name"), item.get("arguments"), *(part.get(name) for part in inner for name in ("text", "refusal"))]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
