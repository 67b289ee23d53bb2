"""Addresses under the entry that Django answers: what is left on a key, what was used (``gateway.conventions``).

The relay sees them first because a key that is still served by its old gateway is forwarded there, money questions included.
"""

from collections.abc import MutableMapping
from functools import cache
from typing import Any, cast

from django.core.asgi import get_asgi_application

from gateway.relay.exchange import Exchange

PREFIXES = ("/v1/dashboard/billing/", "/v1/organization/", "/dashboard/billing/", "/api/usage/token", "/api/log/token")
# Under /v1 and, as OpenRouter has them, under /api/v1.
EXACT = frozenset({"/v1/key", "/v1/auth/key", "/v1/credits", "/v1/generation"})


def is_portals(path: str) -> bool:
    return path in EXACT or path.startswith(PREFIXES)


async def hand_over(exchange: Exchange) -> None:
    """Let Django answer; nothing of the request has been read yet but its head."""
    scope, receive, send = exchange.hand_over()
    more = exchange.extra

    async def send_on(message: MutableMapping[str, Any]) -> None:
        if more and message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    await _django()(scope, receive, send_on)


@cache
def _django() -> Any:
    return cast("Any", get_asgi_application())
