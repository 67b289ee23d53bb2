"""The portal's pages with their static files, for a server process of the browser tests (production serves collected files)."""

import os

os.environ.setdefault("DATABASE_POOL", "1")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402

application = ASGIStaticFilesHandler(get_asgi_application())
