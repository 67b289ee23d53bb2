"""The values that portal and data path exchange: what is known of a key, a model, an upstream, and a decision.

What is made for every call (``Ask``, ``Decision``) is not frozen, because freezing costs time there; nobody changes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, TypeAlias

from billing.outcome_rules import HOUSE_RULES, OutcomeRules
from billing.pricing import Price
from config.foundation.outcomes import Outcome

Network: TypeAlias = IPv4Network | IPv6Network
RouteName = Literal["new", "old", "closed"]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one subject may do; None: as much as it likes. ``of`` is its kind: key, person, member or group."""

    of: str
    subject_id: str
    requests: int | None = None
    tokens: int | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True)
class UseProfileView:
    """The use profile of a key: calls of ``alias`` go to ``default_model``; ``parameters`` fill in what a request leaves
    out."""

    alias: str
    default_model: str
    model_names: frozenset[str]
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as one of its secrets found it: the key, the secret, the owner. Holds no secret."""

    id: int
    name: str
    tail: str
    state: str
    route: RouteName
    model_names: frozenset[str] | None
    networks: tuple[Network, ...]
    group_id: int | None
    auto_group_codes: tuple[str, ...]
    ignores_channel_pin: bool
    expires_at: datetime | None
    secret_valid_until: datetime | None
    secret_revoked_at: datetime | None
    owner_id: int | None
    owner_state: str | None
    owner_group_id: int | None
    team_id: int | None
    old_entry_id: int | None
    limits: tuple[CallLimits, ...] = ()
    purpose: str = "production"
    # The models of a key that is bound to one are the profile's.
    profile: "UseProfileView | None" = None

    @property
    def payer_group_id(self) -> int | None:
        """The billing group of the person, or the team itself."""
        return self.team_id if self.team_id is not None else self.owner_group_id


@dataclass(frozen=True, slots=True)
class GroupView:
    id: int
    code: str
    is_active: bool
    usable_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    id: int
    name: str
    modality: str
    max_output_tokens: int | None
    created_at: int
    group_codes: frozenset[str]

    def open_to(self, group_code: str) -> bool:
        return group_code in self.group_codes or "*" in self.group_codes


@dataclass(frozen=True, slots=True)
class MappedName:
    """An entry of the name map in force; ``model_name`` is None for a retired name, whose ``successor`` is what it led to
    before."""

    model_name: str | None
    bill_as_called: bool
    successor: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """An upstream with its credential in clear, in memory only: ``repr`` leaves it out."""

    id: int
    base_url: str
    credential: str = field(repr=False)
    group_codes: frozenset[str]
    priority: int
    weight: int
    timeout_seconds: int
    protocol: str = "openai"


@dataclass(frozen=True, slots=True)
class FallbackView:
    """An approved rule: ``to_model`` may answer when the call ended in one of ``triggers``."""

    id: int
    to_model: str
    is_price_protected: bool
    triggers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """``takes``: what the target is described to take (``models_catalog.parameters``); empty when nobody said."""

    upstream: UpstreamView
    upstream_name: str
    takes: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)


@dataclass(frozen=True, slots=True)
class ProfileTable:
    """In whose shape errors are told: one for everybody, and those of groups and keys that have their own."""

    for_all: str = "portal"
    by_group: Mapping[int, str] = field(default_factory=dict)
    by_key: Mapping[int, str] = field(default_factory=dict)

    def profile_for(self, key: KeyView | None) -> str:
        if key is None:
            return self.for_all
        return self.by_key.get(key.id) or self.by_group.get(key.payer_group_id or 0) or self.for_all


@dataclass(slots=True)
class Ask:
    """What a client wants, as far as a decision needs it. ``protocol`` "": whatever the upstreams of the model speak."""

    model: str
    address: str = ""
    has_pin: bool = False
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a call is refused. ``message`` says what to do and names no group, network or inner route.

    ``limit_of``: whose limit it was (key, person, member, group), for refusals that come from one. ``template`` and
    ``values`` are the message for other languages. ``provider_message`` are an upstream's own words about a wrong request,
    with nothing in them that looks like a secret or an address.
    """

    outcome: Outcome
    http_status: int
    code: str
    message: str
    limit_of: str = ""
    template: str = ""
    values: Mapping[str, object] = field(default_factory=dict, hash=False)
    provider_message: str = ""


@dataclass(slots=True)
class Decision:
    """What is to be done with a call. ``denial`` None: it goes to ``route``; on "new" the rest is filled in."""

    denial: Denial | None
    key: KeyView | None
    route: RouteName = "new"
    asked_model: str = ""
    model: ModelView | None = None
    billed_model: str = ""
    group_code: str = ""
    price: Price | None = None
    outcome_rules: OutcomeRules = HOUSE_RULES
    candidates: tuple[Candidate, ...] = ()
    old_base_url: str = ""

    @property
    def is_allowed(self) -> bool:
        return self.denial is None

    def log_columns(self) -> dict[str, Any]:
        """The columns of the request log that are known once this is decided."""
        key = self.key
        return {
            "user_id": key.owner_id if key else None,
            "key_id": key.id if key else None,
            "key_name": key.name if key else "",
            "key_tail": key.tail if key else "",
            "group_code": self.group_code,
            "route": self.route,
            "asked_model": self.asked_model,
            "billed_model": self.billed_model,
            "price_version_id": self.price.version_id if self.price else None,
        }
