"""What follows from a look at a video: the columns to keep and, when it is over, the end of its call with its charge."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from billing.pricing import NoPrice, Price
from billing.services.ledger import CallEvent
from gateway.contract.tasks import COMPLETED, FAILED, UNKNOWN, Seen, TaskView, closing_event, completed_from, seen_columns

LEAST, MOST = timedelta(seconds=2), timedelta(seconds=60)
IN_DOUBT = timedelta(minutes=5)
# A provider that cannot be asked so many times in a row has the task in doubt.
MOST_FAILED_CHECKS = 20
MOST_AGE = timedelta(hours=48)


def what_follows(task: TaskView, seen: Seen, price: Price | None, moment: datetime) -> tuple[dict[str, Any], CallEvent | None]:
    """For ``gateway_task_seen``. What cannot be charged rightly is in doubt: the money stays held until somebody has looked."""
    if seen.state == COMPLETED:
        seen = completed_from(task, seen)
    event: CallEvent | None = None
    if seen.state in {COMPLETED, FAILED}:
        try:
            event = closing_event(task, seen, price, moment)
        except NoPrice:
            seen = replace(seen, state=UNKNOWN, doubt="no_price_for_what_was_delivered")
    elif seen.state != UNKNOWN and moment - task.created_at > MOST_AGE:
        seen = replace(seen, state=UNKNOWN, doubt="still_running_after_two_days")
    return seen_columns(seen, moment, None if event else next_check(task, seen.state, moment)), event


def next_check(task: TaskView, state: str, moment: datetime) -> datetime:
    """When to ask again: often at first, then less often."""
    if state == UNKNOWN:
        return moment + IN_DOUBT
    return moment + min(MOST, max(LEAST, (moment - task.created_at) / 10))


def after_no_answer(task: TaskView, why: str, moment: datetime) -> dict[str, Any]:
    """The columns after the provider could not be asked, or answered nothing that says anything."""
    failed = task.failed_checks + 1
    columns: dict[str, Any] = {"checked_at": moment.isoformat(), "failed_checks": failed}
    state = task.state
    if task.state == UNKNOWN or failed >= MOST_FAILED_CHECKS:
        state = UNKNOWN
        columns |= {"state": UNKNOWN, "doubt": f"no_answer {why}"[:64]}
    return {**columns, "next_check_at": next_check(task, state, moment).isoformat()}
