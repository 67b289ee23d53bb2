"""Single calls through the entry, each for one feature, and whether the answer shows it. Pure of the portal: an address, a key,
a name. Nothing of an answer is kept but its status, its times and who says to have answered.
"""

import base64
import binascii
import struct
import time
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import orjson

from gateway.contract.features import JSON, PLAIN, SIZE, STREAM, TOOLS, VISION

SECONDS = 60.0
DEFAULT_SIZE = "1024x1024"
Form = Literal["chat", "messages", "embeddings", "images", "moderations"]
PATHS: dict[Form, str] = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "embeddings": "/v1/embeddings",
    "images": "/v1/images/generations",
    "moderations": "/v1/moderations",
}
# What can be tried of each form; a feature that is not here has no call that would show it.
CAN: dict[Form, tuple[str, ...]] = {
    "chat": (PLAIN, STREAM, TOOLS, JSON, VISION),
    "messages": (PLAIN, STREAM, TOOLS, VISION),
    "embeddings": (PLAIN,),
    "images": (PLAIN, SIZE),
    "moderations": (PLAIN,),
}
ENDS = (b"[DONE]", b'"message_stop"')
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one transparent pixel
)
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass(frozen=True, slots=True)
class Trial:
    """``cause`` "" when the answer shows the feature; else refused, unreachable, timeout, not-json, not-streaming,
    stream-not-ended, no-tool-call, no-json-object, empty-answer, no-picture or wrong-size."""

    cause: str = ""
    status: int = 0
    error_code: str = ""
    request_id: str = ""
    answered_as: str = ""
    took_ms: int = 0
    # For pictures: what came, "width x height" as far as it can be read, and whether it can be fetched or decoded.
    size: str = ""
    has_file: bool = False


def try_feature(origin: str, clear: str, name: str, form: Form, feature: str, *, size: str = DEFAULT_SIZE) -> Trial:
    """One call. ``origin`` has no path."""
    body = body_of(name, form, feature, size)
    headers = {"Authorization": f"Bearer {clear}", "anthropic-version": "2023-06-01", "User-Agent": "access-check (proof)"}
    begun = time.monotonic()
    try:
        with httpx.Client(base_url=origin, headers=headers, timeout=httpx.Timeout(SECONDS, connect=10)) as client:
            if feature == STREAM:
                return _streamed(client, PATHS[form], body, begun)
            answer = client.post(PATHS[form], json=body)
            return _read(client, answer, form, feature, size if feature == SIZE else "", begun)
    except httpx.TimeoutException:
        return Trial("timeout", took_ms=_since(begun))
    except httpx.HTTPError:
        return Trial("unreachable", took_ms=_since(begun))


def body_of(name: str, form: Form, feature: str, size: str = DEFAULT_SIZE) -> dict[str, Any]:
    """The smallest request that needs the feature."""
    if form == "embeddings":
        return {"model": name, "input": "hello"}
    if form == "moderations":
        return {"model": name, "input": "hello"}
    if form == "images":
        sized = {"size": size} if feature == SIZE else {}
        return {"model": name, "prompt": "A red square on white.", "n": 1, **sized}
    content: Any = "Say hello."
    more: dict[str, Any] = {"stream": True} if feature == STREAM else {}
    if feature == TOOLS:
        content, more = "What is the weather in Jena? Use the tool.", _tools(form)
    elif feature == JSON:
        content, more = 'Answer with the JSON object {"answer": "yes"}.', {"response_format": {"type": "json_object"}}
    elif feature == VISION:
        content = [{"type": "text", "text": "What is in the picture? One word."}, _picture(form)]
    return {"model": name, "messages": [{"role": "user", "content": content}], "max_tokens": 64, **more}


def _tools(form: Form) -> dict[str, Any]:
    if form == "messages":
        tool = {"name": "weather", "description": "Weather of a city.", "input_schema": _SCHEMA}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": "weather"}}
    function = {"name": "weather", "description": "Weather of a city.", "parameters": _SCHEMA}
    choice = {"type": "function", "function": {"name": "weather"}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}


def _picture(form: Form) -> dict[str, Any]:
    if form == "messages":
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PIXEL}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}


def _read(client: httpx.Client, answer: httpx.Response, form: Form, feature: str, size: str, begun: float) -> Trial:
    found = _json(answer.content)
    facts: dict[str, Any] = {
        "status": answer.status_code,
        "request_id": answer.headers.get("x-request-id", "")[:64],
        "took_ms": _since(begun),
    }
    if answer.status_code != 200:
        return Trial("refused", error_code=code_of(found), **facts)
    if found is None:
        return Trial("not-json", **facts)
    facts["answered_as"] = str(found.get("model") or "")[:255]
    if form == "images":
        return _read_picture(client, found, size, facts)
    return Trial(_shown(found, form, feature), **facts)


def _shown(found: dict[str, Any], form: Form, feature: str) -> str:
    """ "" when the answer shows the feature, else the cause."""
    if form in ("embeddings", "moderations"):
        return "" if found.get("data") or found.get("results") else "empty-answer"
    if form == "messages":
        parts = [part for part in found.get("content") or [] if isinstance(part, dict)]
        has_call = any(part.get("type") == "tool_use" for part in parts)
        text = "".join(str(part.get("text") or "") for part in parts)
    else:
        choices = found.get("choices") or [{}]
        message = (choices[0] if isinstance(choices[0], dict) else {}).get("message") or {}
        has_call, text = bool(message.get("tool_calls")), str(message.get("content") or "")
    if feature == TOOLS:
        return "" if has_call else "no-tool-call"
    if feature == JSON:
        return "" if _json(text.encode()) is not None else "no-json-object"
    return "" if text else "empty-answer"


def _read_picture(client: httpx.Client, found: dict[str, Any], size: str, facts: dict[str, Any]) -> Trial:
    pictures = found.get("data")
    first = pictures[0] if isinstance(pictures, list) and pictures and isinstance(pictures[0], dict) else {}
    data = _file(client, first)
    if data is None:
        return Trial("no-picture", **facts)
    came = _measured(data) or str(found.get("size") or "")
    cause = "wrong-size" if size and came and came != size else ""
    return Trial(cause, size=came, has_file=True, **facts)


def _file(client: httpx.Client, picture: dict[str, Any]) -> bytes | None:
    """The picture itself, from the answer or from the address in it; None when there is none to be had."""
    if isinstance(picture.get("b64_json"), str):
        try:
            return base64.b64decode(picture["b64_json"], validate=True) or None
        except binascii.Error:
            return None
    address = picture.get("url")
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        return None
    # Without our key: what is fetched may lie with somebody else.
    answer = httpx.get(address, timeout=client.timeout, follow_redirects=True)
    return answer.content if answer.status_code == 200 and answer.content else None


def _measured(data: bytes) -> str:
    """Width and height of a PNG; "" for other kinds."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        return ""
    width, height = struct.unpack(">II", data[16:24])
    return f"{width}x{height}"


def _streamed(client: httpx.Client, path: str, body: dict[str, Any], begun: float) -> Trial:
    rest, events, ended, model = b"", 0, False, ""
    with client.stream("POST", path, json=body) as answer:
        request_id = answer.headers.get("x-request-id", "")[:64]
        if answer.status_code != 200:
            code = code_of(_json(answer.read()))
            return Trial("refused", answer.status_code, code, request_id, took_ms=_since(begun))
        is_stream = "event-stream" in answer.headers.get("content-type", "")
        for part in answer.iter_raw():
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    events += 1
                    ended = ended or any(marker in line for marker in ENDS)
                    model = model or _model_in(line)
            if time.monotonic() - begun > SECONDS:
                break
    cause = "not-streaming" if not is_stream or not events else "" if ended else "stream-not-ended"
    return Trial(cause, 200, "", request_id, model[:255], _since(begun))


def _model_in(line: bytes) -> str:
    found = _json(line[5:].strip()) or {}
    message = found.get("message")
    return str(found.get("model") or (message.get("model") if isinstance(message, dict) else "") or "")


def code_of(found: dict[str, Any] | None) -> str:
    """The stable code of an error body in OpenAI's or Anthropic's shape."""
    error = (found or {}).get("error")
    return str(error.get("code") or error.get("type") or "")[:64] if isinstance(error, dict) else ""


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
