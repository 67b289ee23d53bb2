"""The portal's pages with their static files, for a server process of the browser tests (production serves collected files)."""

import os
from typing import Any

os.environ.setdefault("DATABASE_POOL", "1")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402

pages: Any = ASGIStaticFilesHandler(get_asgi_application())


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Pages have nothing to start or end, and Django does not know how to say so."""
    if scope["type"] != "lifespan":
        await pages(scope, receive, send)
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
