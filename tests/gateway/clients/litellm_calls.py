"""Makes the calls it is told with litellm as a client library: a line of standard input is a list of calls, a line of its
output what came of each."""

import io
import json
import sys
from typing import Any

import httpx
import litellm

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
seen: dict[str, Any] = {}


def note(response: httpx.Response) -> None:
    seen["tries"] = seen.get("tries", 0) + 1
    seen["request_id"] = response.headers.get("x-request-id")
    if response.status_code >= 400:
        response.read()
        seen["wire"] = response.status_code
        seen["code"] = response.json()["error"].get("code")
        # Whether it tries again is what is asked, not how long it waits before that.
        response.headers["retry-after-ms"] = "1"


def ask(call: dict[str, Any], content: Any = None, **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{call['model']}",
        messages=[{"role": "user", "content": content or call["text"]}],
        api_base=call["base"],
        api_key=call["key"],
        max_retries=call.get("retries", 0),
        max_tokens=90,
        **more,
    )


def made(call: dict[str, Any]) -> str:
    match call["kind"]:
        case "chat":
            return ask(call).choices[0].message.content
        case "stream":
            return "".join(chunk.choices[0].delta.content or "" for chunk in ask(call, stream=True))
        case "tools":
            return ask(call, tools=[TOOL]).choices[0].message.tool_calls[0].function.name
        case "look":
            return ask(call, [PICTURE, {"type": "text", "text": call["text"]}]).choices[0].message.content
        case "picture":
            made = litellm.image_generation(
                model=f"openai/{call['model']}", prompt=call["text"], n=2, api_base=call["base"], api_key=call["key"]
            )
            return str(len(made.data))
        case "embed":
            found = litellm.embedding(
                model=f"openai/{call['model']}", input=[call["text"]], api_base=call["base"], api_key=call["key"],
                encoding_format="float",
            )  # fmt: skip
            return str(len(found.data[0]["embedding"]))
        case "toolstream":
            chunks = list(ask(call, tools=[TOOL], stream=True))
            return "".join(one.function.name or "" for chunk in chunks for one in chunk.choices[0].delta.tool_calls or [])
        case "edit":
            image = io.BytesIO(b"\x89PNG" + b"p" * 5000)
            image.name = "a.png"
            edited = litellm.image_edit(
                model=f"openai/{call['model']}", prompt=call["text"], image=image, api_base=call["base"], api_key=call["key"]
            )
            return str(len(edited.data))
        case "speech":
            sound = litellm.speech(
                model=f"openai/{call['model']}", voice="alloy", input=call["text"], api_base=call["base"], api_key=call["key"]
            )
            return sound.content[:4].decode()
        case "hear":
            heard = io.BytesIO(b"s" * 5000)
            heard.name = "a.wav"
            return litellm.transcription(
                model=f"openai/{call['model']}", file=heard, api_base=call["base"], api_key=call["key"]
            ).text
        case "responses":
            stream = litellm.responses(
                model=f"openai/{call['model']}", input=call["text"], stream=True, max_output_tokens=90,
                api_base=call["base"], api_key=call["key"],
            )  # fmt: skip
            return "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    raise ValueError(call["kind"])


litellm.suppress_debug_info = True
litellm.client_session = httpx.Client(event_hooks={"response": [note]})
for line in sys.stdin:
    results = []
    for one in json.loads(line):
        seen.clear()
        try:
            seen["text"] = made(one)
        except Exception as error:
            seen |= {"status": getattr(error, "status_code", None), "error": type(error).__name__}
            seen.setdefault("message", str(error)[:300])
        results.append(dict(seen))
    print(json.dumps(results), flush=True)
