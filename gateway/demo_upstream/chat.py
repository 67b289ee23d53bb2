"""Chat, completions and embeddings of the demo upstream."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream.script import CREATED, Script, failed_answer, hang_up, read


async def stream(request: web.Request, body: dict[str, Any], script: Script, kind: str) -> web.StreamResponse:
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
        hang_up(request)
        return response
    if script.tool and chat:
        call = {"id": "call_demo", "type": "function", "function": {"name": script.tool, "arguments": ""}}
        await say([{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}])
        part = {"index": 0, "function": {"arguments": script.tool_arguments}}
        await say([{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}])
    words = [] if script.tool else script.words()
    for n, word in enumerate(words):
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.model == "demo-cut-stream" and n >= (len(words) + 1) // 2:
            await asyncio.sleep(0.05)  # what was written reaches the reader before the line breaks
            hang_up(request)
            return response
        if script.model == "demo-stall" and n >= (len(words) + 1) // 2:
            await asyncio.sleep(3600)
        if script.model == "demo-garbage-stream" and n >= (len(words) + 1) // 2:
            await response.write(b"data: <html>no event</html>\n\n")
            continue
        part = {"delta": {"content": word}} if chat else {"text": word}
        await say([{"index": 0, **part, "finish_reason": None}])
    reason = "tool_calls" if script.tool else "stop"
    await say([{"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": reason}])
    if script.model != "demo-no-usage" and (body.get("stream_options") or {}).get("include_usage"):
        await say([], script.usage())
    await response.write(b"data: [DONE]\n\n")
    return response


async def complete(request: web.Request) -> web.StreamResponse:
    chat = request.path.endswith("/chat/completions")
    raw, body, script = await read(request)
    failed = await failed_answer(script, request)
    if failed is not None:
        return failed
    if body.get("stream"):
        return await stream(request, body, script, "chat.completion.chunk" if chat else "text_completion")
    if script.delay:
        await asyncio.sleep(script.delay)
    if script.is_cut:
        hang_up(request)
        return web.Response()
    text = "".join(script.words()).strip()
    part: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    if script.tool and chat:
        call = {"id": "call_demo", "type": "function", "function": {"name": script.tool, "arguments": script.tool_arguments}}
        part = {"message": {"role": "assistant", "content": None, "tool_calls": [call]}}
    answer: dict[str, Any] = {
        "id": script.answer_id,
        "object": "chat.completion" if chat else "text_completion",
        "created": CREATED,
        "model": script.served_as,
        "choices": [{"index": 0, **part, "finish_reason": "tool_calls" if script.tool else "stop"}],
    }
    if script.model != "demo-no-usage":
        answer["usage"] = script.usage()
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def embed(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    failed = await failed_answer(script, request)
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
