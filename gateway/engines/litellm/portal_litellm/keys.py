"""The copy of keys, names and models that the proxy decides by before it asks the portal."""

import ipaddress
import json
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is refused without asking: HTTP status, stable code, words."""

    status: int
    code: str
    message: str


INVALID_KEY = Refusal(401, "invalid_api_key", "This API key is not accepted. Check it, or issue a new one in the portal.")
MISSING_KEY = Refusal(401, "missing_api_key", "No API key was sent. Send it as 'Authorization: Bearer <key>'.")
NOT_FOUND = Refusal(404, "not_found", "There is nothing at this address. See the portal for what can be called.")
UNAVAILABLE = Refusal(503, "service_unavailable", "The service cannot take calls at the moment. Try again shortly.")
STATUSES = {
    "revoked": INVALID_KEY,
    "disabled": Refusal(401, "api_key_disabled", "This API key is disabled. Enable it in the portal, or use another one."),
    "paused": Refusal(403, "key_paused", "This API key is paused. Look at it and resume it in the portal."),
    "account_disabled": Refusal(
        403, "account_disabled", "The account behind this API key is not active. Ask your administrator."
    ),
}
EXPIRED = Refusal(401, "api_key_expired", "This API key has expired. Issue a new one in the portal.")
ELSEWHERE = Refusal(403, "served_elsewhere", "This API key is not served at this address yet. Call the one it was issued for.")
CLOSED = Refusal(403, "key_closed", "This API key is closed at this address. Ask your administrator where to call now.")
NETWORK = Refusal(403, "network_not_allowed", "This API key may not be used from your network.")
PINNED = Refusal(403, "channel_pin_not_allowed", "This API key has a suffix after '-'. Send the key without it.")


@dataclass(slots=True)
class Copy:
    """``heard_at`` are wall-clock seconds of the last word of the portal about keys."""

    rows: dict[str, Row] = field(default_factory=dict)
    by_key: dict[int, set[str]] = field(default_factory=dict)
    cursor: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    heard_at: float = 0.0
    _names: dict[str, str | None] = field(default_factory=dict)
    _models: dict[str, Row] = field(default_factory=dict)

    def take_page(self, page: dict[str, Any]) -> None:
        """Apply one page of the key feed."""
        if page["is_reset"]:
            self.rows, self.by_key = {}, {}
        changed = {row["key_id"] for row in page["rows"]} | set(page["gone"])
        # A page names all secrets of a key, so the ones it does not name are gone.
        for key_id in changed:
            for digest in self.by_key.pop(key_id, ()):
                self.rows.pop(digest, None)
        for row in page["rows"]:
            self.rows[row["key_hash"]] = row
            self.by_key.setdefault(row["key_id"], set()).add(row["key_hash"])
        self.cursor = page["cursor"]
        if not page["has_more"]:
            self.heard_at = time.time()

    def take_config(self, document: dict[str, Any]) -> None:
        self.config = document
        self._models = {model["public_name"]: model for model in document["models"]}
        self._names = {entry["name"]: entry["model"] for entry in document["names"]}

    @property
    def version(self) -> str:
        return str(self.config.get("version", ""))

    @property
    def is_stale(self) -> bool:
        limit = self.config.get("settings", {}).get("max_stale_seconds", 900)
        return time.time() - self.heard_at > limit

    def find(self, digests: list[str]) -> Row | None:
        return next((self.rows[digest] for digest in digests if digest in self.rows), None)

    def model_of(self, name: str) -> str | None:
        """The model that a name stands for; None when there is none."""
        called = self._names.get(name, name)
        return called if called in self._models else None

    def may_call(self, row: Row, name: str) -> bool:
        """As far as it can be known here whether the key may call the name; the portal has the last word."""
        model = self.model_of(name)
        if model is None:
            return False
        if row["models"] is not None and name not in row["models"] and model not in row["models"]:
            return False
        groups = self._models[model]["groups"]
        return "*" in groups or any(code in groups for code in row["groups"])

    def rows_of(self, key_id: int) -> list[Row]:
        """What is known of each secret of a key."""
        return [self.rows[digest] for digest in sorted(self.by_key.get(key_id, ()))]

    def save(self, path: Path) -> None:
        """Keep it for a start without the portal. It holds digests, never a key."""
        fresh = path.with_suffix(".new")
        kept = {"rows": list(self.rows.values()), "cursor": self.cursor, "config": self.config, "heard_at": self.heard_at}
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept, file)
        fresh.replace(path)

    def load(self, path: Path) -> None:
        """What was saved, if it can be read."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            rows, config = kept["rows"], kept["config"]
            self.take_page({"rows": rows, "gone": [], "is_reset": True, "cursor": kept["cursor"], "has_more": True})
            self.heard_at = float(kept["heard_at"])
            if config:
                self.take_config(config)
        except (OSError, ValueError, KeyError, TypeError):
            return


def refusal_of(row: Row, address: str, *, has_pin: bool = False) -> Refusal | None:
    """What is wrong with the key or the place it is used from, whatever is called."""
    if row["status"] in STATUSES:
        return STATUSES[row["status"]]
    if row["expires_at"] and datetime.fromisoformat(row["expires_at"]) <= datetime.now(UTC):
        return EXPIRED
    if row["networks"] and not _inside(address, row["networks"]):
        return NETWORK
    if row["route"] == "closed":
        return CLOSED
    if row["route"] == "old":
        return ELSEWHERE
    return PINNED if has_pin else None


def model_refusal(copy: Copy, row: Row, name: str) -> Refusal | None:
    """Refuse what the portal would certainly refuse."""
    if not name:
        return Refusal(400, "model_required", "The request names no model. Set 'model' to one of GET /v1/models.")
    if copy.model_of(name) is None:
        return Refusal(404, "model_not_found", f"The model '{name[:64]}' does not exist here. GET /v1/models lists what does.")
    if not copy.may_call(row, name):
        return Refusal(403, "model_not_allowed_for_key", f"This API key may not call the model '{name[:64]}'.")
    return None


def _inside(address: str, networks: list[str]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)
