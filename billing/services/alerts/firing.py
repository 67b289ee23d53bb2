"""One look at one subject: decides under the state's version who tells, and writes event, mails and deliveries with it.

Of two workers that saw the same version one changes the row; the other finds nothing to do. All is one transaction: a
worker that is killed before the end has told nothing, and the next look tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from billing.alerting.crossing import Step, look
from billing.alerting.kinds import FACTS
from billing.models import AlertEvent, AlertRule, AlertState
from billing.services.alerts import notices
from config.foundation.clock import now


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a subject. ``figures`` are kept with the event and sent to web hooks: never a secret in it."""

    value: int
    subject: str = ""
    period: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    # None: as often as it crosses. Otherwise a crossing so soon after the last one that was told stays armed and untold.
    at_most_every: timedelta | None = None


@transaction.atomic
def step(rule: AlertRule, seen: Seen) -> AlertEvent | None:
    """Compare, remember, tell. Gives the event when something was told (an end counts), else None."""
    facts = FACTS[rule.kind]
    state, _is_new = AlertState.objects.get_or_create(
        rule=rule, subject=seen.subject, defaults={"period": seen.period, "last_value": seen.value}
    )
    before = state.crossed if state.period == seen.period else []
    result = look(seen.value, rule.thresholds, before, facts.direction)
    if list(result.crossed) == state.crossed and state.period == seen.period:
        return None
    if result.tells is not None and _is_too_soon(state, seen):
        return None
    tells = rule.is_enabled and (result.tells is not None or (result.is_over and facts.tells_end))
    if not _take(state, seen, result, tells_now=tells and result.tells is not None) or not tells:
        return None
    return _write(rule, state, seen, result)


def settle_in(rule: AlertRule, seen: Seen) -> None:
    """Take what is crossed now as known, without a word: after somebody changed the thresholds."""
    state, _is_new = AlertState.objects.get_or_create(rule=rule, subject=seen.subject, defaults={"period": seen.period})
    _take(state, seen, look(seen.value, rule.thresholds, [], FACTS[rule.kind].direction))


def _take(state: AlertState, seen: Seen, result: Step, *, tells_now: bool = False) -> bool:
    """Write the new state if nobody else did since it was read."""
    changes: dict[str, Any] = {
        "crossed": list(result.crossed),
        "period": seen.period,
        "last_value": seen.value,
        "version": F("version") + 1,
        "checked_at": now(),
    }
    if result.tells is not None:
        changes["epoch"] = state.epoch = state.epoch + 1
    if tells_now:
        changes["told_at"] = now()
    return bool(AlertState.objects.filter(pk=state.pk, version=state.version).update(**changes))


def _is_too_soon(state: AlertState, seen: Seen) -> bool:
    return seen.at_most_every is not None and state.told_at is not None and state.told_at > now() - seen.at_most_every


def _write(rule: AlertRule, state: AlertState, seen: Seen, result: Step) -> AlertEvent:
    is_end = result.tells is None
    # Of an end, the threshold that was crossed first.
    threshold = state.crossed[0] if result.tells is None else result.tells
    event = AlertEvent(
        rule=rule,
        kind=rule.kind,
        phase=AlertEvent.Phase.RESOLVED if is_end else AlertEvent.Phase.TRIGGERED,
        subject=seen.subject,
        period=seen.period,
        epoch=state.epoch,
        threshold=threshold,
        value=seen.value,
        figures={**seen.figures, "thresholds": rule.thresholds},
    )
    event.save(force_insert=True)
    notices.tell(event)
    return event
