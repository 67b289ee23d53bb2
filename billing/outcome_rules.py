"""What a call costs by how it ended: one pure function over a table that staff can see and change.

The table has a row for each way to end and two columns: what is charged when the upstream reported its usage, and when we
had to count. Used by the relay at the end of every call, and by whoever reports ends of calls from elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from billing.expressions import ExpressionError
from billing.pricing import NoPrice, Price, Usage
from config.foundation.outcomes import Outcome

NOTHING = "nothing"
INPUT = "input"
ALL = "all"

COMPLETE = "complete"
CUT = "cut_after_output"
TIMEOUT_AFTER = "timeout_after_output"
GONE_AFTER = "client_gone_after_output"
GONE_BEFORE = "client_gone_before_output"
FAILED = "failed_before_output"
TIMEOUT_BEFORE = "timeout_before_output"
REFUSED = "refused"
EVENTS = (COMPLETE, CUT, TIMEOUT_AFTER, GONE_AFTER, GONE_BEFORE, FAILED, TIMEOUT_BEFORE, REFUSED)

# A promise of the house, not a setting: an answer is paid for, and no result means no charge.
FIXED = {COMPLETE: ALL, FAILED: NOTHING, TIMEOUT_BEFORE: NOTHING, REFUSED: NOTHING}
DEFAULTS = {**FIXED, CUT: ALL, TIMEOUT_AFTER: ALL, GONE_AFTER: ALL, GONE_BEFORE: INPUT}

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """One version of the table. ``cells`` are (event, "reported" or "counted") to an action; a missing one is the default."""

    version_id: int = 0
    cells: Mapping[Cell, str] = field(default_factory=dict)

    def action(self, event: str, *, is_counted: bool) -> str:
        fixed = FIXED.get(event)
        return fixed or self.cells.get((event, "counted" if is_counted else "reported"), DEFAULTS[event])


HOUSE_RULES = OutcomeRules()


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """The table in force for everybody, and those of billing groups that have one of their own."""

    for_all: OutcomeRules = HOUSE_RULES
    by_group: Mapping[str, OutcomeRules] = field(default_factory=dict)

    def rules_for(self, payer_group_code: str) -> OutcomeRules:
        return self.by_group.get(payer_group_code, self.for_all)


@dataclass(slots=True)
class Ending:
    """The facts of an end. ``has_output``: something of an answer reached the client. ``by_client``: the client left.

    ``is_counted``: the amounts are our estimate, because the upstream reported none. Only the attempt that served is told
    of; what others used is the operator's.
    """

    outcome: str
    was_sent: bool = True
    has_output: bool = True
    by_client: bool = True
    is_counted: bool = False

    @property
    def event(self) -> str:
        if not self.was_sent:
            return REFUSED
        if self.outcome == Outcome.OK:
            return COMPLETE
        if self.outcome == Outcome.CANCELLED and self.by_client:
            return GONE_AFTER if self.has_output else GONE_BEFORE
        if self.outcome == Outcome.TIMEOUT:
            return TIMEOUT_AFTER if self.has_output else TIMEOUT_BEFORE
        return CUT if self.has_output else FAILED


@dataclass(slots=True)
class Settled:
    """What is charged, nano-USD, and its arithmetic for the request log."""

    cost_nano: int
    detail: dict[str, Any]


def settle(
    *, rules: OutcomeRules, ending: Ending, usage: Usage | None, price: Price | None, held_nano: int | None = None
) -> Settled:
    """The charge for a call that ended this way, at the price of its admission.

    An estimate never costs more than was held. What cannot be priced afterwards costs what was held for it: the same rule
    gave that figure.
    """
    event = ending.event
    action = rules.action(event, is_counted=ending.is_counted)
    rule: dict[str, Any] = {"event": event, "charged": action, "version": rules.version_id}
    if usage is None or price is None or action == NOTHING:
        return Settled(0, {"rule": {**rule, "charged": NOTHING}})
    if ending.is_counted:
        rule["estimated"] = True
    try:
        quote = price.quote(only_input(usage) if action == INPUT else usage)
    except (NoPrice, ExpressionError):
        return Settled(held_nano or 0, {"formula": "estimate", "rule": rule})
    detail = {**quote.explain(), "rule": rule}
    if ending.is_counted and held_nano is not None and quote.cost_nano > held_nano:
        rule["capped_from_nano"] = quote.cost_nano
        detail["cost_nano"] = held_nano
        return Settled(held_nano, detail)
    return Settled(quote.cost_nano, detail)


def only_input(usage: Usage) -> Usage:
    """The part of a usage that the client sent."""
    return replace(
        usage,
        output=0,
        reasoning=0,
        image_output=0,
        audio_output=0,
        images=0,
        video_ms=0,
        audio_ms=0,
        characters=0,
        surcharges=(),
    )
