"""Readers of the streams that are not chat: responses, messages, pictures, speech, transcripts.

Each knows where its usage stands, what counts as output, and which event is the end.
"""

from typing import Any

from gateway.contract.endpoints import Endpoint
from gateway.contract.usage import Tokens, as_estimated, reported, reported_by_anthropic
from gateway.relay.sse import StreamReader


class ResponsesReader(StreamReader):
    """OpenAI's response events: usage comes with ``response.completed`` or ``response.incomplete``."""

    __slots__ = ()

    def _read_answer(self, value: dict[str, Any]) -> bool:
        kind = str(value.get("type", ""))
        response = value.get("response")
        if isinstance(response, dict):
            self._read_response(kind, response)
        delta = value.get("delta")
        if kind.endswith(".delta"):
            if isinstance(delta, str):
                self._count(delta)
            self.has_output = True
        elif kind in {"error", "response.failed"}:
            self.error = value
        return self.error is None

    def _read_response(self, kind: str, response: dict[str, Any]) -> None:
        if not self.served_model and isinstance(response.get("model"), str):
            self.served_model = response["model"]
        if isinstance(response.get("usage"), dict):
            self.usage = response["usage"]
        if kind in {"response.completed", "response.incomplete"}:
            self.is_finished = self.is_done = True


class MessagesReader(StreamReader):
    """Anthropic's events: input usage with ``message_start``, the whole of it with ``message_delta``."""

    __slots__ = ("_final",)

    def __init__(self, *, strip_usage: bool = False) -> None:
        super().__init__(strip_usage=strip_usage)
        self._final: dict[str, Any] | None = None

    def tokens(self) -> Tokens | None:
        first = self.usage or {}
        if self._final is not None:
            return self._checked(reported_by_anthropic({**first, **self._final}))
        begun = reported_by_anthropic(first)
        if begun is None:
            return None
        # The end did not come: the input is known, the output is what went through.
        return as_estimated(begun, output=max(self.counted_output(), begun.output if self.has_output else 0))

    def _read_answer(self, value: dict[str, Any]) -> bool:
        kind = value.get("type")
        if kind == "message_start":
            message = value.get("message")
            if isinstance(message, dict):
                self.served_model = str(message.get("model") or "")
                self.usage = message.get("usage") if isinstance(message.get("usage"), dict) else None
        elif kind == "content_block_start":
            block = value.get("content_block")
            if isinstance(block, dict) and isinstance(block.get("name"), str):
                self._count(block["name"])
        elif kind == "content_block_delta":
            self._read_delta(value.get("delta"))
        elif kind == "message_delta":
            usage = value.get("usage")
            if isinstance(usage, dict):
                self._final = {name: count for name, count in usage.items() if count is not None}
        elif kind == "message_stop":
            self.is_finished = self.is_done = True
        return True

    def _read_delta(self, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        for name in ("text", "thinking", "partial_json"):
            text = delta.get(name)
            if text and isinstance(text, str):
                self._count(text)


class MediaReader(StreamReader):
    """Pictures, speech and transcripts: events named ``….delta`` or ``….partial_image``, then ``….completed`` or ``….done``."""

    __slots__ = ()

    def tokens(self) -> Tokens | None:
        return reported(self.usage)

    def _read_answer(self, value: dict[str, Any]) -> bool:
        kind = str(value.get("type", ""))
        if isinstance(value.get("usage"), dict):
            self.usage = value["usage"]
        if kind.endswith((".completed", ".done")):
            self.is_finished = self.has_output = True
            self.images += kind.startswith(("image_generation.", "image_edit."))
        elif kind.endswith((".delta", ".partial_image")):
            self.has_output = True
            delta = value.get("delta")
            if isinstance(delta, str):
                self._count(delta)
        elif kind == "error":
            self.error = value
        return self.error is None


def reader_for(endpoint: Endpoint, *, strip_usage: bool) -> StreamReader:
    match endpoint.kind:
        case "responses":
            return ResponsesReader(strip_usage=False)
        case "messages":
            return MessagesReader()
        case "images" | "speech" | "transcript":
            return MediaReader(strip_usage=False)
    return StreamReader(strip_usage=strip_usage)
