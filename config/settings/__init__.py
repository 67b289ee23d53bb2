"""Production settings. Order: base, security, auth, celery, api, logging; tests use ``config.settings.test``."""

from config.settings.base import *  # noqa: F403
from config.settings.security import *  # noqa: F403
from config.settings.auth import *  # noqa: F403
from config.settings.celery import *  # noqa: F403
from config.settings.admin import *  # noqa: F403
from config.settings.api import *  # noqa: F403
from config.settings.logging import *  # noqa: F403
