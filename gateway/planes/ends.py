"""The end of a call as a data plane reports it, priced here with what was fixed when it was admitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil
from typing import Any

from django.db import connection

from billing.outcome_rules import HOUSE_RULES, Ending, OutcomeRules, settle
from billing.pricing import Price, Usage
from billing.services.ledger import CallEvent
from config.foundation.outcomes import Outcome
from config.foundation.redaction import mask
from gateway.contract.loading import load_key, load_outcome_rules, load_price
from gateway.contract.resolve import clean_name
from gateway.contract.usage import ESTIMATED, NO_TOKENS, REPORTED, Tokens, as_estimated, estimated
from gateway.planes.authorize import UNIT_KINDS
from gateway.planes.events import Event
from gateway.planes.leases import Terms

BYTES_A_TOKEN = 4
CLIENT_GONE = 499
# How a data plane says it: (our class, whether something of an answer reached the client, status when none is told, code).
ENDS: Mapping[str, tuple[Outcome, bool, int, str]] = {
    "ok": (Outcome.OK, True, 200, ""),
    "client_abort": (Outcome.CANCELLED, False, CLIENT_GONE, "client_gone"),
    "upstream_error_before_output": (Outcome.UPSTREAM_ERROR, False, 502, "upstream_error"),
    "upstream_error_after_output": (Outcome.CUT_STREAM, True, 200, "stream_cut"),
    "timeout_before_output": (Outcome.TIMEOUT, False, 504, "upstream_timeout"),
    "timeout_after_output": (Outcome.TIMEOUT, True, 200, "stream_timeout"),
    "refused_local": (Outcome.CLIENT_ERROR, False, 400, "refused_local"),
    "not_dispatched": (Outcome.CANCELLED, False, 503, "not_dispatched"),
    # Of a call on a lease; one with a hold is left to the sweeper, which says the same of it.
    "unknown": (Outcome.TIMEOUT, False, 504, "hold_expired"),
}
# Classes of refusals that a data plane makes by itself.
REFUSALS: Mapping[str, Outcome] = {
    "missing_api_key": Outcome.BAD_KEY,
    "invalid_api_key": Outcome.BAD_KEY,
    "api_key_disabled": Outcome.BAD_KEY,
    "api_key_expired": Outcome.BAD_KEY,
    "key_paused": Outcome.NO_RIGHTS,
    "key_closed": Outcome.NO_RIGHTS,
    "served_elsewhere": Outcome.NO_RIGHTS,
    "account_disabled": Outcome.NO_RIGHTS,
    "network_not_allowed": Outcome.NO_RIGHTS,
    "model_not_allowed_for_key": Outcome.NO_RIGHTS,
    "model_not_available_for_group": Outcome.NO_RIGHTS,
    "model_not_found": Outcome.UNKNOWN_MODEL,
    "model_unavailable": Outcome.MODEL_UNAVAILABLE,
    "service_unavailable": Outcome.MODEL_UNAVAILABLE,
    "insufficient_quota": Outcome.NO_BALANCE,
    "key_limit_reached": Outcome.NO_BALANCE,
    "requests_per_minute_exceeded": Outcome.RATE_LIMITED,
    "tokens_per_minute_exceeded": Outcome.RATE_LIMITED,
    "parallel_calls_exceeded": Outcome.RATE_LIMITED,
    "unsupported_input": Outcome.UNSUPPORTED_INPUT,
}


@dataclass(slots=True)
class Prices:
    """What was looked up for one batch."""

    _prices: dict[tuple[int, str, str], Price | None] = field(default_factory=dict)
    _rules: dict[int, OutcomeRules] = field(default_factory=dict)

    def price(self, version_id: int | None, kept: Mapping[str, Any]) -> Price | None:
        if version_id is None:
            return None
        asked = (version_id, str(kept.get("price_model", "")), str(kept.get("multiplier", "1")))
        if asked not in self._prices:
            with connection.cursor() as cursor:
                self._prices[asked] = load_price(cursor, version_id, asked[1], Decimal(asked[2]))
        return self._prices[asked]

    def rules(self, version_id: int) -> OutcomeRules:
        if version_id not in self._rules:
            with connection.cursor() as cursor:
                self._rules[version_id] = load_outcome_rules(cursor, version_id) if version_id else HOUSE_RULES
        return self._rules[version_id]


def end_of(event: Event, context: Mapping[str, Any], held_nano: int, before: Sequence[Any], prices: Prices) -> CallEvent:
    """The end of an admitted call. ``context`` is the hold's, ``before`` the attempts that did not serve."""
    kept = context.get("plane", {})
    columns = {name: value for name, value in context.items() if name != "plane"}
    price, rules = prices.price(columns.get("price_version_id"), kept), prices.rules(int(kept.get("rules", 0)))
    return _settled(event, kept, columns, price, rules, held_nano, before)


def _settled(
    event: Event,
    kept: Mapping[str, Any],
    columns: Mapping[str, Any],
    price: Price | None,
    rules: OutcomeRules,
    held_nano: int,
    before: Sequence[Any],
) -> CallEvent:
    outcome, has_output, status, code = _class_of(event)
    tokens = tokens_of(event, kept)
    has_output = has_output or tokens.output > 0 or bool(event.delivered_bytes or event.delivered_chunks)
    ending = Ending(
        outcome.value,
        was_sent=event.outcome not in ("refused_local", "not_dispatched"),
        has_output=has_output,
        is_counted=tokens.source == ESTIMATED,
    )
    settled = settle(
        rules=rules,
        ending=ending,
        usage=_usage(tokens, kept),
        price=price,
        held_nano=held_nano,
    )
    cost, detail = settled.cost_nano, settled.detail
    if not cost and (price is None or tokens.is_empty) and outcome is Outcome.OK:
        # No price is there any more, or one for tokens and none are known: what was served is never free.
        cost, detail = held_nano, {**detail, "formula": "estimate", "cost_nano": held_nano}
    if event.dp_cost_nano:
        detail = {**detail, "data_plane_cost_nano": event.dp_cost_nano}
    log = {
        **columns,
        "duration_ms": event.duration_ms,
        "first_token_ms": event.first_token_ms,
        "served_model": clean_name(event.model_served),
        "outcome": outcome.value,
        "http_status": event.http_status or status,
        "error_code": code if outcome is not Outcome.OK else "",
        **tokens.log_columns(),
        "price_detail": detail,
        "attempts": [*before, attempt_of(event, is_loss=not cost)],
    }
    modality = kept.get("modality", "text")
    if modality != "text" or tokens.audio_input or tokens.audio_output:
        log |= tokens.unit_columns(modality)
    return CallEvent(event.request_id, cost, True, outcome.value, log)


def leased_end(event: Event, terms: Terms) -> CallEvent:
    """The end of a call that drew on a lease: priced by what was in force when it was admitted. One that was cut off with its
    data plane costs nothing."""
    ended = _settled(event, terms.kept, terms.columns, terms.price, terms.rules, event.promised_nano, ())
    log = {**ended.log, "held_nano": event.promised_nano}
    if event.outcome == "unknown":
        ended = replace(ended, cost_nano=0, reason="plane_gone")
        log["price_detail"] = {}
    return replace(ended, log=log, lease_id=event.lease_id, promised_nano=event.promised_nano)


def refused_end(event: Event) -> CallEvent:
    """A call that the data plane refused before it asked: logged, nothing held and nothing charged."""
    outcome, _, status, code = _class_of(event)
    columns: dict[str, Any] = {}
    if event.key_id is not None:
        with connection.cursor() as cursor:
            key = load_key(cursor, event.key_id)
        if key is not None:
            columns = {
                "user_id": key.owner_id,
                "key_id": key.id,
                "key_name": key.name,
                "key_tail": key.tail,
                "route": key.route,
            }
    log = {
        **columns,
        "endpoint": clean_name(event.endpoint)[:64],
        "asked_model": clean_name(event.model_requested),
        "duration_ms": event.duration_ms,
        "outcome": outcome.value,
        "http_status": event.http_status or status,
        "error_code": code,
        "price_detail": {},
        "attempts": [],
    }
    return CallEvent(event.request_id, 0, False, outcome.value, log)


def unheld_end(event: Event) -> CallEvent:
    """A call that nobody admitted here: billing puts it on the desk, with the data plane's own cost."""
    outcome, _, status, code = _class_of(event)
    tokens = tokens_of(event, {})
    log = {
        "key_id": event.key_id,
        "endpoint": clean_name(event.endpoint)[:64],
        "asked_model": clean_name(event.model_requested),
        "served_model": clean_name(event.model_served),
        "outcome": outcome.value,
        "http_status": event.http_status or status,
        "error_code": code,
        **tokens.log_columns(),
        "price_detail": {},
        "attempts": [attempt_of(event, is_loss=False)],
    }
    return CallEvent(event.request_id, event.dp_cost_nano, True, outcome.value, log)


def attempt_of(event: Event, *, is_loss: bool) -> dict[str, Any]:
    """One line of the request log's attempts. ``is_loss``: what it cost at the upstream is borne by the operator."""
    served = event.outcome == "ok"
    error = "" if served else (event.error_class or event.outcome)
    line: dict[str, Any] = {
        "upstream": event.channel_id,
        "status": event.http_status or (200 if served else 0),
        "ms": event.duration_ms,
        "error": error,
    }
    if event.upstream_request_id:
        line["upstream_request_id"] = mask(event.upstream_request_id)
    if is_loss and error and event.dp_cost_nano:
        line["cost_nano"] = event.dp_cost_nano
    return line


def tokens_of(event: Event, kept: Mapping[str, Any]) -> Tokens:
    """The counts of an event, parts cut to their whole; counted from what is known where none are told."""
    found = _told(event, kept)
    says_nothing = found.is_empty and not (found.images or found.audio_ms or found.characters)
    if not says_nothing or event.outcome in ("refused_local", "not_dispatched"):
        return found
    if event.outcome in ("upstream_error_before_output", "timeout_before_output"):
        return NO_TOKENS
    return _counted(event, kept)


def _told(event: Event, kept: Mapping[str, Any]) -> Tokens:
    usage = event.usage
    if usage is None or event.usage_source == "none":
        return NO_TOKENS
    given, output = usage["input"], usage["output"]
    cached = min(usage["cached"], given)
    written = min(usage["cache_write"], given - cached)
    return Tokens(
        input=given,
        cached=cached,
        cache_write=written,
        cache_write_1h=min(usage["cache_write_1h"], written),
        output=output,
        reasoning=min(usage["reasoning"], output),
        source=REPORTED if event.usage_source == "upstream" else ESTIMATED,
        image_input=min(usage["image_in"], given),
        image_output=min(usage["image_out"], output),
        audio_input=min(usage["audio_in"], given),
        audio_output=min(usage["audio_out"], output),
        images=usage["images"],
        size=usage["image_size"] or str(kept.get("size", "")),
        quality=usage["image_quality"] or str(kept.get("quality", "")),
        audio_ms=usage["media_ms"],
        characters=usage["characters"],
    )


def _counted(event: Event, kept: Mapping[str, Any]) -> Tokens:
    """Never 0: the input that was announced, and the output by its length, or all that was held for."""
    output = int(kept.get("output", 0))
    if event.outcome == "client_abort" or event.delivered_bytes:
        output = min(output, ceil(event.delivered_bytes / BYTES_A_TOKEN)) if output else 0
    found = estimated(int(kept.get("input", 0)), output)
    if kept.get("kind") not in UNIT_KINDS:
        return found
    return as_estimated(
        found,
        output=0,
        images=max(int(kept.get("images", 0)), 1) if kept.get("kind") == "images" else 0,
        size=str(kept.get("size", "")),
        quality=str(kept.get("quality", "")),
        audio_ms=int(kept.get("media_ms", 0)),
        characters=int(kept.get("characters", 0)),
    )


def _usage(tokens: Tokens, kept: Mapping[str, Any]) -> Usage:
    return Usage(
        input=tokens.input,
        cached=tokens.cached,
        cache_write=tokens.cache_write,
        output=tokens.output,
        reasoning=tokens.reasoning,
        images=tokens.images,
        cache_write_1h=tokens.cache_write_1h,
        image_input=tokens.image_input,
        image_output=tokens.image_output,
        audio_input=tokens.audio_input,
        audio_output=tokens.audio_output,
        size=tokens.size,
        quality=tokens.quality,
        audio_ms=tokens.audio_ms,
        characters=tokens.characters,
        params=kept.get("params", {}),
    )


def _class_of(event: Event) -> tuple[Outcome, bool, int, str]:
    outcome, has_output, status, code = ENDS[event.outcome]
    if event.outcome == "refused_local":
        found = REFUSALS.get(event.error_class)
        return found or outcome, False, event.http_status or status, event.error_class or code
    if event.outcome == "upstream_error_before_output":
        if event.http_status == 429:
            return Outcome.RATE_LIMITED, False, 429, "upstream_rate_limited"
        if event.http_status in (400, 413, 422):
            return Outcome.CLIENT_ERROR, False, event.http_status, event.error_class or "invalid_request"
    return outcome, has_output, status, code
