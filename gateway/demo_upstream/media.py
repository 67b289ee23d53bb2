"""Pictures, sound, moderations and rankings of the demo upstream."""

import asyncio
import base64
import hashlib
from typing import Any

import orjson
from aiohttp import web

from gateway.demo_upstream.png import picture
from gateway.demo_upstream.script import CREATED, Script, failed_answer, hang_up, read

PIXEL = base64.b64encode(b"\x89PNG demo picture").decode()
SOUND = b"RIFF" + b"\x24\x00\x00\x00" + b"WAVEfmt " + b"demo sound " * 400


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def images(request: web.Request) -> web.StreamResponse:
    """``n`` pictures; with ``[[usage …]]`` in the prompt they are counted in tokens too."""
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    await asyncio.sleep(script.delay)
    if script.is_cut:
        hang_up(request)
        return web.Response()
    usage = _image_usage(script) if "[[usage" in str(body.get("prompt", "")) else None
    if body.get("stream") in {True, "true"}:
        return await _image_stream(request, script, usage)
    drawn = picture(str(body.get("size") or ""))
    answer: dict[str, Any] = {
        "created": CREATED,
        "data": [{"b64_json": drawn} for _ in range(min(int(body.get("n") or 1), 100))],
    }
    if usage and script.model != "demo-no-usage":
        answer["usage"] = usage
    return _json(answer)


def _image_usage(script: Script) -> dict[str, Any]:
    return {
        "input_tokens": script.prompt_tokens,
        "output_tokens": script.completion_tokens,
        "total_tokens": script.prompt_tokens + script.completion_tokens,
        "input_tokens_details": {"text_tokens": script.prompt_tokens, "image_tokens": 0},
    }


async def _image_stream(request: web.Request, script: Script, usage: dict[str, Any] | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    kind = "image_edit" if request.path.endswith("edits") else "image_generation"
    shape = {"b64_json": PIXEL, "background": "opaque", "created_at": CREATED, "output_format": "png", "quality": "high"}
    shape["size"] = "1024x1024"
    events = [{"type": f"{kind}.partial_image", "partial_image_index": 0, **shape}]
    events.append({"type": f"{kind}.completed", **shape, **({"usage": usage} if usage else {})})
    for event in events:
        await response.write(f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n")
        await asyncio.sleep(script.delay)
    return response


async def speech(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    if body.get("stream_format") == "sse":
        return await _speech_events(request, script)
    response = web.StreamResponse(headers={"Content-Type": "audio/wav"})
    await response.prepare(request)
    if script.model == "demo-cut-before-output":
        hang_up(request)
        return response
    half = len(SOUND) // 2
    await response.write(SOUND[:half])
    await asyncio.sleep(script.delay or (0.05 if script.is_cut else 0))
    if script.model == "demo-stall":
        await asyncio.sleep(3600)
    if script.is_cut:
        hang_up(request)
        return response
    await response.write(SOUND[half:])
    return response


async def _speech_events(request: web.Request, script: Script) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    usage = {"input_tokens": script.prompt_tokens, "output_tokens": script.completion_tokens}
    for event in ({"type": "speech.audio.delta", "audio": PIXEL}, {"type": "speech.audio.done", "usage": usage}):
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
    return response


async def transcript(request: web.Request) -> web.StreamResponse:
    """Every sound is half a minute long, whatever is in it."""
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    await asyncio.sleep(script.delay)
    if script.is_cut:
        hang_up(request)
        return web.Response()
    text = "".join(script.words()).strip()
    if body.get("response_format") == "text":
        return web.Response(text=text + "\n", content_type="text/plain")
    if body.get("stream") == "true":
        return await _transcript_events(request, script, text)
    answer: dict[str, Any] = {"text": text}
    if script.model != "demo-no-usage":
        answer["usage"] = {"type": "duration", "seconds": 30}
    return _json(answer)


async def _transcript_events(request: web.Request, script: Script, text: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    events: list[dict[str, Any]] = [{"type": "transcript.text.delta", "delta": word} for word in script.words()]
    usage = {
        "type": "tokens",
        "input_tokens": script.prompt_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": script.prompt_tokens},
        "output_tokens": script.completion_tokens,
        "total_tokens": script.prompt_tokens + script.completion_tokens,
    }
    events.append({"type": "transcript.text.done", "text": text, "usage": usage})
    for event in events:
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
    return response


async def moderate(request: web.Request) -> web.StreamResponse:
    raw, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    answer_id = "modr-" + hashlib.sha256(raw).hexdigest()[:12]
    return _json({"id": answer_id, "model": script.served_as, "results": [result] * count})


async def rerank(request: web.Request) -> web.StreamResponse:
    _, body, script = await read(request)
    if (failed := await failed_answer(script, request)) is not None:
        return failed
    documents = body.get("documents") or []
    results = [{"index": n, "relevance_score": round(0.9 - n * 0.1, 2)} for n in range(len(documents))]
    answer: dict[str, Any] = {"model": script.served_as, "results": results}
    if script.model != "demo-no-usage":
        answer["usage"] = {"total_tokens": script.prompt_tokens}
    return _json(answer)
