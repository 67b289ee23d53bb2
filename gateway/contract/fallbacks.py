"""Written fallback rules: when one model may answer for another, and at whose price. Pure functions of the snapshot."""

from dataclasses import dataclass
from datetime import datetime

from billing.pricing import Price
from config.foundation.outcomes import Outcome
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Candidate, Decision

# What may set off a rule: ends in which the asked model gave nothing.
TRIGGERS = (Outcome.MODEL_UNAVAILABLE, Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another model that may answer one call, with its own price and upstreams."""

    rule_id: int
    model_name: str
    is_protected: bool
    triggers: frozenset[str]
    price: Price
    candidates: tuple[Candidate, ...]


def fallback_for(snapshot: Snapshot, decision: Decision, protocol: str, now: datetime) -> Fallback | None:
    """What the rule in force for the called model allows this call; None without a rule, or where the key, the group,
    a fence, a missing price or a missing upstream stand in the way."""
    model, key = decision.model, decision.key
    rule = snapshot.fallbacks.get(model.id) if model else None
    if rule is None or key is None:
        return None
    target = snapshot.models.get(rule.to_model)
    if target is None or not target.open_to(decision.group_code):
        return None
    if key.model_names is not None and target.name not in key.model_names:
        return None
    price = snapshot.prices.price_for(
        model_name=target.name,
        payer_group_code=snapshot.group_code(key.payer_group_id),
        used_group_code=decision.group_code,
        at=now,
    )
    if price is not None and snapshot.rules.fences:
        codes = {snapshot.group_code(key.payer_group_id), decision.group_code}
        if snapshot.rules.refused_tier(sorted(codes), target.name, target.name, price) is not None:
            return None
    candidates = snapshot.candidates_for(target, decision.group_code, protocol)
    if price is None or not candidates:
        return None
    return Fallback(rule.id, target.name, rule.is_price_protected, rule.triggers, price, candidates)
