"""Every write to the catalogue. Callers pass a name for the trail, because people are unknown on this floor."""

from models_catalog.services.ai_models import (
    ModelFigures,
    add_access,
    create_model,
    ensure_models,
    set_access,
    update_model,
)
from models_catalog.services.name_map import NameChange, publish_name_map
from models_catalog.services.upstreams import (
    create_provider,
    create_upstream,
    describe_target,
    ensure_provider,
    fill_in_target,
    serve_model,
    serve_models,
    set_credential,
    set_upstream_state,
    update_provider,
    update_upstream,
)

__all__ = [
    "ModelFigures",
    "NameChange",
    "add_access",
    "create_model",
    "create_provider",
    "create_upstream",
    "describe_target",
    "ensure_models",
    "ensure_provider",
    "fill_in_target",
    "publish_name_map",
    "serve_model",
    "serve_models",
    "set_access",
    "set_credential",
    "set_upstream_state",
    "update_model",
    "update_provider",
    "update_upstream",
]
