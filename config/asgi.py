"""One ASGI application for the whole address space: the unified entry goes to the relay, everything else to Django."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Here every request runs in a thread of its own, so connections are shared through a pool instead of kept by threads.
os.environ.setdefault("DATABASE_POOL", "1")

from django.core.asgi import get_asgi_application  # noqa: E402

from config.http_server.request import Application, Receive, Scope, Send  # noqa: E402

# The last ones are answered by the portal, but a key that is still at home with an old gateway is forwarded there.
ENTRY_PREFIXES = ("/v1/", "/api/v1/", "/dashboard/billing/", "/api/usage/token", "/api/log/token")

_django = cast("Application", get_asgi_application())


def _relay() -> Application:
    # Imported at first use: its modules need Django to be set up.
    from gateway.relay.app import application as relay

    return relay


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan events go to the relay alone: Django has nothing to start or end."""
    if scope["type"] == "lifespan" or _is_entry(scope):
        await _relay()(scope, receive, send)
    else:
        await _django(scope, receive, send)


def _is_entry(scope: Scope) -> bool:
    # A base URL that ends in a slash makes addresses that begin with two.
    return scope["type"] in {"http", "websocket"} and f"/{scope['path'].lstrip('/')}".startswith(ENTRY_PREFIXES)
