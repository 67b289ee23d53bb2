"""Secrets and demo passwords, made at the first start and kept in ``.portal/secrets.json`` (mode 600) for the next."""

import json
import secrets
import string
from pathlib import Path

from config.stack import places

# The person's name is the login; "demo" is the user who has a balance and a key.
DEMO_LOGINS = ("admin", "ops", "support", "finance", "demo")
_NAME = "secrets.json"
_READABLE = string.ascii_lowercase.translate(str.maketrans("", "", "lo")) + "23456789"


def load(home: Path) -> dict[str, str]:
    """The secrets of this checkout; missing ones are made, those that exist never change."""
    path = home / _NAME
    try:
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        kept = {}
    except ValueError:
        raise places.PlaceError(f"{path} cannot be read; without it, keys and credentials in the database are lost") from None
    fresh = {name: value for name, value in _new().items() if name not in kept}
    if fresh:
        kept |= fresh
        places.write_private(path, json.dumps(kept, indent=1))
    return kept


def remember(home: Path, name: str, value: str) -> None:
    """Keep one more value, or another one under its name."""
    places.write_private(home / _NAME, json.dumps(load(home) | {name: value}, indent=1))


def settings_in(kept: dict[str, str]) -> dict[str, str]:
    return {name: kept[name] for name in ("SECRET_KEY", "KEY_PEPPERS", "FIELD_KEYS")}


def passwords_in(kept: dict[str, str]) -> dict[str, str]:
    """Login name to password of the demo people."""
    return {name: kept[f"password:{name}"] for name in DEMO_LOGINS}


def _new() -> dict[str, str]:
    made = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "KEY_PEPPERS": f"1:{secrets.token_urlsafe(48)}",
        "FIELD_KEYS": secrets.token_urlsafe(48),
    }
    return made | {f"password:{name}": _readable_password() for name in DEMO_LOGINS}


def _readable_password() -> str:
    """Four groups of four (79 bits), easy to type from a terminal."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))
