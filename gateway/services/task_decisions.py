"""What people decide about tasks: how one in doubt ended, that one is asked after again, that its end is told once more."""

from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import may, require
from accounts.services import audit
from billing.models import HookDelivery
from billing.services import hooks
from billing.services.refunds import RefundResult, refund_failed_task
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from gateway.contract.task_ends import what_follows
from gateway.contract.tasks import COMPLETED, FAILED, Seen
from gateway.models_tasks import MediaTask
from gateway.selectors_tasks import leads
from gateway.services.tasks import price_of, tell_seen, view_of

RIGHT = "tasks.decide"
MOST_SECONDS = 3600


@transaction.atomic
def settle_task(*, actor: User, task: MediaTask, seconds: Decimal, size: str, note: str) -> MediaTask:
    """A task in doubt was delivered: charge it for this length and size. Raises Conflict when it is not in doubt."""
    _in_doubt(actor, task, note)
    if not 0 < seconds <= MOST_SECONDS:
        raise InvalidInput(_("The length is between 0 and 3600 seconds."))
    seen = Seen(COMPLETED, progress=100, video_ms=int(seconds * 1000), size=size.strip()[:32])
    view = view_of(task)
    columns, event = what_follows(view, seen, price_of(view), now())
    if event is None:
        raise InvalidInput(_("There is no price for a video of this size."))
    return _decided(actor, task, note, "task.settled", {**columns, **_by(actor, note)}, event)


@transaction.atomic
def release_task(*, actor: User, task: MediaTask, note: str) -> MediaTask:
    """A task in doubt gave nothing: its money goes back. Raises Conflict when it is not in doubt."""
    _in_doubt(actor, task, note)
    seen = Seen(FAILED, failure_code="decided_failed", failure_reason=note.strip()[:255])
    columns, event = what_follows(view_of(task), seen, None, now())
    return _decided(actor, task, note, "task.released", {**columns, **_by(actor, note)}, event)


@transaction.atomic
def link_task(*, actor: User, task: MediaTask, upstream_task_id: str, note: str) -> MediaTask:
    """The provider knows the task by this id: it is asked after from now on. Raises Conflict when it is not in doubt."""
    _in_doubt(actor, task, note)
    wanted = upstream_task_id.strip()
    if not wanted or len(wanted) > 255 or not all(one.isalnum() or one in "-_.:" for one in wanted):
        raise InvalidInput(_("Give the id of the video at the provider."))
    if MediaTask.objects.filter(upstream=task.upstream, upstream_task_id=wanted).exclude(pk=task.pk).exists():
        raise Conflict(_("Another task has this id already."))
    columns = {
        "upstream_task_id": wanted,
        "state": "in_progress",
        "next_check_at": now().isoformat(),
        "failed_checks": 0,
        **_by(actor, note),
    }
    return _decided(actor, task, note, "task.linked", columns, None)


@transaction.atomic
def ask_again(*, actor: User, task: MediaTask) -> None:
    """Have the provider of an open task asked at the next look."""
    require(actor, RIGHT)
    due = MediaTask.objects.filter(pk=task.pk).exclude(state__in=MediaTask.CLOSED).exclude(upstream_task_id="")
    if not due.update(next_check_at=now()):
        raise Conflict(_("This task is over, or its provider knows no id of it."))
    audit.record(actor=actor, action="task.asked_again", target=task)


def refund_task(*, actor: User, task: MediaTask, reason: str) -> RefundResult:
    """A completed task whose result is no result: all of its charge goes back, once."""
    if task.state != MediaTask.State.COMPLETED:
        raise Conflict(_("Only a completed task was charged."))
    return refund_failed_task(actor=actor, request_id=task.pk, reason=reason)


@transaction.atomic
def resend_callback(*, actor: User, task: MediaTask, delivery: HookDelivery) -> HookDelivery:
    """Tell the end of a task once more, with the same event id."""
    is_own = task.user_id is not None and task.user_id == actor.pk
    if not (is_own or leads(actor, task.team) or may(actor, RIGHT)):
        raise NotAllowed
    return hooks.send_again(actor=actor, delivery=delivery)


def _in_doubt(actor: User, task: MediaTask, note: str) -> None:
    require(actor, RIGHT)
    if not note.strip():
        raise InvalidInput(_("Say how you know."))
    if task.state != MediaTask.State.UNKNOWN:
        raise Conflict(_("This task is not in doubt."))


def _by(actor: User, note: str) -> dict[str, object]:
    return {"decided_by_id": actor.pk, "decision_note": note.strip()[:255]}


def _decided(actor: User, task: MediaTask, note: str, action: str, columns: dict[str, object], event: object) -> MediaTask:
    said = tell_seen(view_of(task), columns, event)  # type: ignore[arg-type]
    if said not in {"ended", "noted"}:
        raise Conflict(_("The task was brought to its end by somebody else."))
    before = {"state": task.state, "doubt": task.doubt}
    task.refresh_from_db()
    after = {"state": task.state, "cost_nano": task.cost_nano}
    audit.record(actor=actor, action=action, target=task, before=before, after=after, reason=note.strip())
    return task


__all__ = ["ask_again", "link_task", "refund_task", "release_task", "resend_callback", "settle_task"]
