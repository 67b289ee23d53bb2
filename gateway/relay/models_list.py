"""The answers of ``GET /v1/models`` and ``GET /v1/models/{id}``, in OpenAI's shape or in Anthropic's."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.contract.types import ModelView


def answer_models(models: Sequence[tuple[str, ModelView]], wanted: str, *, for_anthropic: bool = False) -> bytes | None:
    """The list, or the one model named ``wanted``; None for one this key may not call."""
    shape: Callable[[str, ModelView], dict[str, Any]] = _for_anthropic if for_anthropic else _for_openai
    if wanted:
        return next((orjson.dumps(shape(name, model)) for name, model in models if name == wanted), None)
    data = [shape(name, model) for name, model in models]
    if not for_anthropic:
        return orjson.dumps({"object": "list", "data": data})
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"data": data, "has_more": False, **ends})


def _for_openai(name: str, model: ModelView) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": model.created_at, "owned_by": "portal"}


def _for_anthropic(name: str, model: ModelView) -> dict[str, Any]:
    made = datetime.fromtimestamp(model.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": made}
