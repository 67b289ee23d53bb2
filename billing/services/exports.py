"""Making large workbooks by a worker: asked for, claimed by one conditional update, written in one pass, kept for a day."""

import logging
import tempfile
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone, translation
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import audit
from billing.exports import write_book
from billing.models import ExportJob, ExportPart
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotFound, PortalError

log = logging.getLogger(__name__)
State = ExportJob.State
MOST_OPEN = 3
PART_BYTES = 1024 * 1024
KEPT = timedelta(hours=24)
# A worker writes its progress every so many rows; one that was silent for so long is dead.
STEP = 2000
SILENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Table:
    """A list as a file has it."""

    header: Sequence[object]
    rows: Iterable[Sequence[object]]


Builder = Callable[[User, QueryDict], Table]
_builders: dict[str, Builder] = {}


class Lost(Exception):
    """Another worker took the job over: whoever sees it stops writing."""


def register(name: str, builder: Builder) -> None:
    """A list that can be made by a worker: the rows that the page shows for the same person and address."""
    _builders[name] = builder


def _known() -> dict[str, Builder]:
    """What the apps' modules ``export_kinds`` register. They bring all pages along, so they are read when they are needed."""
    autodiscover_modules("export_kinds")
    return _builders


@transaction.atomic
def start_export(*, actor: User, name: str, query: str) -> ExportJob:
    """Ask for the workbook of a list. Raises InvalidInput, and Conflict when too many of one's own are on their way."""
    if name not in _known():
        raise InvalidInput(_("There is no such export."))
    own = ExportJob.objects.filter(user=actor, state__in=[State.QUEUED, State.RUNNING])
    same = own.filter(name=name, query=query[:4000]).first()
    if same is not None:
        return same
    if own.count() >= MOST_OPEN:
        raise Conflict(_("Three of your exports are being made. Wait for one of them."))
    job = ExportJob.objects.create(
        user=actor,
        name=name,
        query=query[:4000],
        language=translation.get_language() or "en",
        time_zone=timezone.get_current_timezone_name(),
    )
    audit.record(actor=actor, action="export.asked", target=job, after={"list": name})
    return job


def make_export(job_id: UUID) -> str:
    """Make the file of a job that waits, or whose worker died; gives its state. A second worker finds nothing to do."""
    moment = now()
    due = Q(state=State.QUEUED) | Q(state=State.RUNNING, touched_at__lt=moment - SILENCE)
    claimed = ExportJob.objects.filter(due, pk=job_id).update(state=State.RUNNING, touched_at=moment, row_count=0)
    job = ExportJob.objects.select_related("user").filter(pk=job_id).first()
    if job is None or not claimed:
        return job.state if job else ""
    try:
        with translation.override(job.language), timezone.override(zoneinfo.ZoneInfo(job.time_zone)):
            _make(job)
    except Lost:
        log.info("export %s was taken over", job_id)
    except PortalError as refused:
        _end(job, State.FAILED, error=refused.message[:191])
    except Exception:
        log.exception("export %s failed", job_id)
        _end(job, State.FAILED, error="error")
    return ExportJob.objects.values_list("state", flat=True).get(pk=job_id)


def make_waiting(limit: int = 20) -> int:
    """Jobs that nobody has in hand, oldest first; gives how many were made. Files of yesterday are removed."""
    ExportJob.objects.filter(created_at__lt=now() - KEPT).delete()
    due = Q(state=State.QUEUED) | Q(state=State.RUNNING, touched_at__lt=now() - SILENCE)
    waiting = list(ExportJob.objects.filter(due).order_by("created_at").values_list("pk", flat=True)[:limit])
    return sum(make_export(pk) == State.DONE for pk in waiting)


def export_for(actor: User, job_id: UUID) -> ExportJob:
    """One's own export; everybody else's is not found."""
    found = ExportJob.objects.filter(pk=job_id, user=actor).first()
    if found is None:
        raise NotFound
    return found


def content_of(job: ExportJob) -> Iterator[bytes]:
    """The file piece by piece."""
    for number in range(job.parts.count()):
        yield bytes(ExportPart.objects.values_list("content", flat=True).get(job=job, n=number))


def _make(job: ExportJob) -> None:
    if not job.user.is_active:
        raise InvalidInput(_("The account is not active."))
    table = _known()[job.name](job.user, QueryDict(job.query))
    with tempfile.TemporaryFile() as file:
        write_book(file, table.header, _counted(job, table.rows))
        size = file.tell()
        file.seek(0)
        with transaction.atomic():
            _touch(job, byte_count=size)
            ExportPart.objects.filter(job=job).delete()
            number = 0
            while piece := file.read(PART_BYTES):
                ExportPart.objects.create(job=job, n=number, content=piece)
                number += 1
            _end(job, State.DONE)


def _counted(job: ExportJob, rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    number = 0
    for row in rows:
        number += 1
        if number % STEP == 0:
            _touch(job, row_count=number)
        yield row
    _touch(job, row_count=number)


def _touch(job: ExportJob, **values: Any) -> None:
    """Progress and a sign of life, by the worker that has the job; raises Lost in every other."""
    moment = now()
    held = ExportJob.objects.filter(pk=job.pk, state=State.RUNNING, touched_at=job.touched_at)
    if not held.update(touched_at=moment, **values):
        raise Lost
    job.touched_at = moment


def _end(job: ExportJob, state: str, error: str = "") -> None:
    held = ExportJob.objects.filter(pk=job.pk, state=State.RUNNING, touched_at=job.touched_at)
    if not held.update(state=state, error=error, finished_at=now()):
        raise Lost
