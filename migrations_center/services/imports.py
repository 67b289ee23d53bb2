"""Imports as runs: started from a page or the shell, previewed, applied, stopped, resumed. The door for pages, tasks, command.

An address with a password lives sealed in the cache for an hour under the run's id, nowhere else; uploaded files lie in
``VAR_DIR/imports`` until the run ends.
"""

import logging
import shutil
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from config.foundation import crypto
from config.foundation.clock import now
from config.foundation.errors import PortalError
from migrations_center.models import ImportIssue, ImportRun
from migrations_center.services import import_engine as engine
from migrations_center.services.apply.context import ImportOptions
from migrations_center.services.apply.plan import ImportPlan
from migrations_center.services.apply.tally import Issue
from migrations_center.services.errors import (
    AddressForgotten,
    ControlTotalsMismatch,
    FileGone,
    ImportAlreadyRunning,
    ImportStopped,
    RunNotReady,
)
from migrations_center.sources.address import parse_source
from migrations_center.sources.errors import SourceAddressWrong, SourceEmpty, SourceMissing

logger = logging.getLogger(__name__)
State = ImportRun.State
ADDRESS_SECONDS = 3600
# Longer than any single step without a word: reading and checking a large file, posting all balances at once.
SILENT_FOR = timedelta(minutes=15)
BUSY = (State.READING, State.APPLYING, State.STOPPING)
RESUMABLE = (State.PREVIEWED, State.STOPPED, State.FAILED, State.REFUSED)
Uploaded = Any


def start_run(
    *,
    actor: User | None,
    file: Uploaded | Path | None = None,
    log_file: Uploaded | Path | None = None,
    dsn: str = "",
    log_dsn: str = "",
    options: dict[str, Any] | None = None,
) -> ImportRun:
    """A new run from an uploaded file (or a path on this machine) or a database's address; a worker makes the preview.

    Raises NotAllowed, SourceAddressWrong, SourceEmpty, SourceMissing. The address is sealed in the cache for an hour.
    """
    _may_manage(actor)
    if bool(file) == bool(dsn):
        raise SourceAddressWrong(_("Give a file or the address of a database."))
    for text in filter(None, (dsn, log_dsn)):
        if parse_source(text).is_file:
            raise SourceAddressWrong(_("This is not the address of a database."))
    run_id = uuid.uuid4()
    with transaction.atomic():
        run = ImportRun(
            id=run_id,
            started_by=actor,
            options=ImportOptions.from_json(options or {}).as_json(),
            file_name=_keep_file(run_id, "main", file) if file else "",
            log_file_name=_keep_file(run_id, "logs", log_file) if log_file else "",
        )
        run.save(force_insert=True)
        if dsn or log_dsn:
            remember_address(run_id, dsn, log_dsn)
        audit.record(actor=actor, action="import.started", target=run, label=run.file_name or "database")
        transaction.on_commit(lambda: _enqueue("preview", run_id))
    return run


def remember_address(run_id: uuid.UUID, dsn: str, log_dsn: str = "") -> None:
    """Seal the addresses of a run for an hour. Typed again, they replace what was there."""
    sealed = crypto.seal(f"{dsn}\n{log_dsn}").decode()
    cache.set(_address_key(run_id), sealed, timeout=ADDRESS_SECONDS)


def preview_again(
    *, actor: User | None, run_id: uuid.UUID, options: dict[str, Any], dsn: str = "", log_dsn: str = ""
) -> ImportRun:
    """Preview the run once more with other decisions. Raises RunNotReady while it is busy or once it is applied."""
    _may_manage(actor)
    chosen = ImportOptions.from_json(options).as_json()
    if dsn or log_dsn:
        remember_address(run_id, dsn, log_dsn)
    with transaction.atomic():
        if not ImportRun.objects.filter(pk=run_id, state__in=RESUMABLE).update(state=State.READING, options=chosen, error=""):
            raise RunNotReady
        transaction.on_commit(lambda: _enqueue("preview", run_id))
    return ImportRun.objects.get(pk=run_id)


def begin_apply(*, actor: User | None, run_id: uuid.UUID, options: dict[str, Any] | None = None) -> ImportRun:
    """Let a previewed, stopped or failed run land; a worker does the work. Raises RunNotReady, ControlTotalsMismatch."""
    _may_manage(actor)
    run = ImportRun.objects.get(pk=run_id)
    totals = run.report.get("totals", {})
    if not totals or not all(total["ties_out"] for total in totals.values()):
        raise ControlTotalsMismatch
    fields: dict[str, Any] = {"state": State.APPLYING, "error": "", "heartbeat_at": now()}
    if options is not None:
        fields["options"] = ImportOptions.from_json(options).as_json()
    with transaction.atomic():
        if not ImportRun.objects.filter(pk=run_id, state__in=RESUMABLE).update(**fields):
            raise RunNotReady
        run.refresh_from_db()
        audit.record(actor=actor, action="import.apply", target=run, after={"options": run.options})
        transaction.on_commit(lambda: _enqueue("apply", run_id))
    return run


def request_stop(*, actor: User | None, run_id: uuid.UUID) -> bool:
    """Stop a reading, or a running apply after its current batch; False when none runs. What was written stays."""
    _may_manage(actor)
    runs = ImportRun.objects.filter(pk=run_id)
    stopped = runs.filter(state=State.APPLYING).update(state=State.STOPPING)
    stopped = stopped or runs.filter(state=State.READING).update(state=State.STOPPED)
    if stopped:
        audit.record(actor=actor, action="import.stop", target=ImportRun.objects.get(pk=run_id))
    return bool(stopped)


def preview_run(run_id: uuid.UUID) -> ImportRun:
    """Read the source of a run and keep the report and its reasons; nothing else is written. Safe to run twice."""
    run = ImportRun.objects.get(pk=run_id)
    if run.state != State.READING:
        return run
    with _outcome_of(run):
        with engine.open_reading(place_of(run), ImportOptions.from_json(run.options)) as reading:
            source = engine.identify(reading)
            plan = engine.plan_of(reading, source, run)
            reading.gateway.verify_unchanged()
        _keep_report(run, plan, State.PREVIEWED)
        if source.pk:
            ImportRun.objects.filter(pk=run.pk).update(source=source)
    run.refresh_from_db()
    return run


def apply_run(run_id: uuid.UUID) -> ImportRun:
    """Let a run land. A run that was killed half-way goes on; one that is applied already stays as it is."""
    run = ImportRun.objects.get(pk=run_id)
    if run.state not in (State.APPLYING, State.STOPPING):
        return run
    with _outcome_of(run):
        with engine.open_reading(place_of(run), ImportOptions.from_json(run.options)) as reading:
            try:
                plan = engine.apply_plan(reading, engine.identify(reading), run, _reporter(run))
            except ImportAlreadyRunning:
                # The broker delivers a long task twice; the worker that has it goes on.
                if run.heartbeat_at and run.heartbeat_at > now() - SILENT_FOR:
                    return run
                raise
        _keep_report(run, plan, State.APPLIED)
        forget_inputs(run)
    run.refresh_from_db()
    return run


def note_interrupted() -> int:
    """Runs whose worker was killed: say so, so that somebody can go on with them. Gives their number."""
    alive = ImportRun.objects.filter(state__in=(State.APPLYING, State.STOPPING), heartbeat_at__lt=now() - SILENT_FOR)
    return alive.update(state=State.FAILED, error=_("The worker was interrupted. Go on with the import when you like."))


def import_now(
    place: engine.Place, options: ImportOptions, *, dry_run: bool, on_progress: engine.Progress | None = None
) -> dict[str, Any]:
    """Import in this process, as the command does; gives the public report. A dry run writes nothing at all."""
    with engine.open_reading(place, options) as reading:
        source = engine.identify(reading)
        if dry_run:
            plan = engine.plan_of(reading, source)
            reading.gateway.verify_unchanged()
            return engine.public_report(plan)
        # Refused before there is any row: the plan is made once without writing.
        engine.plan_of(reading, source)
        run = ImportRun.objects.create(state=State.APPLYING, options=options.as_json(), heartbeat_at=now())
        with _outcome_of(run):
            plan = engine.apply_plan(reading, source, run, _reporter(run, on_progress))
            _keep_report(run, plan, State.APPLIED)
        return engine.public_report(plan)


def place_of(run: ImportRun) -> engine.Place:
    """Where the run's source is. Raises AddressForgotten or FileGone."""
    if run.file_name:
        paths = [imports_dir() / name for name in (run.file_name, run.log_file_name) if name]
        if not all(path.is_file() for path in paths):
            raise FileGone
        found = [parse_source(str(path)) for path in paths]
        return engine.Place(found[0], found[1] if len(found) > 1 else None)
    sealed = cache.get(_address_key(run.pk))
    if not sealed:
        raise AddressForgotten
    dsn, _sep, log_dsn = crypto.unseal(sealed.encode()).partition("\n")
    return engine.Place(parse_source(dsn), parse_source(log_dsn) if log_dsn else None)


def imports_dir() -> Path:
    return Path(settings.VAR_DIR) / "imports"


def forget_inputs(run: ImportRun) -> None:
    """Remove the uploaded files and the sealed address of a run that has landed."""
    for name in (run.file_name, run.log_file_name):
        if name:
            (imports_dir() / name).unlink(missing_ok=True)
    cache.delete(_address_key(run.pk))


class _outcome_of:  # noqa: N801 - reads as a clause
    """Writes down how a run ended when it does not end well; the error goes on to the caller."""

    def __init__(self, run: ImportRun) -> None:
        self.run = run

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        state, text = State.FAILED, _("Something went wrong that is not the source's fault. The log of the worker says more.")
        if isinstance(error, ImportStopped):
            state, text = State.STOPPED, ""
        elif isinstance(error, ControlTotalsMismatch):
            state, text = State.REFUSED, error.message
        elif isinstance(error, PortalError):
            text = error.message
        else:
            logger.error("Import %s ended with %s.", self.run.pk, type(error).__name__)
        ImportRun.objects.filter(pk=self.run.pk).update(state=state, error=text, heartbeat_at=now())


def _reporter(run: ImportRun, on_progress: engine.Progress | None = None) -> engine.Progress:
    """Writes progress after each batch, and stops between two of them when somebody asked for it."""
    progress: dict[str, Any] = {"began_at": time.time()}

    def report(step: str, done: int, total: int) -> None:
        if ":" not in step:
            progress[step] = {"done": done, "total": total}
        if not ImportRun.objects.filter(pk=run.pk, state=State.APPLYING).update(progress=progress, heartbeat_at=now()):
            raise ImportStopped
        if on_progress:
            on_progress(step, done, total)

    return report


@transaction.atomic
def _keep_report(run: ImportRun, plan: ImportPlan, state: str) -> None:
    fields: dict[str, Any] = {
        "state": state,
        "report": engine.report_of(plan),
        "snapshot_digest": plan.context.snapshot_digest,
        "heartbeat_at": now(),
        "error": "",
    }
    if state == State.APPLIED:
        fields["applied_at"] = now()
    # A reading that somebody stopped keeps nothing; an apply is past the point where it could be stopped.
    if not ImportRun.objects.filter(pk=run.pk).exclude(state=State.STOPPED).update(**fields):
        return
    ImportIssue.objects.filter(run=run).delete()
    ImportIssue.objects.bulk_create([_issue(run, issue) for issue in plan.context.tally.issues], batch_size=1000)


def _issue(run: ImportRun, issue: Issue) -> ImportIssue:
    return ImportIssue(
        run=run,
        kind=issue.kind,
        table=issue.table,
        row_id=issue.row_id[:64],
        label=issue.label,
        reason=issue.reason,
        detail=issue.detail,
    )


def _keep_file(run_id: uuid.UUID, part: str, file: Uploaded | Path) -> str:
    """Copy the file to where workers find it, readable by us alone; gives its name there."""
    folder = imports_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{run_id.hex}-{part}.sqlite3"
    target = folder / name
    if isinstance(file, Path):
        if not file.is_file():
            raise SourceMissing
        shutil.copyfile(file, target)
    else:
        with target.open("wb") as stream:
            _pour(file, stream)
    target.chmod(0o600)
    if target.stat().st_size == 0:
        target.unlink()
        raise SourceEmpty
    return name


def _pour(file: Uploaded, stream: IO[bytes]) -> None:
    for chunk in file.chunks():
        stream.write(chunk)


def _enqueue(what: str, run_id: uuid.UUID) -> None:
    from migrations_center import tasks

    task: Callable[..., Any] = tasks.preview_import_task if what == "preview" else tasks.apply_import_task
    task.delay(str(run_id))  # type: ignore[attr-defined]


def _address_key(run_id: uuid.UUID) -> str:
    return f"import-address:{run_id}"


def _may_manage(actor: User | None) -> None:
    """``actor`` None is the system itself (the shell)."""
    if actor is not None:
        require(actor, "migrations.manage")
