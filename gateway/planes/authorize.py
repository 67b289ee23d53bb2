"""May this call be made, and the money for it: the embedded relay's decision, asked for over HTTP.

What the end of the call needs (price version, multiplier, outcome rules, estimate, which data plane) is written into the hold
itself, so that a decision and its money are one row.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from billing.expressions import ExpressionError
from billing.pricing import NoPrice, Usage
from billing.services.ledger import CallEvent, ReserveRequest, record_calls, reserve
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput
from config.foundation.http import cut_network
from gateway.contract import denials
from gateway.contract.endpoints import ENDPOINTS, Endpoint, dialect_of
from gateway.contract.error_shapes import error_value, status_of
from gateway.contract.estimate import DEFAULT_OUTPUT_TOKENS, IMAGE_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS, with_one_unit
from gateway.contract.holding import refusal_of
from gateway.contract.loading import load_keys
from gateway.contract.resolve import clean_name, resolve
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, Decision, Denial, KeyView
from gateway.models import DataPlane
from gateway.planes.cache import snapshots
from gateway.planes.events import seconds_off

# The id of a call tells its time; it decides into which month and which spend window the call falls.
CLOCK_SECONDS = 120
USED_SECONDS = 60.0
UNIT_KINDS = frozenset({"images", "speech", "transcript"})
USED_SQL = "UPDATE keys_apikey SET last_used_at = now() WHERE id = %s AND coalesce(last_used_at, '-infinity') < now()"
_used: dict[int, float] = {}


class ClockSkew(InvalidInput):
    """The time in this request id is not now. Set the clock of the data plane."""

    code = "clock_skew"


class RequestIdUsed(Conflict):
    """This request id belongs to another call, or to one that has ended."""

    code = "request_id_used"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that waits for its decision. The counts are the most it may use; ``output_tokens`` None: the client set no limit.

    ``params`` are request fields that a tiered price may read.
    """

    request_id: UUID
    key_hash: bytes
    model: str
    endpoint: str
    client_ip: str = ""
    client: str = ""
    is_stream: bool = False
    input_tokens: int = 0
    output_tokens: int | None = None
    images: int = 0
    characters: int = 0
    media_ms: int = 0
    image_size: str = ""
    image_quality: str = ""
    params: dict[str, Any] = field(default_factory=dict)


def authorize(plane: DataPlane, wanted: Wanted) -> dict[str, Any]:
    """Decide, hold the money, and say so; the same request again gets the same answer. Raises ClockSkew, RequestIdUsed."""
    moment = now()
    check_clock(wanted.request_id, moment)
    snapshot = snapshots.get()
    with connection.cursor() as cursor:
        key = load_keys(cursor, [wanted.key_hash]).get(wanted.key_hash)
    endpoint = ENDPOINTS.get(wanted.endpoint)
    decision = resolve(snapshot, key, Ask(wanted.model, wanted.client_ip), moment)
    denial = decision.denial
    if denial is None and decision.route == "old":
        denial = denials.SERVED_ELSEWHERE
    if denial is None and endpoint is None:
        denial = denials.endpoint_not_supported(decision.asked_model)
    if denial is not None or endpoint is None or key is None:
        return _denied(snapshot, wanted, decision, denial or denials.INVALID_KEY)
    amount = _amount(decision, endpoint, wanted)
    if amount is None:
        return _denied(snapshot, wanted, decision, denials.model_not_priced(decision.asked_model))
    expires_at = moment + timedelta(seconds=settings.HOLD_SECONDS)
    context = {**_columns(decision, wanted), "plane": _kept(plane, snapshot, decision, wanted, endpoint)}
    payer = {"user_id": None, "group_id": key.team_id} if key.team_id else {"user_id": key.owner_id, "group_id": None}
    result = reserve([ReserveRequest(wanted.request_id, **payer, key_id=key.id, amount_nano=amount, expires_at=expires_at,
                                     context=context)])[0]  # fmt: skip
    if result.status == "mismatch":
        raise RequestIdUsed
    if result.status not in {"held", "repeated"}:
        refused = refusal_of(result)
        return _denied(snapshot, wanted, decision, refused, result.resets_at)
    note_use(key.id)
    return _allowed(wanted, decision, key, amount, expires_at)


def check_clock(request_id: UUID, moment: datetime) -> None:
    """Raise ClockSkew for an id that was not made now, InvalidInput for one that tells no time."""
    if request_id.version != 7:
        raise InvalidInput("A request id is a UUIDv7 (RFC 9562).")
    off = seconds_off(request_id, moment)
    if abs(off) > CLOCK_SECONDS:
        raise ClockSkew(off_by_seconds=round(off))


def output_limit(endpoint: Endpoint, wanted: Wanted, model_limit: int | None) -> int:
    """Output tokens the call may use: what the client allows, never more than the model can."""
    if not endpoint.writes:
        return 0
    tokens = DEFAULT_OUTPUT_TOKENS if wanted.output_tokens is None else wanted.output_tokens
    return min(tokens, model_limit or MAX_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS)


def _amount(decision: Decision, endpoint: Endpoint, wanted: Wanted) -> int | None:
    """Nano-USD to hold, None when the price cannot be applied to this call."""
    price, model = decision.price, decision.model
    assert price is not None
    assert model is not None
    if endpoint.is_free:
        return 0
    output = output_limit(endpoint, wanted, model.max_output_tokens)
    try:
        if endpoint.kind not in UNIT_KINDS:
            return price.estimate(input_tokens=wanted.input_tokens, max_output_tokens=output, params=wanted.params or None)
    except (NoPrice, ExpressionError):
        return None
    images = max(wanted.images, 1) if endpoint.kind == "images" else 0
    units = Usage(
        input=wanted.input_tokens,
        images=images,
        size=wanted.image_size,
        quality=wanted.image_quality,
        audio_ms=wanted.media_ms,
        characters=wanted.characters,
    )
    most_tokens = output or images * IMAGE_OUTPUT_TOKENS
    amounts = []
    for amount in (
        lambda: price.most(with_one_unit(units, endpoint.kind)),
        lambda: price.estimate(input_tokens=wanted.input_tokens, max_output_tokens=most_tokens),
    ):
        try:
            amounts.append(amount())
        except (NoPrice, ExpressionError):
            continue
    return max(amounts) if amounts else None


def _columns(decision: Decision, wanted: Wanted) -> dict[str, Any]:
    return {
        **decision.log_columns(),
        "endpoint": clean_name(wanted.endpoint)[:64],
        "is_stream": wanted.is_stream,
        "client_family": clean_name(wanted.client)[:32],
        "client_network": cut_network(wanted.client_ip),
    }


def _kept(plane: DataPlane, snapshot: Snapshot, decision: Decision, wanted: Wanted, endpoint: Endpoint) -> dict[str, Any]:
    """What the end of the call is priced with, whatever changes in between."""
    price, model = decision.price, decision.model
    assert price is not None
    assert model is not None
    return {
        "id": plane.pk,
        "price_model": price.model_name,
        "multiplier": str(price.multiplier),
        "rules": decision.outcome_rules.version_id,
        "kind": endpoint.kind,
        "modality": endpoint.modality,
        "input": wanted.input_tokens,
        "output": output_limit(endpoint, wanted, model.max_output_tokens),
        "images": wanted.images,
        "size": wanted.image_size[:32],
        "quality": wanted.image_quality[:16],
        "characters": wanted.characters,
        "media_ms": wanted.media_ms,
        "params": wanted.params,
    }


def _denied(
    snapshot: Snapshot, wanted: Wanted, decision: Decision, denial: Denial, resets_at: datetime | None = None
) -> dict[str, Any]:
    """Tell the refusal as the client is to be told it, and log it."""
    profile = snapshot.profiles.profile_for(decision.key)
    status = status_of(denial, profile)
    log = {
        **_columns(decision, wanted),
        "outcome": denial.outcome.value,
        "http_status": status,
        "error_code": denial.code,
        "duration_ms": 0,
        "attempts": [],
        "price_detail": {},
    }
    record_calls([CallEvent(wanted.request_id, 0, False, denial.outcome.value, log)])
    request_id = wanted.request_id.hex
    body = error_value(denial, dialect=dialect_of(wanted.endpoint), request_id=request_id, profile=profile)
    answer = {
        "decision": "deny",
        "request_id": str(wanted.request_id),
        "http_status": status,
        "code": denial.code,
        "body": body,
    }
    if resets_at is not None:
        answer["retry_after_seconds"] = max(1, ceil((resets_at - now()).total_seconds()))
    elif denial is denials.SERVICE_UNAVAILABLE:
        answer["retry_after_seconds"] = 1
    return answer


def _allowed(wanted: Wanted, decision: Decision, key: KeyView, amount: int, expires_at: datetime) -> dict[str, Any]:
    model, price = decision.model, decision.price
    assert model is not None
    assert price is not None
    return {
        "decision": "allow",
        "request_id": str(wanted.request_id),
        "key_id": key.id,
        "account": {"kind": "team", "id": key.team_id} if key.team_id is not None else {"kind": "user", "id": key.owner_id},
        "resolved": {
            "public_name": model.name,
            "billed_name": decision.billed_model,
            "channels": [{"id": one.upstream.id, "upstream_model": one.upstream_name} for one in decision.candidates],
        },
        "price_id": price.version_id,
        "reservation_id": str(wanted.request_id),
        "reserved_nano": amount,
        "expires_at": expires_at.isoformat(),
        "ttl": settings.HOLD_SECONDS,
    }


def note_use(key_id: int | None) -> None:
    """Tell when the key was last used, at most once a minute for each key and process."""
    moment = time.monotonic()
    if key_id is None or moment - _used.get(key_id, -USED_SECONDS) < USED_SECONDS:
        return
    if len(_used) > 100_000:
        _used.clear()
    _used[key_id] = moment
    with connection.cursor() as cursor:
        cursor.execute(USED_SQL, [key_id])
