"""Explain access (R015): would this call be allowed, by which rule, read from which record, as of when.

The answer is the relay's own: ``resolve`` over the same rows, then the ledger's reservation, taken back at once. What is
named by the caller is a key by its number, name or tail; a secret has no place here.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, User
from accounts.rights import require
from billing.services.ledger import LIMIT_STATUSES
from billing.services.trial_reserve import would_reserve
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotFound
from config.foundation.ids import uuid7
from gateway.contract import denials
from gateway.contract.endpoints import CHAT, ENDPOINTS, Endpoint
from gateway.contract.estimate import Body
from gateway.contract.loading import load_key
from gateway.contract.resolve import resolve
from gateway.contract.rules import Ruling, ruling_of
from gateway.contract.types import Ask, Decision, Denial, KeyView
from gateway.models import RelayInstance
from gateway.records import Record, record_of, related_records
from gateway.relay.call import Call
from gateway.relay.limits import MINUTE
from gateway.relay.new_route import refusal_of
from gateway.relay.pricing import NotPriced, hold_amount, token_estimate
from gateway.selectors import ALIVE, current_snapshot
from keys.counts import used_now
from keys.models import ApiKey
from keys.selectors import keys_seen_by

RIGHT = "keys.view"
MOST_MATCHES = 20
# A question about a time this near is a question about now: balance and limits are looked at.
IS_NOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A call as somebody would make it. ``at`` None: now. ``max_tokens`` None: the client names none."""

    model: str
    address: str = ""
    at: datetime | None = None
    path: str = CHAT.path
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``money``: what a call would hold and what the ledger answered, when it was asked; empty otherwise."""

    key: ApiKey
    question: Question
    at: datetime
    decision: Decision
    denial: Denial | None
    ruling: Ruling
    record: Record | None
    read_at: datetime
    config_version: int
    relays: list[RelayInstance]
    looked_at_money: bool
    held_nano: int | None = None
    available_nano: int | None = None
    changed_since: list[AuditEvent] = field(default_factory=list)

    @property
    def is_allowed(self) -> bool:
        return self.denial is None

    @property
    def is_past(self) -> bool:
        """Whether the question is about a time before now; it is decided by the records of now all the same."""
        return self.at < self.read_at - IS_NOW

    @property
    def has_rule_changed(self) -> bool:
        """Whether the record that decided was changed, or made, after the time that was asked about."""
        record = self.record
        return self.is_past and record is not None and record.changed_at is not None and record.changed_at > self.at

    @property
    def may_have_differed(self) -> bool:
        """Whether something that had a say has changed since, so that the verdict then may have been another one."""
        return self.has_rule_changed or bool(self.changed_since)

    @property
    def relays_behind(self) -> list[RelayInstance]:
        """Relays whose last word named an older configuration; they say a word every ten seconds."""
        return [one for one in self.relays if one.config_version < self.config_version]


def keys_named(actor: User, text: str) -> list[ApiKey]:
    """Keys with this number, name or tail, the latest used first; needs the right ``keys.view``."""
    require(actor, RIGHT)
    text = text.replace("\x00", "").strip().removeprefix("sk-").lstrip(".").strip()
    if not text:
        return []
    number = text.removeprefix("#")
    has_number = number.isascii() and number.isdecimal() and len(number) <= 18
    # "#12" is the key of that number and no other.
    wanted = Q() if text.startswith("#") and has_number else Q(name__iexact=text)
    if len(text) == 4:
        wanted |= Q(secrets__tail=text)
    if has_number:
        wanted |= Q(pk=int(number))
    found = keys_seen_by(actor).filter(wanted).distinct().order_by("-last_used_at", "-pk")
    return list(found[:MOST_MATCHES])


def explain(actor: User, key_id: int, question: Question) -> Verdict:
    """The verdict on one call with this key. Raises NotFound for a key that is none, InvalidInput for an unknown address."""
    require(actor, RIGHT)
    spec = ENDPOINTS.get(question.path)
    if spec is None:
        raise InvalidInput(_("The entry serves no calls at this address."), field="path")
    key = keys_seen_by(actor).filter(pk=key_id).first()
    with connection.cursor() as cursor:
        view = load_key(cursor, key_id)
    if key is None or view is None:
        raise NotFound
    read_at = now()
    at = question.at or read_at
    snapshot = current_snapshot()
    if not question.address and view.networks:
        question = replace(question, address=str(view.networks[0].network_address))
    ask = Ask(question.model, question.address, protocol=spec.protocol)
    decision = resolve(snapshot, view, ask, at)
    ruling = ruling_of(snapshot, view, decision, at)
    denial, held, available = decision.denial, None, None
    looks = denial is None and decision.route == "new" and abs(at - read_at) <= IS_NOW
    if looks:
        denial, ruling, held, available = _after_decision(decision, view, spec, question, ruling)
    records = related_records(snapshot, view, decision)
    return Verdict(
        key=key,
        question=question,
        at=at,
        decision=decision,
        denial=denial,
        ruling=ruling,
        record=record_of(actor, ruling, view),
        read_at=read_at,
        config_version=snapshot.version,
        relays=list(RelayInstance.objects.filter(seen_at__gte=read_at - ALIVE).order_by("name")),
        looked_at_money=looks,
        held_nano=held,
        available_nano=available,
        changed_since=_changes(records, at) if at < read_at - IS_NOW else [],
    )


def _after_decision(
    decision: Decision, view: KeyView, spec: Endpoint, question: Question, ruling: Ruling
) -> tuple[Denial | None, Ruling, int | None, int | None]:
    """What the relay asks once a call is admitted: limits of calls, then money."""
    body: Body = {
        "model": question.model,
        "messages": [{"role": "user", "content": "hello"}],
        "input": "hello",
        "prompt": "hello",
    }
    if question.max_tokens is not None:
        body["max_tokens"] = question.max_tokens
    call = Call(uuid7(), spec.path, decision, question.address, {}, spec=spec, body=body, size=120)
    full = _full_limit(decision, view, body, spec)
    if full is not None:
        return full, Ruling(f"calls.{full.limit_of}", "call_limit", id=view.id), None, None
    if spec.is_free:
        return None, ruling, 0, None
    try:
        amount = hold_amount(call)
    except NotPriced:
        refused = denials.model_not_priced(decision.asked_model)
        return refused, Ruling("price.missing", "price", name=decision.billed_model), None, None
    result = would_reserve(call.reserve_request(amount))
    if result.status in {"held", "repeated"}:
        return None, ruling, amount, result.available_nano
    rule, record = "balance.short", "purse"
    if result.status in LIMIT_STATUSES:
        rule, record = f"limit.{result.status.removesuffix('_limit')}.{result.span}", "spend_limit"
    return refusal_of(result), Ruling(rule, record, id=view.id), amount, result.available_nano


def _full_limit(decision: Decision, view: KeyView, body: Body, spec: Endpoint) -> Denial | None:
    """The limit of calls, tokens or calls at once that has no room this minute, as the relays count together."""
    if not view.limits:
        return None
    used = used_now([(one.of, one.subject_id) for one in view.limits])
    seconds = MINUTE - now().second
    for one in view.limits:
        taken = used.get((one.of, one.subject_id), {})
        if one.requests is not None and taken.get("calls", 0) >= one.requests:
            return denials.calls_per_minute(one.of, one.requests, seconds)
        needed = token_estimate(decision, body, 120, has_output=spec.writes) if one.tokens is not None else 0
        if one.tokens is not None and taken.get("tokens", 0) + needed > one.tokens:
            return denials.tokens_per_minute(one.of, one.tokens, needed, seconds)
        if one.parallel is not None and taken.get("slots", 0) >= one.parallel:
            return denials.parallel_calls(one.of, one.parallel)
    return None


def _changes(records: list[tuple[str, str]], since: datetime) -> list[AuditEvent]:
    """What was written about the records in question after the time that was asked about, newest first."""
    wanted = Q()
    for object_type, object_id in records:
        wanted |= Q(object_type=object_type, object_id=object_id)
    if not wanted:
        return []
    return list(AuditEvent.objects.filter(wanted, at__gt=since).order_by("-at", "-id")[:20])


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values, for programs."""
    denial, record = verdict.denial, verdict.record
    return {
        "verdict": "allow" if denial is None else "deny",
        "rule": verdict.ruling.rule,
        "http_status": denial.http_status if denial else 200,
        "error_code": denial.code if denial else "",
        "message": denial.message if denial else "",
        "route": verdict.decision.route,
        "key_id": verdict.key.pk,
        "asked_model": verdict.decision.asked_model,
        "billed_model": verdict.decision.billed_model,
        "group_code": verdict.decision.group_code,
        "record": {
            "kind": record.kind,
            "id": record.pk,
            "name": record.label,
            "url": record.url,
            "changed_at": record.changed_at,
        }
        if record
        else None,
        "at": verdict.at,
        "read_at": verdict.read_at,
        "config_version": verdict.config_version,
        "relays_behind": len(verdict.relays_behind),
        "looked_at_money": verdict.looked_at_money,
        "is_past": verdict.is_past,
        "has_rule_changed": verdict.has_rule_changed,
        "may_have_differed": verdict.may_have_differed,
        "changed_since": [
            {"at": one.at, "action": one.action, "object": one.object_label, "by": one.actor_name}
            for one in verdict.changed_since
        ],
        "held": verdict.held_nano,
        "available": verdict.available_nano,
    }
