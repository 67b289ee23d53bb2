"""Which written rule decided a call, and the record it was read from: a name for what ``resolve`` did, no second opinion.

A rule's id never changes once published. ``Ruling.record`` is a kind of record (see ``gateway.records``), ``name`` or ``id``
says which one.
"""

from dataclasses import dataclass
from datetime import datetime

from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Decision, Denial, KeyView


@dataclass(frozen=True, slots=True)
class Ruling:
    """The id of the deciding rule, and the record behind it; ``record`` "" when the request itself decides."""

    rule: str
    record: str = ""
    id: int = 0
    name: str = ""


# Refusals that one rule alone can give; the rest is told apart below.
OF_KEY = {
    "key_paused": "key.paused",
    "api_key_disabled": "key.disabled",
    "network_not_allowed": "key.networks",
    "key_closed": "key.route_closed",
    "channel_pin_not_allowed": "key.suffix",
    "model_not_allowed_for_key": "key.models",
    "group_not_allowed": "key.group",
}


def ruling_of(snapshot: Snapshot, key: KeyView, decision: Decision, now: datetime) -> Ruling:
    """The rule behind a decision of ``resolve``, which was asked with the same values."""
    denial = decision.denial
    if denial is None:
        if decision.route == "old":
            return Ruling("key.route_old", "old_entry", id=key.old_entry_id or 0)
        return Ruling("model.open_to_group", "model", name=decision.model.name if decision.model else "")
    if denial.code in OF_KEY:
        return Ruling(OF_KEY[denial.code], "key", id=key.id)
    return _of_identity(key, denial, now) or _of_team(snapshot, key, denial) or _of_model(snapshot, key, decision, denial)


def _of_identity(key: KeyView, denial: Denial, now: datetime) -> Ruling | None:
    if denial.code == "invalid_api_key":
        return Ruling("key.revoked" if key.state == "revoked" else "secret.revoked", "key", id=key.id)
    if denial.code == "api_key_expired":
        is_key = key.expires_at is not None and key.expires_at <= now
        return Ruling("key.expired" if is_key else "secret.expired", "key", id=key.id)
    if denial.code == "account_disabled" and key.team_id is None:
        return (
            Ruling("owner.disabled", "person", id=key.owner_id or 0)
            if key.owner_id
            else Ruling("key.ownerless", "key", id=key.id)
        )
    return None


def _of_team(snapshot: Snapshot, key: KeyView, denial: Denial) -> Ruling | None:
    if denial.code == "account_disabled":
        return Ruling("team.disabled", "group", id=key.team_id or 0)
    if denial.code in ("production_not_allowed", "test_key_not_allowed"):
        is_own = key.team_id in snapshot.rules.team_money
        return Ruling("policy.team_money" if is_own else "policy.other_teams", "policy", id=(key.team_id or 0) if is_own else 0)
    if denial.code == "old_entry_unavailable":
        return Ruling("old_entry.missing", "old_entry", id=key.old_entry_id or 0)
    return None


def _of_model(snapshot: Snapshot, key: KeyView, decision: Decision, denial: Denial) -> Ruling:
    asked = decision.asked_model
    if key.profile is not None and asked == key.profile.alias:
        asked = key.profile.default_model
    mapped = snapshot.names.get(asked)
    called = (mapped.model_name if mapped else asked) or ""
    match denial.code:
        case "model_required":
            return Ruling("request.no_model")
        case "model_not_found":
            if mapped is not None and mapped.model_name is None:
                return Ruling("name_map.retired", "name", name=asked)
            return Ruling("model.open_to_nobody" if called in snapshot.models else "model.unknown", "model", name=called)
        case "model_not_available_for_group":
            return Ruling("model.closed_to_group", "model", name=called)
        case "model_not_priced":
            return Ruling("price.missing", "price", name=decision.billed_model or asked)
        case "model_tier_not_allowed":
            return Ruling("fence.tier", "fence", name=decision.group_code)
        case "endpoint_not_supported":
            return Ruling("upstream.protocol", "model", name=called)
        case "model_unavailable":
            return Ruling("upstream.none", "model", name=called)
    return Ruling(denial.code)
