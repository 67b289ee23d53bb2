"""Creative tasks as values: what a request asks for, what a provider says of a video, how one ends and what clients read of it.

Used by the relay, which serves them, and by the worker that asks after those that nobody asks after. No database here.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from billing.outcome_rules import HOUSE_RULES, Ending, settle
from billing.pricing import NoPrice, Price, RuleFigures, Usage, usage_columns
from billing.pricing.figures import video_key
from billing.services.ledger import CallEvent
from config.foundation.outcomes import Outcome
from config.foundation.redaction import mask
from gateway.contract.usage import ESTIMATED, REPORTED, milliseconds
from models_catalog.parameters import Wanted, default_of, number_of

OPEN = frozenset({"submitted", "queued", "in_progress", "unknown"})
COMPLETED, FAILED, UNKNOWN = "completed", "failed", "unknown"
# The words of OpenAI and of the usual providers that speak its way, in ours.
STATES = {
    "queued": "queued",
    "pending": "queued",
    "submitted": "queued",
    "in_progress": "in_progress",
    "processing": "in_progress",
    "running": "in_progress",
    "completed": COMPLETED,
    "succeeded": COMPLETED,
    "failed": FAILED,
    "error": FAILED,
    "cancelled": FAILED,
    "canceled": FAILED,
    "expired": FAILED,
}
LENGTHS, SIZES = ("seconds", "duration"), ("size", "resolution")
OWN_FIELDS = frozenset({"callback_url", "template"})
# Held for a video whose length nobody names.
USUAL_SECONDS = 12
MOST_SECONDS = 3600
# A text that says a larger number is kept as a text.
MOST_NUMBER = 10**15
VARIANTS = ("video", "thumbnail", "spritesheet")
# Fields whose words come from lists; a word of any other field may be a text, and only its length is kept.
WORDS = frozenset(
    {
        "size", "resolution", "aspect_ratio", "ratio", "quality", "style", "background", "output_format", "response_format",
        "format", "moderation", "mode", "variant", "seconds", "duration", "fps", "audio", "input_fidelity", "complexity",
    }
)  # fmt: skip
MOST_WORD = 40
MOST_FIELDS = 60
# A provider's words may quote the prompt or say where they come from: neither is kept.
_QUOTED = re.compile(r"""["“'`][^"”'`]{16,}["”'`]""")
_ADDRESS = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]*://\S+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|cn|dev|cloud|app|local|internal)\b\S*"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a provider says of a video. ``doubt``: why that says nothing for certain; the money stays held then."""

    state: str
    progress: int = 0
    video_ms: int | None = None
    size: str = ""
    failure_code: str = ""
    failure_reason: str = ""
    expires_at: datetime | None = None
    served_model: str = ""
    doubt: str = ""
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class TaskView:
    """A row of the task history, as far as serving and ending a task needs it."""

    id: UUID
    kind: str
    state: str
    user_id: int | None
    team_id: int | None
    key_id: int | None
    key_name: str
    key_tail: str
    group_code: str
    endpoint: str
    asked_model: str
    billed_model: str
    served_model: str
    upstream_id: int | None
    upstream_name: str
    upstream_task_id: str
    parameters: dict[str, Any]
    price_version_id: int | None
    price_multiplier: str
    held_nano: int
    progress: int
    delivered_ms: int
    delivered_size: str
    created_at: datetime
    finished_at: datetime | None
    failure_code: str
    failure_reason: str
    assets_expire_at: datetime | None
    deleted_at: datetime | None
    checked_at: datetime | None
    failed_checks: int

    @property
    def public_id(self) -> str:
        return f"{self.kind}_{self.id.hex}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


COLUMNS = ", ".join(TaskView.__dataclass_fields__)


def view_from_row(row: tuple[Any, ...]) -> TaskView:
    """A row of ``SELECT COLUMNS``; JSON columns may come as text."""
    named = dict(zip(TaskView.__dataclass_fields__, row, strict=True))
    if isinstance(named["parameters"], str):
        named["parameters"] = orjson.loads(named["parameters"])
    return TaskView(**named)


def task_id_from(text: str) -> UUID | None:
    """The id inside what clients see ("video_<hex>"), or None."""
    try:
        return UUID(text.removeprefix("video_").removeprefix("image_"))
    except ValueError:
        return None


def kept_parameters(wanted: Wanted, described: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the history keeps of a request's parameters: figures, switches and single words; of everything else its size."""
    kept = {}
    for name in sorted(wanted.parameters)[:MOST_FIELDS]:
        if name not in OWN_FIELDS:
            is_listed = name in WORDS or bool((described or {}).get(name, {}).get("values"))
            kept[mask(name.replace("\0", ""))[:64]] = _kept(wanted.parameters[name], is_listed)
    return kept


def parameters_hash(model: str, endpoint: str, parameters: Mapping[str, Any], references: int) -> str:
    """Equal for two requests that ask for the same in everything but their texts and pictures."""
    named = {"model": model, "endpoint": endpoint, "parameters": parameters, "references": references}
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()


def too_long(fields: Mapping[str, Any]) -> str:
    """The field that asks for a longer video than anybody makes, or "". Money is held for no more than that."""
    return next((name for name in LENGTHS if (number_of(fields.get(name)) or 0) > MOST_SECONDS), "")


def asked_length(fields: Mapping[str, Any], description: Mapping[str, Any]) -> int:
    """Milliseconds of video a request may make: as asked, else what the target makes when nobody says."""
    given = max((number for name in LENGTHS if (number := number_of(fields.get(name))) is not None), default=None)
    seconds = given if given is not None else number_of(default_of(description, *LENGTHS))
    if seconds is None or not 0 < seconds <= MOST_SECONDS:
        seconds = Decimal(USUAL_SECONDS if seconds is None or seconds <= 0 else MOST_SECONDS)
    return int(seconds * 1000)


def asked_size(fields: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    """The size or resolution a request asks for; "" when neither it nor the target's description says one."""
    given = next((str(fields[name]) for name in SIZES if fields.get(name)), "").replace("\0", "")
    return given[:32] or str(default_of(description, *SIZES) or "")[:32]


def priced_resolution(rule: RuleFigures, size: str) -> str:
    """The name a price list has for a size: as it is ("1280x720"), or by its shorter side ("720p")."""
    if video_key(size) in rule.unit_prices:
        return size
    sides = size.lower().split("x")
    if len(sides) == 2 and all(side.isdecimal() and len(side) < 6 for side in sides):
        named = f"{min(int(side) for side in sides)}p"
        return named if video_key(named) in rule.unit_prices else size
    return size


def video_hold(price: Price, video_ms: int, size: str) -> int:
    """Nano-USD to hold; of an unknown size the dearest. Raises NoPrice."""
    sizes = [priced_resolution(price.rule, size)]
    if not size:
        sizes = [key.removeprefix("video:") for key in price.rule.unit_prices if key.startswith("video:")] or [""]
    return max(price.most(Usage(video_ms=video_ms, resolution=one)) for one in sizes)


def read_video(status: int, raw: bytes) -> Seen:
    """What the answer to a poll says. A doubtful answer is told as such: it neither ends nor fails a task."""
    value = _object(raw)
    if status == 404:
        return Seen(UNKNOWN, doubt="provider_knows_no_such_task")
    if status != 200 or value is None:
        return Seen("", doubt=f"answer_{status}" if status != 200 else "no_json")
    word = _text(str(value.get("status") or ""), 64).lower()
    state = STATES.get(word, UNKNOWN)
    progress = value.get("progress")
    seen: dict[str, Any] = {
        "state": state,
        "progress": min(100, progress) if isinstance(progress, int) and progress >= 0 else 0,
        "served_model": _text(value.get("model"), 255),
    }
    if state == UNKNOWN:
        return Seen(**seen, doubt=f"state {mask(word) or 'missing'}"[:64])
    if state == FAILED:
        code, reason = _failure(value, word)
        return Seen(**seen, failure_code=code, failure_reason=reason)
    if state != COMPLETED:
        return Seen(**seen)
    length = next((ms for name in LENGTHS if (ms := milliseconds(value.get(name))) is not None), None)
    size = next((_text(value[name], 32) for name in SIZES if value.get(name)), "")
    return Seen(**seen, video_ms=length, size=size, expires_at=_moment(value.get("expires_at")))


def completed_from(task: TaskView, seen: Seen) -> Seen:
    """A completed video with a length: as delivered, else as it was asked for and flagged; else in doubt."""
    size = seen.size or asked_size(task.parameters, {})
    if (seen.video_ms or 0) > MOST_SECONDS * 1000:
        return _changed(seen, state=UNKNOWN, doubt="completed_with_a_length_that_cannot_be")
    if seen.video_ms:
        return _changed(seen, size=size)
    asked = next((number for name in LENGTHS if (number := number_of(task.parameters.get(name)))), None)
    if asked is None or not 0 < asked <= MOST_SECONDS:
        return _changed(seen, state=UNKNOWN, doubt="completed_without_a_length")
    return _changed(seen, size=size, video_ms=int(asked * 1000), is_estimated=True)


def closing_event(task: TaskView, seen: Seen, price: Price | None, ended_at: datetime) -> CallEvent:
    """The end of a task's call: charged for what was delivered, or nothing. Raises NoPrice when that has no price."""
    duration = int((ended_at - task.created_at).total_seconds() * 1000)
    log: dict[str, Any] = {
        "user_id": task.user_id,
        "key_id": task.key_id,
        "key_name": task.key_name,
        "key_tail": task.key_tail,
        "group_code": task.group_code,
        "route": "new",
        "endpoint": task.endpoint,
        "asked_model": task.asked_model,
        "billed_model": task.billed_model,
        "served_model": seen.served_model or task.upstream_name,
        "price_version_id": task.price_version_id,
        "duration_ms": min(max(duration, 0), 2_147_483_647),
        "modality": "video",
        "attempts": [{"upstream": task.upstream_id, "status": 200, "ms": 0, "error": ""}],
    }
    if seen.state == FAILED:
        end: dict[str, Any] = {
            "outcome": Outcome.UPSTREAM_ERROR.value,
            "http_status": 200,
            "error_code": seen.failure_code or "task_failed",
        }
        detail = settle(rules=HOUSE_RULES, ending=Ending(end["outcome"], has_output=False), usage=None, price=None).detail
        return CallEvent(task.id, 0, True, "task_failed", {**log, **end, "price_detail": detail, "usage_source": "none"})
    if price is None:
        raise NoPrice("the price of the task is not known any more")
    resolution = priced_resolution(price.rule, seen.size)
    usage = Usage(video_ms=seen.video_ms or 0, resolution=resolution)
    price.quote(usage)
    ending = Ending(Outcome.OK.value, is_counted=seen.is_estimated)
    settled = settle(rules=HOUSE_RULES, ending=ending, usage=usage, price=price, held_nano=task.held_nano)
    source = ESTIMATED if seen.is_estimated else REPORTED
    log |= {**usage_columns(usage, "video"), "outcome": Outcome.OK.value, "http_status": 200, "usage_source": source}
    return CallEvent(task.id, settled.cost_nano, True, "", {**log, "price_detail": settled.detail})


def seen_columns(seen: Seen, moment: datetime, next_check_at: datetime | None) -> dict[str, Any]:
    """The columns of a task that a look at it changes."""
    columns: dict[str, Any] = {
        "checked_at": moment.isoformat(),
        "failed_checks": 0,
        "next_check_at": next_check_at.isoformat() if next_check_at else None,
    }
    if seen.state in OPEN:
        columns |= {"state": seen.state, "doubt": seen.doubt}
    if seen.progress:
        columns["progress"] = seen.progress
    if seen.served_model:
        columns["served_model"] = seen.served_model
    if seen.state == FAILED:
        columns |= {"failure_code": seen.failure_code or "task_failed", "failure_reason": seen.failure_reason}
    if seen.state == COMPLETED:
        columns["delivered_size"] = seen.size
        columns["assets"] = [{"variant": "video", "kept": True}]
        columns["assets_expire_at"] = seen.expires_at.isoformat() if seen.expires_at else None
    return columns


def video_object(task: TaskView, *, shows_served: bool = False) -> dict[str, Any]:
    """The video as OpenAI's clients read it. What is not known is "in progress": money is held and somebody looks."""
    state = {"submitted": "queued", UNKNOWN: "in_progress"}.get(task.state, task.state)
    seconds = Decimal(task.delivered_ms) / 1000 if task.delivered_ms else None
    asked = next((task.parameters[name] for name in LENGTHS if task.parameters.get(name)), "")
    error = None
    if task.state == FAILED:
        error = {"code": task.failure_code, "message": task.failure_reason or task.failure_code}
    return {
        "id": task.public_id,
        "object": "video",
        "status": state,
        "model": task.served_model if shows_served and task.served_model else task.asked_model,
        "progress": task.progress,
        "created_at": int(task.created_at.timestamp()),
        "completed_at": int(task.finished_at.timestamp()) if task.finished_at and task.state == COMPLETED else None,
        "expires_at": int(task.assets_expire_at.timestamp()) if task.assets_expire_at else None,
        "seconds": format(seconds.normalize(), "f") if seconds is not None else str(asked),
        "size": task.delivered_size or asked_size(task.parameters, {}),
        "error": error,
        "remixed_from_video_id": None,
    }


def clean_words(words: object) -> str:
    """What a provider says, without what looks like a secret, an address or a quotation."""
    return _ADDRESS.sub("(address)", _QUOTED.sub("(quotation)", mask(_text(words, 500))))[:500]


def _changed(seen: Seen, **changes: Any) -> Seen:
    return Seen(**{name: changes.get(name, getattr(seen, name)) for name in Seen.__dataclass_fields__})


def _kept(value: Any, is_listed: bool) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        word = value.replace("\0", "").strip()
        if word.lower() in {"true", "false"}:
            return word.lower() == "true"
        number = number_of(word)
        if number is not None and len(word) <= 20 and abs(number) < MOST_NUMBER:
            return int(number) if number == number.to_integral_value() else float(number)
        return mask(word) if is_listed and 0 < len(word) <= MOST_WORD else {"characters": len(value)}
    if isinstance(value, list):
        return {"items": len(value)}
    return {"fields": len(value)} if isinstance(value, dict) else {"kind": type(value).__name__}


def _failure(value: Mapping[str, Any], word: str) -> tuple[str, str]:
    error = value.get("error")
    inside: Mapping[str, Any] = error if isinstance(error, dict) else {}
    code = mask(_text(inside.get("code"), 64)) or (word if word not in {"failed", "error"} else "task_failed")
    return code, clean_words(inside.get("message"))


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 32_503_680_000:
        return None
    return datetime.fromtimestamp(value, UTC)


def _text(value: object, most: int) -> str:
    return value.replace("\x00", "")[:most] if isinstance(value, str) else ""


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
