"""Celery doors of this app: ids in, one service call, safe to run twice."""

import uuid

from celery import shared_task

from gateway.planes import keys_feed, usage
from gateway.services import checks, proofs, tasks, trial_lists

ROUNDS = 10


@shared_task(name="gateway.tasks.run_access_check_task", ignore_result=True, time_limit=300)
def run_access_check_task(check_id: str) -> None:
    """Make the two calls of an access check."""
    checks.run_check(uuid.UUID(check_id))


@shared_task(name="gateway.tasks.run_proof_task", ignore_result=True, time_limit=3600)
def run_proof_task(run_id: str) -> None:
    """Make the calls of a proof of names; goes on where a dead worker left off."""
    proofs.run_proof(uuid.UUID(run_id))


@shared_task(name="gateway.tasks.check_tasks_task", ignore_result=True)
def check_tasks_task() -> None:
    """Ask after videos that are due, a batch at a time."""
    for _round in range(ROUNDS):
        if tasks.check_due_tasks() < tasks.BATCH:
            return


@shared_task(name="gateway.tasks.keep_task_holds_task", ignore_result=True)
def keep_task_holds_task() -> None:
    """Keep the money of open videos held."""
    tasks.keep_holds()


@shared_task(name="gateway.tasks.run_trial_task", ignore_result=True, time_limit=900)
def run_trial_task(team_id: int) -> None:
    """Make the calls of a project's trial list."""
    trial_lists.run_checks(team_id)


@shared_task(name="gateway.tasks.forget_plane_notes_task", ignore_result=True)
def forget_plane_notes_task() -> None:
    """Drop what was noted of data planes' events and of changed keys when nobody can ask for it any more."""
    usage.forget_old_events()
    keys_feed.forget_old_changes()
