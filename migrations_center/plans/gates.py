"""May a wave be made ready? A pure function of facts: no database, no clock. Each finding is a code that pages translate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

# 'Before' notices are to reach people this long before the switch.
NOTICE_LEAD = timedelta(hours=72)
# Figures read longer ago than this may have moved on at the old gateway.
READING_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ModelFact:
    """A model that a person called at the old gateway, and how this portal would decide on it (None: it would serve)."""

    name: str
    key_name: str
    refusal: str | None


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What is known of a member. Amounts are nano-USD; ``expected_nano`` None: no figure of the source is known."""

    user_id: int
    username: str
    is_enabled: bool
    has_address: bool
    expected_nano: int | None
    booked_nano: int
    live_key_count: int
    charged_here: bool = False
    models: tuple[ModelFact, ...] = ()


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """What is known of a wave and its source."""

    now: datetime
    planned_at: datetime | None
    has_old_entry: bool
    source_ties_out: bool
    read_at: datetime | None
    ownerless_keys: tuple[str, ...]
    members: tuple[MemberFacts, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands in the way (``is_blocking``) or should be known; ``who`` is a user name or ""."""

    code: str
    is_blocking: bool
    who: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


# Refusals of the data path that mean: this call would have worked at the old gateway and would not here.
BLOCKING_REFUSALS = frozenset({"model_not_found", "model_not_priced", "model_unavailable"})


def findings(facts: WaveFacts) -> list[Finding]:
    """Everything to know before the wave is ready, blocking ones first, in the order of the members."""
    found = [*_of_wave(facts)]
    for member in facts.members:
        found += _of_member(member)
    return sorted(found, key=lambda finding: not finding.is_blocking)


def blocking(found: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.is_blocking]


def _of_wave(facts: WaveFacts) -> list[Finding]:
    found = []
    if not facts.members:
        found.append(Finding("no_members", True))
    if facts.planned_at is None:
        found.append(Finding("no_planned_time", True))
    elif facts.planned_at < facts.now:
        found.append(Finding("planned_time_past", True, detail={"planned_at": facts.planned_at.isoformat()}))
    elif facts.planned_at - facts.now < NOTICE_LEAD:
        hours = int((facts.planned_at - facts.now).total_seconds() // 3600)
        found.append(Finding("short_notice", False, detail={"hours": hours}))
    if not facts.has_old_entry:
        found.append(Finding("no_old_entry", True))
    if not facts.source_ties_out:
        found.append(Finding("source_does_not_tie_out", True))
    if facts.read_at is None or facts.now - facts.read_at > READING_AGE:
        detail = {"read_at": facts.read_at.isoformat() if facts.read_at else ""}
        found.append(Finding("old_reading", False, detail=detail))
    found += [Finding("key_without_owner", True, detail={"key": name}) for name in facts.ownerless_keys]
    return found


def _of_member(member: MemberFacts) -> list[Finding]:
    who = member.username
    found = []
    if member.charged_here:
        found.append(Finding("charged_here", True, who))
    if member.expected_nano is None:
        found.append(Finding("balance_unknown", True, who, {"booked_nano": member.booked_nano}))
    elif member.expected_nano != member.booked_nano:
        figures = {"expected_nano": member.expected_nano, "booked_nano": member.booked_nano}
        found.append(Finding("balance_does_not_tie_out", True, who, figures))
    if not member.has_address:
        found.append(Finding("no_address", False, who))
    if not member.is_enabled:
        found.append(Finding("person_disabled", False, who))
    elif not member.live_key_count:
        found.append(Finding("no_live_key", False, who))
    if member.is_enabled:
        found += [_of_model(who, model) for model in member.models if model.refusal]
    return found


def _of_model(who: str, model: ModelFact) -> Finding:
    detail = {"model": model.name, "key": model.key_name}
    if model.refusal in BLOCKING_REFUSALS:
        return Finding(str(model.refusal), True, who, detail)
    return Finding("model_refused_here", False, who, {**detail, "refusal": model.refusal})
