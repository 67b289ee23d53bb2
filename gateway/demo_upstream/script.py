"""The script: what a request asks the demo upstream to do.

Answers depend on the request alone. What a call "uses" can be chosen by a hint in the last message, ``[[usage 1000 500]]``
or ``[[usage 1000 500 200 100]]`` (input, output, of the input: read from a cache, written to one), and its time by
``[[delay 0.5]]`` (seconds; in a stream before every word). ``[[tool]]``, like a request that forces one, calls the first tool,
``[[tool NAME {"some": "argument"}]]`` the one of that name; who wants JSON gets a JSON object. Failures are chosen by the
model's name, see ``FAILURES``.
``GET /__calls`` tells how many calls came in, so that a test can prove that none did; ``POST /__reset`` forgets them.
``POST /__down {"model": ..., "status": 503}`` takes a model down until it is called again with status 0.
"""

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

FAILURES = {
    "demo-500": "answers 500",
    "demo-429": "answers 429 with Retry-After",
    "demo-timeout": "never answers",
    "demo-cut-stream": "closes the connection after half of the answer",
    "demo-cut-before-output": "closes the connection before the first word",
    "demo-no-usage": "leaves out the usage block",
    "demo-slow": "waits 0.2 s before every part",
    "demo-garbage": "answers 200 with a body that is no JSON",
    "demo-other-model": "says that another model answered",
    "demo-400": "refuses the request as wrong",
    "demo-401": "refuses the credential",
    "demo-503": "answers 503",
    "demo-stall": "falls silent after half of the answer",
    "demo-garbage-stream": "sends half of the answer, then what is no event",
    "demo-same-id": "gives every answer the same id",
    "demo-null-id": "gives no answer an id",
    "demo-no-tools": "refuses requests with tools",
}
WORDS = ("the", "demo", "upstream", "answers", "with", "words", "that", "mean", "nothing", "at", "all", "and")
USAGE_HINT = re.compile(r"\[\[usage (\d{1,9}) (\d{1,9})(?: (\d{1,9}))?(?: (\d{1,9}))?\]\]")
DELAY_HINT = re.compile(r"\[\[delay ([0-9.]{1,6})\]\]")
TOOL_HINT = re.compile(r"\[\[tool(?: ([\w.-]{1,64}) (\{[^]]{0,2000}\}))?\]\]")
# What the first tool is called with when nothing else is said.
TOOL_ARGUMENTS = '{"city": "Jena"}'
MAX_WORDS = 2_000
CREATED = 1_750_000_000


@dataclass
class Calls:
    """What came in since the last reset. Credentials are remembered as short digests only."""

    total: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    by_path: Counter[str] = field(default_factory=Counter)
    by_credential: Counter[str] = field(default_factory=Counter)
    aborted: int = 0
    last_bytes: int = 0
    last_fields: dict[str, str] = field(default_factory=dict)
    headers_seen: set[str] = field(default_factory=set)
    last_keys: list[str] = field(default_factory=list)
    last_tools: list[str] = field(default_factory=list)
    last_stream_options: Any = None
    # Figures, switches and words of the last body as they came, without its texts.
    last_values: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "by_model": dict(self.by_model),
            "by_path": dict(self.by_path),
            "by_credential": dict(self.by_credential),
            "aborted": self.aborted,
            "last_bytes": self.last_bytes,
            "last_fields": self.last_fields,
            "headers_seen": sorted(self.headers_seen),
            "last_keys": self.last_keys,
            "last_tools": self.last_tools,
            "last_stream_options": self.last_stream_options,
            "last_values": self.last_values,
        }


CALLS = web.AppKey("calls", Calls)
# Models that were taken down, and the status they answer with.
DOWN: web.AppKey[dict[str, int]] = web.AppKey("down", dict)


@dataclass(frozen=True, slots=True)
class Script:
    """How one call is answered."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    delay: float
    answer_id: str | None
    written_tokens: int = 0
    tool: str = ""
    tool_arguments: str = TOOL_ARGUMENTS
    is_json: bool = False
    has_tools: bool = False

    @property
    def served_as(self) -> str:
        return "demo-served-instead" if self.model == "demo-other-model" else self.model

    @property
    def is_cut(self) -> bool:
        return self.model in {"demo-cut-stream", "demo-cut-before-output"}

    def words(self) -> list[str]:
        if self.is_json:
            return ['{"answer": ', '"yes"}']
        count = min(self.completion_tokens, MAX_WORDS)
        return [WORDS[n % len(WORDS)] + " " for n in range(count)]

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def text_of(body: dict[str, Any]) -> str:
    """What was said since the last answer or the last result of a tool: the hints before that were obeyed then."""
    for name in ("messages", "input"):
        messages = body.get(name)
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
            return "\n".join(map(_text_in, _newest(messages)))
    return _text_in({"content": body.get("prompt") or body.get("input") or body.get("query") or ""})


def _newest(messages: list[Any]) -> list[dict[str, Any]]:
    newest: list[dict[str, Any]] = []
    for message in reversed(messages):
        is_old = not isinstance(message, dict) or message.get("role", "") in {"assistant", "tool", ""}
        content = None if is_old else message.get("content")
        if is_old or (isinstance(content, list) and any(_is_result(part) for part in content)):
            break
        newest.insert(0, message)
    return newest


def _is_result(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"


def _text_in(message: dict[str, Any]) -> str:
    content = message.get("content", "")
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        content = "\n".join(texts) if texts else content
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def script_for(raw: bytes, body: dict[str, Any]) -> Script:
    text = text_of(body)
    usage, delay = USAGE_HINT.search(text), DELAY_HINT.search(text)
    model = str(body.get("model", ""))
    same = b"same" if model == "demo-same-id" else raw
    called = TOOL_HINT.search(text)
    first_tool = next(iter(tools_of(body)), "")
    return Script(
        model=model,
        prompt_tokens=int(usage.group(1)) if usage else max(1, len(text) // 4 + 3),
        completion_tokens=int(usage.group(2)) if usage else 12,
        cached_tokens=int(usage.group(3) or 0) if usage else 0,
        delay=float(delay.group(1)) if delay else 0.2 if model == "demo-slow" else 0.0,
        answer_id=None if model == "demo-null-id" else "demo-" + hashlib.sha256(same).hexdigest()[:24],
        written_tokens=int(usage.group(4) or 0) if usage else 0,
        tool=(called[1] or first_tool) if called else first_tool if _forces_tool(body.get("tool_choice")) else "",
        tool_arguments=(called[2] or TOOL_ARGUMENTS) if called else TOOL_ARGUMENTS,
        is_json=_wants_json(body.get("response_format")),
        has_tools=bool(body.get("tools")),
    )


def _forces_tool(choice: object) -> bool:
    return choice == "required" or (isinstance(choice, dict) and choice.get("type") in ("function", "tool", "any"))


def _wants_json(wanted: object) -> bool:
    return isinstance(wanted, dict) and str(wanted.get("type")).startswith("json")


def tools_of(body: dict[str, Any]) -> list[str]:
    """Names of the tools a request offers, in any dialect."""
    tools = body.get("tools")
    offered = [one for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    return [str(one.get("name") or (one.get("function") or {}).get("name") or one.get("type") or "") for one in offered]


def error(status: int, message: str, code: str, **headers: str) -> web.Response:
    body = {"error": {"message": message, "type": "demo_error", "param": None, "code": code}}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


async def failed_answer(script: Script, request: web.Request) -> web.Response | None:
    """The answer of a model whose name stands for a failure before the first byte."""
    if status := request.app[DOWN].get(script.model, 0):
        return error(status, "The demo upstream has no such model at the moment.", "demo_down")
    match script.model:
        case "demo-no-tools" if script.has_tools:
            return error(400, "The demo upstream has a model without tools here.", "tools_not_supported")
        case "demo-503":
            return error(503, "The demo upstream is overloaded as asked.", "demo_overloaded")
        case "demo-500":
            return error(500, "The demo upstream failed as asked.", "demo_failure")
        case "demo-429":
            return error(429, "The demo upstream is busy as asked.", "demo_busy", **{"Retry-After": "7"})
        case "demo-400":
            return error(400, "The demo upstream finds this request wrong.", "demo_wrong_request")
        case "demo-401":
            return error(401, "The demo upstream does not know this credential.", "demo_bad_credential")
        case "demo-garbage":
            return web.Response(body=b"<html>this is not JSON</html>", content_type="application/json")
        case "demo-timeout":
            await asyncio.sleep(3600)
    return None


def hang_up(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


async def read(request: web.Request) -> tuple[bytes, dict[str, Any], Script]:
    calls = request.app[CALLS]
    if request.content_type == "multipart/form-data":
        body = await _read_form(request, calls)
        raw = orjson.dumps(body)
    else:
        raw = await request.read()
        body = orjson.loads(raw)
        calls.last_bytes = len(raw)
    script = script_for(raw, body)
    calls.total += 1
    calls.by_model[script.model] += 1
    calls.by_path[request.path] += 1
    presented = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("X-Api-Key", "")
    calls.by_credential[hashlib.sha256(presented.encode()).hexdigest()[:12]] += 1
    calls.headers_seen.update(name.lower() for name in request.headers)
    calls.last_keys = sorted(body)
    calls.last_tools = tools_of(body)
    calls.last_stream_options = body.get("stream_options")
    calls.last_values = {name: value for name, value in body.items() if name != "prompt" and not isinstance(value, list | dict)}
    return raw, body, script


async def _read_form(request: web.Request, calls: Calls) -> dict[str, Any]:
    """The plain fields of a form, and the size of its files; the last of a repeated field counts."""
    fields: dict[str, Any] = {}
    calls.last_bytes = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename:
            while chunk := await part.read_chunk(256 * 1024):
                calls.last_bytes += len(chunk)
        elif part.name:
            fields[part.name] = await part.text()
    calls.last_fields = {name: value for name, value in fields.items() if name != "prompt"}
    return fields
