"""Reads a stream of server-sent events on its way through: usage, text length, whether it came to its end."""

import re
from typing import Any

import orjson

from gateway.contract.estimate import counted_tokens, text_lengths
from gateway.contract.usage import Tokens, reported

# A single event larger than this is no answer of a language model.
MAX_EVENT_BYTES = 8 * 1024 * 1024
_ANY_BREAK = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class StreamReader:
    """Feed it what arrives; it gives back what may go on to the client, whole events only.

    ``strip_usage``: the event that only carries usage is kept back, because the client did not ask for it.
    """

    __slots__ = (
        "_ascii",
        "_other",
        "_strip_usage",
        "_tail",
        "error",
        "events",
        "has_output",
        "images",
        "is_broken",
        "is_done",
        "is_finished",
        "served_model",
        "usage",
    )

    def __init__(self, *, strip_usage: bool) -> None:
        self._strip_usage = strip_usage
        self._tail = b""
        self._ascii = self._other = 0
        self.events = 0
        self.images = 0
        self.usage: dict[str, Any] | None = None
        self.served_model = ""
        self.has_output = False
        self.is_done = False  # the last event came: "[DONE]", or what a protocol has in its place
        self.is_finished = False  # a choice said why it ended
        self.is_broken = False  # something came that is no event of an answer
        self.error: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        return (self.is_done or self.is_finished) and not self.is_broken and self.error is None

    @property
    def is_over(self) -> bool:
        """Something came that is no part of an answer."""
        return self.is_broken or self.error is not None

    def tokens(self) -> Tokens | None:
        """What the upstream reported, None when that is missing or cannot be true beside the text that went through."""
        return self._checked(reported(self.usage))

    def _checked(self, tokens: Tokens | None) -> Tokens | None:
        return None if tokens is None or (self.has_output and tokens.is_empty) else tokens

    def counted_output(self) -> int:
        """Output tokens counted from the text that went through."""
        return counted_tokens(self._ascii, self._other)

    def feed(self, data: bytes) -> bytes:
        if self._tail:
            data = self._tail + data
        elif data.startswith(b"data: {") and data.find(b"\n") == len(data) - 2 and data.endswith(b"\n\n"):
            # One event, as nearly all come.
            return data if self._read_data(data[6:-2]) else b""
        if data.endswith(b"\n\n"):
            whole, self._tail = data, b""
        else:
            whole, self._tail = _split_at_last_break(data)
            if len(self._tail) > MAX_EVENT_BYTES:
                self.is_broken = True
        if not whole:
            return b""
        events = _ANY_BREAK.split(whole) if b"\r" in whole else whole.split(b"\n\n")
        kept = self._kept(events)
        return b"\n\n".join(kept) + b"\n\n" if kept else b""

    def _kept(self, events: list[bytes]) -> list[bytes]:
        """The events that may go on; behind one that is no part of an answer nothing is looked at any more."""
        kept = []
        for event in events:
            if not event or event.isspace():
                continue
            if self._read(event):
                kept.append(event)
            elif self.is_over:
                break
        return kept

    def rest(self) -> bytes:
        """What is left when the upstream ended without a last empty line."""
        tail, self._tail = self._tail, b""
        if tail.strip() and self._read(tail.strip()):
            return tail + b"\n\n"
        return b""

    def _read(self, event: bytes) -> bool:
        """Take note of one event; False when it must not reach the client."""
        data = _data_of(event)
        if data is None:
            return True
        if data == b"[DONE]":
            self.is_done = True
            return True
        return self._read_data(data)

    def _read_data(self, data: bytes) -> bool:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            self.is_broken = True
            return False
        if "error" in value and isinstance(value["error"], dict):
            self.error = value["error"]
            return False
        self.events += 1
        return self._read_answer(value)

    def _read_answer(self, value: dict[str, Any]) -> bool:
        usage = value.get("usage")
        if usage:
            self.usage = usage
        if not self.served_model and isinstance(value.get("model"), str):
            self.served_model = value["model"]
        choices = value.get("choices")
        if not choices:
            return not (usage and self._strip_usage)
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._read_choice(choice)
        return True

    def _read_choice(self, choice: dict[str, Any]) -> None:
        if choice.get("finish_reason"):
            self.is_finished = True
        delta = choice.get("delta")
        if isinstance(delta, dict):
            text = delta.get("content")
            if text and isinstance(text, str):
                self._count(text)
            if len(delta) > 1 or not text:
                self._read_rare(delta)
        if "text" in choice and (text := choice["text"]) and isinstance(text, str):
            self._count(text)

    def _read_rare(self, delta: dict[str, Any]) -> None:
        for name in ("reasoning_content", "reasoning", "refusal"):
            text = delta.get(name)
            if text and isinstance(text, str):
                self._count(text)
        for call in delta.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                for name in ("name", "arguments"):
                    text = function.get(name)
                    if text and isinstance(text, str):
                        self._count(text)
        if delta.get("audio"):
            self.has_output = True

    def _count(self, text: str) -> None:
        self.has_output = True
        if text.isascii():
            self._ascii += len(text)
            return
        plain, other = text_lengths(text)
        self._ascii += plain
        self._other += other


def _split_at_last_break(data: bytes) -> tuple[bytes, bytes]:
    end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0, 0)
    return (data[:end], data[end:]) if end > 1 else (b"", data)


def _data_of(event: bytes) -> bytes | None:
    """The data of an event, or None for comments and empty ones."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].strip() for line in re.split(rb"\r\n|\n|\r", event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
