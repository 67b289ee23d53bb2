"""Which features of a model a request uses: what a name map has to carry over. Pure; nothing of the text is looked at."""

from typing import Any

from gateway.contract.endpoints import Kind

PLAIN, STREAM, TOOLS, JSON, VISION, SIZE = "plain", "stream", "tools", "json", "vision", "size"
FEATURES = (PLAIN, STREAM, TOOLS, JSON, VISION, SIZE)
# Every name is proven with a plain call; these only where they are in use.
OPTIONAL = FEATURES[1:]
# A tuple, because what a client sends there may be anything.
_PICTURES = ("image_url", "input_image", "image")
# Looked at from the newest turn backwards, so that a long conversation costs no more than a short one.
MOST_TURNS = 20


def features_of(body: dict[str, Any], kind: Kind | None, *, is_stream: bool) -> list[str]:
    """Features beyond a plain call; ``kind`` None: an address that is only passed on."""
    found = [STREAM] if is_stream else []
    if kind == "images":
        return [*found, SIZE] if isinstance(body.get("size"), str) else found
    if body.get("tools") or body.get("functions"):
        found.append(TOOLS)
    wanted, text = body.get("response_format"), body.get("text")
    if (wanted and _wants_json(wanted)) or (text and _wants_json(_inside(text, "format"))):
        found.append(JSON)
    turns = body.get("messages") or body.get("input")
    if isinstance(turns, list) and _has_picture(turns[: -MOST_TURNS - 1 : -1]):
        found.append(VISION)
    return found


def _wants_json(wanted: object) -> bool:
    return _inside(wanted, "type") in ("json_object", "json_schema")


def _inside(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _has_picture(turns: list[Any]) -> bool:
    for turn in turns:
        content = turn.get("content") if isinstance(turn, dict) else None
        if isinstance(content, list) and any(_inside(part, "type") in _PICTURES for part in content):
            return True
    return False
