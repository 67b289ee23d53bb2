"""Usage events as data planes send them, read strictly: what is not known here is refused, so that no figure is lost."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

OUTCOMES = (
    "ok",
    "client_abort",
    "upstream_error_before_output",
    "upstream_error_after_output",
    "timeout_before_output",
    "timeout_after_output",
    "refused_local",
    "not_dispatched",
    # The data plane was killed and does not know how the call ended.
    "unknown",
)
SOURCES = ("upstream", "counted", "none")
COUNTS = (
    "input", "output", "cached", "cache_write", "cache_write_1h", "reasoning", "audio_in", "audio_out", "image_in", "image_out",
    "images", "characters", "media_ms",
)  # fmt: skip
USAGE_FIELDS = frozenset({*COUNTS, "image_size", "image_quality"})
FIELDS = frozenset(
    {
        "event_id", "request_id", "attempt", "is_final", "reservation_id", "lease_id", "key_id", "endpoint", "model_requested",
        "model_served", "channel_id", "started_at", "first_token_at", "ended_at", "outcome", "http_status", "error_class",
        "usage", "usage_source", "delivered", "price_id", "dp_cost_nano", "upstream_request_id", "promised_nano",
    }
)  # fmt: skip
MOST = 1_000_000_000
MOST_NANO = 10**15
# An id made up to so long ago is still taken; older calls cannot be in the log's partitions.
OLDEST = timedelta(days=35)
NEWEST = timedelta(minutes=5)
_CODE = re.compile(r"[^a-z0-9_]+")


class BadEvent(ValueError):
    """Why an event cannot be taken: a stable word, and the field."""

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(f"{reason}:{name}" if name else reason)


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt of a call, or its end. ``usage`` None: nothing is known of it."""

    event_id: str
    fingerprint: bytes
    request_id: UUID
    attempt: int
    is_final: bool
    outcome: str
    lease_id: UUID | None = None
    promised_nano: int = 0
    key_id: int | None = None
    endpoint: str = ""
    model_requested: str = ""
    model_served: str = ""
    channel_id: int = 0
    duration_ms: int = 0
    first_token_ms: int | None = None
    http_status: int = 0
    error_class: str = ""
    usage: Mapping[str, Any] | None = None
    usage_source: str = "none"
    delivered_bytes: int = 0
    delivered_chunks: int = 0
    price_id: int | None = None
    dp_cost_nano: int = 0
    upstream_request_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_event(raw: object, moment: datetime) -> Event:
    """The event inside a JSON value; raises BadEvent."""
    if not isinstance(raw, dict):
        raise BadEvent("malformed")
    unknown = sorted(set(raw) - FIELDS)
    if unknown:
        raise BadEvent("unknown_field", _shown(unknown[0]))
    event_id = _text(raw, "event_id", 128)
    if not event_id:
        raise BadEvent("missing", "event_id")
    outcome = _one_of(raw, "outcome", OUTCOMES)
    request_id = _request_id(raw, moment)
    is_final = raw.get("is_final", True)
    if not isinstance(is_final, bool) or (not is_final and outcome == "ok"):
        raise BadEvent("invalid", "is_final")
    if raw.get("reservation_id") not in (None, "", raw.get("request_id")):
        raise BadEvent("invalid", "reservation_id")
    started, first, ended = (_moment(raw, name) for name in ("started_at", "first_token_at", "ended_at"))
    return Event(
        event_id=event_id,
        fingerprint=hashlib.blake2b(orjson.dumps(raw, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        request_id=request_id,
        attempt=_count(raw, "attempt", 1000) or 1,
        is_final=is_final,
        outcome=outcome,
        lease_id=_lease_id(raw),
        promised_nano=_count(raw, "promised_nano", MOST_NANO) or 0,
        key_id=_count(raw, "key_id", 2**62),
        endpoint=_text(raw, "endpoint", 64),
        model_requested=_text(raw, "model_requested", 255),
        model_served=_text(raw, "model_served", 255),
        channel_id=_count(raw, "channel_id", 2**62) or 0,
        duration_ms=_between(started, ended),
        first_token_ms=None if first is None or started is None else _between(started, first),
        http_status=_count(raw, "http_status", 999) or 0,
        error_class=_CODE.sub("_", _text(raw, "error_class", 64).lower()).strip("_"),
        usage=_usage(raw),
        usage_source=_one_of(raw, "usage_source", SOURCES, "none"),
        delivered_bytes=_delivered(raw, "bytes"),
        delivered_chunks=_delivered(raw, "chunks"),
        price_id=_count(raw, "price_id", 2**62),
        dp_cost_nano=_count(raw, "dp_cost_nano", MOST_NANO) or 0,
        upstream_request_id=_text(raw, "upstream_request_id", 128),
    )


def _request_id(raw: dict[str, Any], moment: datetime) -> UUID:
    try:
        found = UUID(_text(raw, "request_id", 64))
    except ValueError:
        raise BadEvent("invalid", "request_id") from None
    if found.version != 7 or not -OLDEST.total_seconds() <= seconds_off(found, moment) <= NEWEST.total_seconds():
        raise BadEvent("invalid", "request_id")
    return found


def seconds_off(request_id: UUID, moment: datetime) -> float:
    """The time inside an id minus ``moment``. The id may name a year that no calendar here has."""
    return (request_id.int >> 80) / 1000 - moment.timestamp()


def _lease_id(raw: dict[str, Any]) -> UUID | None:
    text = _text(raw, "lease_id", 64)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise BadEvent("invalid", "lease_id") from None


def _usage(raw: dict[str, Any]) -> dict[str, Any] | None:
    usage = raw.get("usage")
    if usage is None:
        return None
    if not isinstance(usage, dict):
        raise BadEvent("invalid", "usage")
    unknown = sorted(set(usage) - USAGE_FIELDS)
    if unknown:
        raise BadEvent("unknown_field", f"usage.{_shown(unknown[0])}")
    counts: dict[str, Any] = {name: _count(usage, name, MOST, "usage.") or 0 for name in COUNTS}
    return {**counts, "image_size": _text(usage, "image_size", 32), "image_quality": _text(usage, "image_quality", 16)}


def _delivered(raw: dict[str, Any], name: str) -> int:
    value = raw.get("delivered")
    if value is None:
        return 0
    if not isinstance(value, dict) or set(value) - {"bytes", "chunks"}:
        raise BadEvent("invalid", "delivered")
    return _count(value, name, 2**40, "delivered.") or 0


def _count(values: dict[str, Any], name: str, most: int, inside: str = "") -> int | None:
    """A whole number, None when it is not there. Numbers with a point have lost their exactness before they came."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise BadEvent("invalid", inside + name)
    return value


def _text(values: dict[str, Any], name: str, most: int) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise BadEvent("invalid", name)
    return value


def _one_of(values: dict[str, Any], name: str, allowed: tuple[str, ...], default: str = "") -> str:
    value = values.get(name, default)
    if not isinstance(value, str) or value not in allowed:
        raise BadEvent("invalid", name)
    return value


def _moment(values: dict[str, Any], name: str) -> datetime | None:
    text = _text(values, name, 40)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadEvent("invalid", name) from None
    if found.tzinfo is None:
        raise BadEvent("invalid", name)
    return found


def _between(first: datetime | None, second: datetime | None) -> int:
    if first is None or second is None:
        return 0
    return min(max(0, round((second - first).total_seconds() * 1000)), 2**31 - 1)


def _shown(name: object) -> str:
    return _CODE.sub("_", str(name).lower())[:32]
