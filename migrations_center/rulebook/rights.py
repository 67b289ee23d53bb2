"""What the old gateway answered to a key and a model, and what follows for the portal: the two compared."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from migrations_center.rulebook import keys as key_rules
from migrations_center.rulebook.abilities import Matrix
from migrations_center.rulebook.groups import AUTO, GroupRules
from migrations_center.sources.records import OldKey, OldUser
from migrations_center.sources.schema import NEW_API


class Answer(NamedTuple):
    """``status`` is the HTTP status; ``why`` a reason code, "" when served; ``group`` the group that served."""

    status: int
    why: str = ""
    group: str = ""

    @property
    def is_served(self) -> bool:
        return self.status == 200


@dataclass(frozen=True, slots=True)
class OldRules:
    """Everything the old gateway looked at besides the key and its owner."""

    product: str
    groups: GroupRules
    matrix: Matrix
    # Names with a price; None when a missing price refuses nothing (One API).
    priced: frozenset[str] | None


def old_answer(rules: OldRules, key: OldKey | None, owner: OldUser | None, model: str, now: int, address: str = "") -> Answer:
    """The old gateway's answer. ``address`` "" leaves networks out of account: they depend on the caller, not on the key."""
    if key is None or key.is_deleted:
        return Answer(401, "unknown_key")
    dead = key_rules.dead_because(key, owner, now)
    refused = _refused_key(rules.product, key, owner, dead)
    if refused:
        return refused
    assert owner is not None
    if address and key.networks and not any(ip_address(address) in ip_network(block) for block in key.networks):
        return Answer(403, "network_not_allowed")
    if dead == key_rules.OWNER_DISABLED:
        return Answer(403, dead)
    if key.models is not None and model not in key.models and rules.product == NEW_API:
        early = _group_refusal(rules, key, owner)
        return early or Answer(403, "model_not_in_key")
    if key.models is not None and model not in key.models:
        return Answer(403, "model_not_in_key")
    return _by_group(rules, key, owner, model)


def _refused_key(product: str, key: OldKey, owner: OldUser | None, dead: str) -> Answer | None:
    """Refusals that come before the caller's address is looked at."""
    own = key_rules.dead_because(key, owner, 0) if dead == key_rules.EXPIRED else dead
    if product == NEW_API and dead in (key_rules.OWNER_MISSING, key_rules.OWNER_DELETED):
        return Answer(500, dead)
    if dead == key_rules.OWNER_MISSING:
        return Answer(403, dead)
    if dead == key_rules.OWNER_DELETED:
        return Answer(403, dead)
    if dead in (key_rules.DISABLED, key_rules.EXPIRED, key_rules.EXHAUSTED) or own == key_rules.DISABLED:
        return Answer(401, dead)
    return None


def _group_refusal(rules: OldRules, key: OldKey, owner: OldUser) -> Answer | None:
    """New API: a key's own group must be open to its owner and still exist; the owner's group is not looked at."""
    if rules.product != NEW_API or not key.group:
        return None
    if key.group not in rules.groups.usable_by(owner.group):
        return Answer(403, "group_not_allowed")
    if key.group != AUTO and not rules.groups.exists(key.group):
        return Answer(403, "group_removed")
    return None


def groups_tried(rules: GroupRules, key: OldKey, owner: OldUser) -> tuple[str, ...]:
    """The groups in which a call of this key looked for a channel, in order."""
    if rules.product != NEW_API or not key.group:
        return (owner.group,)
    if key.group == AUTO:
        return rules.auto_of(owner.group, key.own_auto_groups)
    return (key.group,)


def _by_group(rules: OldRules, key: OldKey, owner: OldUser, model: str) -> Answer:
    refused = _group_refusal(rules, key, owner)
    if refused:
        return refused
    served = next((group for group in groups_tried(rules.groups, key, owner) if model in rules.matrix.get(group, {})), None)
    if served is None:
        return Answer(503, "no_channel")
    if rules.priced is not None and model not in rules.priced and not owner.accepts_unpriced:
        return Answer(400, "no_price")
    if owner.quota <= 0:
        return Answer(403, "balance_short")
    return Answer(200, "", served)
