"""The answers of ``GET /v1/models`` and ``GET /v1/models/{id}``."""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.contract import denials
from gateway.contract.resolve import clean_name
from gateway.contract.types import ModelView
from gateway.relay.exchange import error_body


def answer_models(models: Sequence[tuple[str, ModelView]], wanted: str) -> tuple[int, bytes]:
    """(status, body): the list, or the one model named ``wanted``; 404 for one this key may not call."""
    if not wanted:
        return 200, orjson.dumps({"object": "list", "data": [_as_json(name, model) for name, model in models]})
    for name, model in models:
        if name == wanted:
            return 200, orjson.dumps(_as_json(name, model))
    return 404, error_body(denials.model_not_found(clean_name(wanted)), "model")


def _as_json(name: str, model: ModelView) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": model.created_at, "owned_by": "portal"}
