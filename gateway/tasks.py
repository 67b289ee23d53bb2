"""Celery doors of this app: ids in, one service call, safe to run twice."""

import uuid

from celery import shared_task

from gateway.services import checks


@shared_task(name="gateway.tasks.run_access_check_task", ignore_result=True, time_limit=300)
def run_access_check_task(check_id: str) -> None:
    """Make the two calls of an access check."""
    checks.run_check(uuid.UUID(check_id))
