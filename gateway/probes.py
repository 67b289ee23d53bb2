"""One plain and one streamed call as a client makes them, and what came of it. Pure of the portal: an address, a key, a model.

Nothing of the answer is kept but its status, its times and whether it ended as it should.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import orjson

PLAIN_SECONDS = 60.0
STREAM_SECONDS = 60.0
# An answer that arrives at once after this long was collected on its way; a quicker one proves nothing either way.
BUFFERED_SECONDS = 0.4
# ... when its parts come within this share of the time.
BUFFERED_SHARE = 0.9
LEAST_EVENTS = 3


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of client: where it calls, what it sends, and the words that end its stream."""

    slug: str
    name: str
    path: str
    end_markers: tuple[bytes, ...]
    key_header: str = "Authorization"

    def headers(self, clear: str) -> dict[str, str]:
        value = clear if self.key_header != "Authorization" else f"Bearer {clear}"
        return {self.key_header: value, "anthropic-version": "2023-06-01", "User-Agent": f"access-check ({self.slug})"}

    def body(self, model: str, *, is_stream: bool) -> dict[str, Any]:
        if self.path == "/v1/responses":
            return {"model": model, "input": "Say hello.", "max_output_tokens": 32, "stream": is_stream}
        messages = [{"role": "user", "content": "Say hello."}]
        return {"model": model, "messages": messages, "max_tokens": 32, "stream": is_stream}


PROFILES = {
    profile.slug: profile
    for profile in (
        Profile("openai", "OpenAI SDK, Cursor, Cherry Studio, LobeChat, Chatbox", "/v1/chat/completions", (b"[DONE]",)),
        Profile("claude-code", "Claude Code", "/v1/messages", (b'"message_stop"',), "x-api-key"),
        Profile("codex-cli", "Codex CLI", "/v1/responses", (b'"response.completed"', b'"response.incomplete"')),
    )
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """``cause`` is "" when all is well, else one of: refused, unreachable, timeout, not-json, not-streaming,
    stream-not-ended, stream-cut. Times in milliseconds."""

    is_stream: bool
    cause: str = ""
    status: int = 0
    error_code: str = ""
    request_id: str = ""
    first_byte_ms: int | None = None
    total_ms: int = 0
    event_count: int = 0
    saw_end: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def probe(origin: str, clear: str, model: str, profile: Profile, seconds: float = STREAM_SECONDS) -> list[Outcome]:
    """A plain call, then a streamed one. ``origin`` has no path. A refused plain call saves the streamed one's money."""
    with httpx.Client(base_url=origin, headers=profile.headers(clear), timeout=httpx.Timeout(seconds, connect=10)) as client:
        plain = _plain(client, profile, model)
        return [plain] if plain.cause else [plain, _stream(client, profile, model, seconds)]


def _plain(client: httpx.Client, profile: Profile, model: str) -> Outcome:
    begun = time.monotonic()
    try:
        answer = client.post(profile.path, json=profile.body(model, is_stream=False))
    except httpx.TimeoutException:
        return Outcome(False, "timeout", total_ms=_since(begun))
    except httpx.HTTPError:
        return Outcome(False, "unreachable", total_ms=_since(begun))
    took = _since(begun)
    found = _json(answer.content)
    cause = "refused" if answer.status_code != 200 else "" if found else "not-json"
    request_id = answer.headers.get("x-request-id", "")[:64]
    return Outcome(False, cause, answer.status_code, _code(found), request_id, took, took, saw_end=not cause)


def _stream(client: httpx.Client, profile: Profile, model: str, seconds: float) -> Outcome:
    begun = time.monotonic()
    watch = _Watch(profile, begun, seconds)
    status, request_id, kind = 0, "", ""
    cause = ""
    try:
        with client.stream("POST", profile.path, json=profile.body(model, is_stream=True)) as answer:
            status, request_id = answer.status_code, answer.headers.get("x-request-id", "")[:64]
            kind = answer.headers.get("content-type", "")
            if status != 200:
                return Outcome(True, "refused", status, _code(_json(answer.read())), request_id, total_ms=_since(begun))
            watch.read(answer.iter_raw())
    except httpx.TimeoutException:
        cause = "stream-not-ended" if watch.event_count else "timeout"
    except httpx.HTTPError:
        cause = "stream-cut" if watch.event_count else "unreachable"
    return watch.outcome(cause, status, request_id, kind)


class _Watch:
    """Reads a stream and remembers when its events came."""

    def __init__(self, profile: Profile, begun: float, seconds: float) -> None:
        self.profile, self.begun, self.seconds = profile, begun, seconds
        self.first_at: float | None = None
        self.last_at = begun
        self.event_count = 0
        self.saw_end = False
        self.is_out_of_time = False

    def read(self, parts: Iterator[bytes]) -> None:
        rest = b""
        for part in parts:
            at = time.monotonic()
            self.first_at = self.first_at or at
            self.last_at = at
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    self.event_count += 1
                    self.saw_end = self.saw_end or any(marker in line for marker in self.profile.end_markers)
            if at - self.begun > self.seconds:
                self.is_out_of_time = True
                return

    def outcome(self, cause: str, status: int, request_id: str, kind: str) -> Outcome:
        total = max(self.last_at - self.begun, time.monotonic() - self.begun if cause else 0.0)
        first = None if self.first_at is None else self.first_at - self.begun
        if not cause:
            cause = self._cause(first, total, kind)
        first_ms = None if first is None else round(first * 1000)
        return Outcome(True, cause, status, "", request_id, first_ms, round(total * 1000), self.event_count, self.saw_end)

    def _cause(self, first: float | None, total: float, kind: str) -> str:
        if "event-stream" not in kind or first is None:
            return "not-streaming"
        if not self.saw_end or self.is_out_of_time:
            return "stream-not-ended"
        came_at_once = self.event_count >= LEAST_EVENTS and total >= BUFFERED_SECONDS and first >= BUFFERED_SHARE * total
        return "not-streaming" if came_at_once else ""


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _code(found: dict[str, Any] | None) -> str:
    """The stable code of an error body in OpenAI's or Anthropic's shape."""
    error = (found or {}).get("error")
    if not isinstance(error, dict):
        return ""
    return str(error.get("code") or error.get("type") or "")[:64]


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
