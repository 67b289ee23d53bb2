"""Lets ``manage.py`` in a second terminal talk to the stack that ``make up`` has running, without copying addresses about.

The word that is left is a file that only its owner can read; it is taken back when the stack ends. Where DATABASE_URL is
set, as in production, nothing is adopted.
"""

import json
import os
from pathlib import Path

from config.stack import places

_NAME = "running.json"
# Settings that make a command talk to the running stack.
_SHARED = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "KEY_PEPPERS",
    "FIELD_KEYS",
    "DEMO",
    "PUBLIC_URL",
    "EMAIL_HOST",
    "EMAIL_PORT",
    "STATIC_COMPRESSION",
    "DEMO_UPSTREAM_URL",
    "DEMO_OLD_GATEWAY_URL",
)


def leave_word(home: Path, env: dict[str, str]) -> None:
    said = {name: env[name] for name in _SHARED if name in env}
    places.write_private(home / _NAME, json.dumps({"pid": os.getpid(), "env": said}))


def take_back_word(home: Path) -> None:
    (home / _NAME).unlink(missing_ok=True)


def adopt_running_stack(checkout: Path = places.CHECKOUT) -> bool:
    """Fill in what the environment does not set from the stack that runs here; False when none does."""
    if os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"):
        return False
    try:
        word = json.loads((checkout / ".portal" / _NAME).read_text(encoding="utf-8"))
        os.kill(word["pid"], 0)
    except (OSError, ValueError, KeyError):
        return False
    for name, value in word["env"].items():
        os.environ.setdefault(name, value)
    return True
