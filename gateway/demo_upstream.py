"""An OpenAI-compatible upstream that follows a script, for the demo, the tests and the benchmark.

Run: ``python -m gateway.demo_upstream --port 9100``. Answers depend on the request alone. What a call "uses" can be chosen
by a hint in the last message, ``[[usage 1000 500]]`` or ``[[usage 1000 500 200]]`` (input, output, cached input), and its
time by ``[[delay 0.5]]`` (seconds; in a stream before every word). Failures are chosen by the model's name, see
``FAILURES``. ``GET /__calls`` tells how many calls came in, so that a test can prove that none did; ``POST /__reset``
forgets them.
"""

import argparse
import asyncio
import hashlib
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

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
}
WORDS = ("the", "demo", "upstream", "answers", "with", "words", "that", "mean", "nothing", "at", "all", "and")
USAGE_HINT = re.compile(r"\[\[usage (\d{1,9}) (\d{1,9})(?: (\d{1,9}))?\]\]")
DELAY_HINT = re.compile(r"\[\[delay ([0-9.]{1,6})\]\]")
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
    headers_seen: set[str] = field(default_factory=set)
    last_keys: list[str] = field(default_factory=list)
    last_stream_options: Any = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "by_model": dict(self.by_model),
            "by_path": dict(self.by_path),
            "by_credential": dict(self.by_credential),
            "aborted": self.aborted,
            "headers_seen": sorted(self.headers_seen),
            "last_keys": self.last_keys,
            "last_stream_options": self.last_stream_options,
        }


CALLS = web.AppKey("calls", Calls)


@dataclass(frozen=True, slots=True)
class Script:
    """How one call is answered."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    delay: float
    answer_id: str

    @property
    def served_as(self) -> str:
        return "demo-served-instead" if self.model == "demo-other-model" else self.model

    def words(self) -> list[str]:
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


def _text_of(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        content = messages[-1].get("content", "")
    else:
        content = body.get("prompt") or body.get("input") or ""
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def script_for(raw: bytes, body: dict[str, Any]) -> Script:
    text = _text_of(body)
    usage, delay = USAGE_HINT.search(text), DELAY_HINT.search(text)
    model = str(body.get("model", ""))
    return Script(
        model=model,
        prompt_tokens=int(usage.group(1)) if usage else max(1, len(text) // 4 + 3),
        completion_tokens=int(usage.group(2)) if usage else 12,
        cached_tokens=int(usage.group(3) or 0) if usage else 0,
        delay=float(delay.group(1)) if delay else 0.2 if model == "demo-slow" else 0.0,
        answer_id="demo-" + hashlib.sha256(raw).hexdigest()[:24],
    )


def _error(status: int, message: str, code: str, **headers: str) -> web.Response:
    body = {"error": {"message": message, "type": "demo_error", "param": None, "code": code}}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


async def _failed(script: Script, request: web.Request) -> web.Response | None:
    """The answer of a model whose name stands for a failure before the first byte."""
    match script.model:
        case "demo-500":
            return _error(500, "The demo upstream failed as asked.", "demo_failure")
        case "demo-429":
            return _error(429, "The demo upstream is busy as asked.", "demo_busy", **{"Retry-After": "7"})
        case "demo-400":
            return _error(400, "The demo upstream finds this request wrong.", "demo_wrong_request")
        case "demo-401":
            return _error(401, "The demo upstream does not know this credential.", "demo_bad_credential")
        case "demo-garbage":
            return web.Response(body=b"<html>this is not JSON</html>", content_type="application/json")
        case "demo-timeout":
            await asyncio.sleep(3600)
    return None


def _hang_up(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


async def _stream(request: web.Request, body: dict[str, Any], script: Script, kind: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    head = {"id": script.answer_id, "object": kind, "created": CREATED, "model": script.served_as}
    chat = kind == "chat.completion.chunk"

    async def say(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> None:
        event: dict[str, Any] = {**head, "choices": choices}
        if usage:
            event["usage"] = usage
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")

    if chat:
        await say([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    if script.model == "demo-cut-before-output":
        _hang_up(request)
        return response
    words = script.words()
    for n, word in enumerate(words):
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.model == "demo-cut-stream" and n >= (len(words) + 1) // 2:
            await asyncio.sleep(0.05)  # what was written reaches the reader before the line breaks
            _hang_up(request)
            return response
        part = {"delta": {"content": word}} if chat else {"text": word}
        await say([{"index": 0, **part, "finish_reason": None}])
    await say([{"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": "stop"}])
    if script.model != "demo-no-usage" and (body.get("stream_options") or {}).get("include_usage"):
        await say([], script.usage())
    await response.write(b"data: [DONE]\n\n")
    return response


async def _complete(request: web.Request) -> web.StreamResponse:
    chat = request.path.endswith("/chat/completions")
    raw, body, script = await _read(request)
    failed = await _failed(script, request)
    if failed is not None:
        return failed
    if body.get("stream"):
        return await _stream(request, body, script, "chat.completion.chunk" if chat else "text_completion")
    if script.delay:
        await asyncio.sleep(script.delay)
    if script.model in {"demo-cut-stream", "demo-cut-before-output"}:
        _hang_up(request)
        return web.Response()
    text = "".join(script.words()).strip()
    part = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    answer: dict[str, Any] = {
        "id": script.answer_id,
        "object": "chat.completion" if chat else "text_completion",
        "created": CREATED,
        "model": script.served_as,
        "choices": [{"index": 0, **part, "finish_reason": "stop"}],
    }
    if script.model != "demo-no-usage":
        answer["usage"] = script.usage()
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def _embed(request: web.Request) -> web.StreamResponse:
    _, body, script = await _read(request)
    failed = await _failed(script, request)
    if failed is not None:
        return failed
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    answer = {
        "object": "list",
        "model": script.served_as,
        "data": [{"object": "embedding", "index": n, "embedding": [0.25, -0.5, 0.75]} for n in range(count)],
        "usage": {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens},
    }
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def _read(request: web.Request) -> tuple[bytes, dict[str, Any], Script]:
    raw = await request.read()
    body = orjson.loads(raw)
    script = script_for(raw, body)
    calls = request.app[CALLS]
    calls.total += 1
    calls.by_model[script.model] += 1
    calls.by_path[request.path] += 1
    presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
    calls.by_credential[hashlib.sha256(presented.encode()).hexdigest()[:12]] += 1
    calls.headers_seen.update(name.lower() for name in request.headers)
    calls.last_keys = sorted(body)
    calls.last_stream_options = body.get("stream_options")
    return raw, body, script


async def _models(request: web.Request) -> web.Response:
    names = ["demo-chat", "demo-embedding", *FAILURES]
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "demo"} for name in names]
    return web.Response(body=orjson.dumps({"object": "list", "data": data}), content_type="application/json")


async def _calls(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(request.app[CALLS].as_dict()), content_type="application/json")


async def _reset(request: web.Request) -> web.Response:
    request.app[CALLS].__init__()  # type: ignore[misc]
    return web.Response(status=204)


@web.middleware
async def _count_aborts(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except (asyncio.CancelledError, ConnectionResetError):
        request.app[CALLS].aborted += 1
        raise
    return response


def build() -> web.Application:
    app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[_count_aborts])
    app[CALLS] = Calls()
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_post("/v1/completions", _complete)
    app.router.add_post("/v1/embeddings", _embed)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/__calls", _calls)
    app.router.add_post("/__reset", _reset)
    return app


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible upstream.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    chosen = parser.parse_args(arguments)
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    web.run_app(
        build(), host=chosen.host, port=chosen.port, access_log=None, handler_cancellation=True, print=None, shutdown_timeout=1
    )


if __name__ == "__main__":
    main()
