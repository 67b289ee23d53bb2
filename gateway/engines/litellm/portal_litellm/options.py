"""Settings of the adapter, all from the environment of the proxy's process."""

import hashlib
import hmac
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """``peppers``: the portal's KEY_PEPPERS, newest first; without them no presented key can be recognised."""

    url: str
    token: str = field(repr=False)
    peppers: tuple[bytes, ...] = field(repr=False)
    folder: Path
    instance: str
    timeout_seconds: float = 10.0
    # Behind a proxy of ours the last word of X-Forwarded-For is the client's address.
    is_behind_proxy: bool = False
    # Calls are served from lent money; else each is asked for.
    lends: bool = False

    def digests_of(self, presented: str) -> list[str]:
        """What the key feed calls this key, under each pepper; empty for what cannot be a key."""
        bare = presented.strip().removeprefix("sk-").partition("-")[0]
        if not bare or len(bare) > 128:
            return []
        return [hmac.new(pepper, bare.encode(), hashlib.sha256).hexdigest() for pepper in self.peppers]


def from_environment() -> Options:
    """Raises ValueError naming what is missing."""
    pairs = [pair.strip().partition(":") for pair in secret("PORTAL_KEY_PEPPERS").split(",") if pair.strip()]
    if any(not number.isdigit() or len(pepper) < 32 for number, _, pepper in pairs):
        raise ValueError("PORTAL_KEY_PEPPERS must be number:secret pairs, as the portal's KEY_PEPPERS")
    money = os.environ.get("PORTAL_MONEY", "holds")
    if money not in ("holds", "leases"):
        raise ValueError("PORTAL_MONEY is holds or leases")
    newest_first = sorted(pairs, key=lambda pair: int(pair[0]), reverse=True)
    return Options(
        url=required("PORTAL_URL").rstrip("/"),
        token=secret("PORTAL_TOKEN"),
        peppers=tuple(pepper.encode() for _, _, pepper in newest_first),
        folder=Path(required("PORTAL_SPOOL_DIR")),
        instance=(os.environ.get("PORTAL_INSTANCE") or socket.gethostname())[:100],
        timeout_seconds=float(os.environ.get("PORTAL_TIMEOUT_SECONDS", "10")),
        lends=money == "leases",
        is_behind_proxy=os.environ.get("PORTAL_BEHIND_PROXY", "") in ("1", "true", "yes"),
    )


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(f"{name} is not set")
    return value


def secret(name: str) -> str:
    """The variable, or the content of the file that <name>_FILE names."""
    path = os.environ.get(f"{name}_FILE", "")
    return Path(path).read_text(encoding="utf-8").strip() if path else required(name)
