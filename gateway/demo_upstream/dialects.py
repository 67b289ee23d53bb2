"""Responses and messages of the demo upstream: the same words in OpenAI's and Anthropic's newer dialects."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream.script import CREATED, Script, failed_answer, hang_up, read

Event = tuple[str, dict[str, Any]]


async def responses(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    if body.get("stream"):
        return await _stream(request, script, list(_response_events(script)))
    await asyncio.sleep(script.delay)
    if script.is_cut:
        hang_up(request)
        return web.Response()
    return _json(_response(script, "completed"))


async def messages(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    if body.get("stream"):
        return await _stream(request, script, list(_message_events(script)))
    await asyncio.sleep(script.delay)
    if script.is_cut:
        hang_up(request)
        return web.Response()
    answer = {**_message(script), "content": _blocks(script), "stop_reason": _stop(script), "stop_sequence": None}
    if script.model != "demo-no-usage":
        answer["usage"] = _anthropic_usage(script)
    return _json(answer)


async def count_tokens(request: web.Request) -> web.StreamResponse:
    _, _, script = await read(request)
    failed = await failed_answer(script, request)
    return failed if failed is not None else _json({"input_tokens": script.prompt_tokens})


async def _stream(request: web.Request, script: Script, events: list[Event]) -> web.StreamResponse:
    """Events with their names; words are the events in the middle, where a script may break off."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    deltas = [n for n, (_, event) in enumerate(events) if "delta" in event and event["type"] != "message_delta"]
    breaks_at = {"demo-cut-before-output": deltas[0], "demo-cut-stream": deltas[len(deltas) // 2]} if deltas else {}
    half = deltas[len(deltas) // 2] if deltas else 0
    for n, (name, event) in enumerate(events):
        if script.delay and n in deltas:
            await asyncio.sleep(script.delay)
        if n == breaks_at.get(script.model):
            await asyncio.sleep(0.05)
            hang_up(request)
            return response
        if n == half and script.model == "demo-stall":
            await asyncio.sleep(3600)
        if n == half and script.model == "demo-garbage-stream":
            await response.write(b"data: <html>no event</html>\n\n")
        await response.write(f"event: {name}\ndata: ".encode() + orjson.dumps(event) + b"\n\n")
    return response


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _response(script: Script, status: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": script.answer_id and f"resp_{script.answer_id}",
        "object": "response",
        "created_at": CREATED,
        "model": script.served_as,
        "status": status,
        "error": None,
        "output": [_item(script)] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    if status == "completed" and script.model != "demo-no-usage":
        answer["usage"] = {
            "input_tokens": script.prompt_tokens,
            "input_tokens_details": {"cached_tokens": script.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": script.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": script.prompt_tokens + script.completion_tokens,
        }
    return answer


def _item(script: Script) -> dict[str, Any]:
    if script.tool:
        call = {"type": "function_call", "id": "fc_demo", "call_id": "call_demo", "status": "completed"}
        return {**call, "name": script.tool, "arguments": script.tool_arguments}
    text = {"type": "output_text", "text": "".join(script.words()).strip(), "annotations": []}
    return {"type": "message", "id": "msg_demo", "role": "assistant", "status": "completed", "content": [text]}


def _response_events(script: Script) -> Iterator[Event]:
    place = {"item_id": "msg_demo", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": _response(script, "in_progress")}]
    if script.tool:
        place = {"item_id": "fc_demo", "output_index": 0}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": {**_item(script), "arguments": ""}})
        events.append({"type": "response.function_call_arguments.delta", **place, "delta": script.tool_arguments})
        events.append({"type": "response.function_call_arguments.done", **place, "arguments": script.tool_arguments})
    else:
        empty = {"type": "message", "id": "msg_demo", "role": "assistant", "status": "in_progress", "content": []}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": empty})
        part = {"type": "output_text", "text": "", "annotations": []}
        events.append({"type": "response.content_part.added", **place, "part": part})
        events += [{"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in script.words()]
        text = "".join(script.words())
        events.append({"type": "response.output_text.done", **place, "text": text, "logprobs": []})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": _item(script)})
    events.append({"type": "response.completed", "response": _response(script, "completed")})
    for n, event in enumerate(events):
        yield event["type"], {**event, "sequence_number": n}


def _message(script: Script) -> dict[str, Any]:
    return {
        "id": script.answer_id and f"msg_{script.answer_id}",
        "type": "message",
        "role": "assistant",
        "model": script.served_as,
    }


def _blocks(script: Script) -> list[dict[str, Any]]:
    if script.tool:
        return [{"type": "tool_use", "id": "toolu_demo", "name": script.tool, "input": orjson.loads(script.tool_arguments)}]
    return [{"type": "text", "text": "".join(script.words()).strip()}]


def _stop(script: Script) -> str:
    return "tool_use" if script.tool else "end_turn"


def _anthropic_usage(script: Script) -> dict[str, int]:
    """Anthropic counts what was read from and written to the cache beside the input, not inside it."""
    return {
        "input_tokens": max(0, script.prompt_tokens - script.cached_tokens - script.written_tokens),
        "cache_read_input_tokens": script.cached_tokens,
        "cache_creation_input_tokens": script.written_tokens,
        "output_tokens": script.completion_tokens,
    }


def _message_events(script: Script) -> Iterator[Event]:
    has_usage = script.model != "demo-no-usage"
    first = {**_anthropic_usage(script), "output_tokens": 1} if has_usage else {"output_tokens": 0}
    start = {**_message(script), "content": [], "stop_reason": None, "stop_sequence": None, "usage": first}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    if script.tool:
        block: dict[str, Any] = {"type": "tool_use", "id": "toolu_demo", "name": script.tool, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": script.tool_arguments}]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in script.words()]
    events.append({"type": "content_block_start", "index": 0, "content_block": block})
    events.append({"type": "ping"})
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    events.append({"type": "content_block_stop", "index": 0})
    usage = {"output_tokens": script.completion_tokens} if has_usage else {}
    end = {"stop_reason": _stop(script), "stop_sequence": None}
    events.append({"type": "message_delta", "delta": end, **({"usage": usage} if has_usage else {})})
    events.append({"type": "message_stop"})
    for event in events:
        yield event["type"], event
