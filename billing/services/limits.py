"""All limits of one key, person, group or member in one act: money windows and calls, all or nothing."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import User
from billing.services.budgets import MOST_NANO, set_spend_limit
from config.foundation.errors import InvalidInput
from keys.models import CallLimit
from keys.services_limits import CallFigures, Subject, set_call_limit

SPANS = ("total", "monthly", "daily")


@dataclass(frozen=True, slots=True)
class Limits:
    """Nano-USD in all, a month and a day, and figures of calls; None: no such limit. ``time_zone`` "": as it is."""

    total: int | None = None
    monthly: int | None = None
    daily: int | None = None
    time_zone: str = ""
    calls: CallFigures = CallFigures()


@transaction.atomic
def set_limits(*, actor: User | None, subject: Subject, limits: Limits) -> CallLimit | None:
    """Replace every limit of the subject itself. Raises NotAllowed, or InvalidInput with the field in ``details``."""
    whose: dict[str, Any] = {"key": subject.key, "user": subject.user, "group": subject.group}
    for span in SPANS:
        try:
            set_spend_limit(actor=actor, span=span, limit_nano=getattr(limits, span), time_zone=limits.time_zone, **whose)
        except InvalidInput as wrong:
            raise InvalidInput(wrong.message, field=span if _is_wrong(getattr(limits, span)) else "time_zone") from None
    return set_call_limit(actor=actor, subject=subject, figures=limits.calls)


def _is_wrong(nano: int | None) -> bool:
    return nano is not None and not 0 <= nano < MOST_NANO
