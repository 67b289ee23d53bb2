"""Puts the portal's models and channels into LiteLLM's router."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import litellm
from litellm.proxy import proxy_server
from litellm.types.router import Deployment

logger = logging.getLogger("portal_litellm")

PREFIX = "portal-"
PROVIDERS = {"openai": "openai", "anthropic": "anthropic"}
MODES = {
    "embedding": "embedding",
    "image": "image_generation",
    "moderation": "moderation",
    "rerank": "rerank",
}


async def install(document: dict[str, Any], secret: Callable[[str | None], Awaitable[str]]) -> None:
    """Add and change what the document names, take out what it no longer names. Deployments of others stay."""
    wanted = await _deployments(document, secret)
    router = proxy_server.llm_router
    if router is None:
        if not wanted:
            return
        # LiteLLM makes no router for a configuration without models.
        first = next(iter(wanted.values()))
        router = litellm.Router(model_list=[first.to_json(exclude_none=True)], num_retries=0)
        proxy_server.llm_router = router
    for deployment in wanted.values():
        router.upsert_deployment(deployment)
    for known in list(router.get_model_ids()):
        if str(known).startswith(PREFIX) and known not in wanted:
            router.delete_deployment(id=known)


async def _deployments(document: dict[str, Any], secret: Callable[[str | None], Awaitable[str]]) -> dict[str, Deployment]:
    credentials: dict[str | None, str] = {}
    found = {}
    for model in document["models"]:
        for channel in model["channels"]:
            provider = PROVIDERS.get(channel["protocol"])
            if provider is None:
                logger.warning("Channel %s speaks %s, which is not served here", channel["id"], channel["protocol"])
                continue
            ref = channel["secret_ref"]
            if ref not in credentials:
                credentials[ref] = await secret(ref)
            made = _deployment(model, channel, provider, credentials[ref])
            found[made.model_info.id or ""] = made
    return found


def _deployment(model: dict[str, Any], channel: dict[str, Any], provider: str, credential: str) -> Deployment:
    base = channel["base_url"]
    params: dict[str, Any] = {
        "model": f"{provider}/{channel['upstream_model']}",
        "api_base": f"{base}/v1" if provider == "openai" else base,
        "api_key": credential or "none",
        "timeout": channel["timeout_seconds"],
        "weight": max(1, channel["weight"]),
        # The lower number is tried first.
        "order": 1_000_000 - channel["priority"],
        "max_retries": 0,
    }
    info: dict[str, Any] = {"id": f"{PREFIX}{channel['id']}-{model['public_name']}", "portal_channel": channel["id"]}
    mode = MODES.get(model["modality"])
    if mode:
        info["mode"] = mode
    return Deployment(model_name=model["public_name"], litellm_params=params, model_info=info)


def channel_of(model_id: object) -> int:
    """The channel inside a deployment's id, 0 for one that is not ours."""
    number = str(model_id or "").removeprefix(PREFIX).partition("-")[0]
    return int(number) if str(model_id or "").startswith(PREFIX) and number.isdecimal() else 0
