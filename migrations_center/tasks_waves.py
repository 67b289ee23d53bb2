"""Celery doors of waves: ids in, one service call, safe to run twice. ``tasks.py`` imports them for the worker."""

from celery import shared_task

from accounts.models import User
from accounts.rights import may
from migrations_center.models import Wave
from migrations_center.selectors_waves import waves_at_work
from migrations_center.services import notices, switching

PREFIX = "migrations_center.tasks"


@shared_task(name=f"{PREFIX}.notify_wave_task", ignore_result=True)
def notify_wave_task(wave_id: int) -> None:
    """Write the notices of a wave that was told; those that are there stay as they are."""
    notices.write_notices(Wave.objects.get(pk=wave_id))


@shared_task(name=f"{PREFIX}.switch_wave_task", ignore_result=True)
def switch_wave_task(wave_id: int) -> None:
    """Go on with a wave in the state switching."""
    wave = Wave.objects.get(pk=wave_id)
    switching.run_switch(actor=_who_began(wave), wave=wave)


@shared_task(name=f"{PREFIX}.go_back_wave_task", ignore_result=True)
def go_back_wave_task(wave_id: int) -> None:
    """Go on with a wave in the state going back."""
    wave = Wave.objects.get(pk=wave_id)
    switching.run_back(actor=_who_began(wave), wave=wave)


@shared_task(name=f"{PREFIX}.advance_waves_task", ignore_result=True)
def advance_waves_task() -> None:
    """Resume what a dead worker left, wait for calls that still run, and account for calls that ended late."""
    for wave in waves_at_work():
        if wave.state == Wave.State.GOING_BACK:
            switching.run_back(actor=_who_began(wave), wave=wave)
        elif wave.state == Wave.State.GONE_BACK:
            switching.close_late(actor=None, wave=wave)
        else:
            switching.run_switch(actor=_who_began(wave), wave=wave)


def _who_began(wave: Wave) -> User | None:
    """The person who set the wave going, so that the trail names them; the system when they may no longer."""
    event = wave.events.order_by("-id").first()
    actor = event.actor if event else None
    return actor if actor and may(actor, "migrations.manage") else None
