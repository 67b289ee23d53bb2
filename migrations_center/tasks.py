"""Celery doors of this app: ids in, one service call, safe to run twice."""

import uuid
from contextlib import suppress

from celery import shared_task

from config.foundation.errors import PortalError
from migrations_center.services import imports
from migrations_center.tasks_waves import advance_waves_task, go_back_wave_task, notify_wave_task, switch_wave_task

__all__ = [
    "advance_waves_task",
    "apply_import_task",
    "go_back_wave_task",
    "note_interrupted_imports_task",
    "notify_wave_task",
    "preview_import_task",
    "switch_wave_task",
]


@shared_task(name="migrations_center.tasks.preview_import_task", ignore_result=True)
def preview_import_task(run_id: str) -> None:
    """Read the source of a run and keep what would land."""
    with suppress(PortalError):
        # The run says why; there is nothing for a second try to do.
        imports.preview_run(uuid.UUID(run_id))


@shared_task(name="migrations_center.tasks.apply_import_task", ignore_result=True, time_limit=6 * 3600)
def apply_import_task(run_id: str) -> None:
    """Let a run land. Delivered again after a worker was killed, it goes on where the first one ended."""
    with suppress(PortalError):
        imports.apply_run(uuid.UUID(run_id))


@shared_task(name="migrations_center.tasks.note_interrupted_imports_task", ignore_result=True)
def note_interrupted_imports_task() -> None:
    """Say of imports whose worker was killed that they were interrupted."""
    imports.note_interrupted()
