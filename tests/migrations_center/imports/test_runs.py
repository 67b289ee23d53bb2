"""Runs as the pages and workers use them: started, previewed, decided, applied, stopped, gone on with."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import AuditEvent, Group, User
from billing.models import LedgerEntry, RequestLog
from config.foundation.errors import NotAllowed, NotFound
from keys.models import ApiKey
from migrations_center import selectors_imports as selectors
from migrations_center import tasks
from migrations_center.models import ImportedRow, ImportRun, Source
from migrations_center.services import import_engine, imports
from migrations_center.services.apply import steps
from migrations_center.services.errors import AddressForgotten, ImportAlreadyRunning, ImportStopped, RunNotReady
from migrations_center.sources import errors
from tests.migrations_center.imports.support import do_import, sample

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Uploads go to the test's own folder; what would be queued is remembered instead of sent."""
    settings.VAR_DIR = tmp_path
    sent: list[tuple[str, uuid.UUID]] = []
    monkeypatch.setattr(imports, "_enqueue", lambda what, run_id: sent.append((what, run_id)))
    return tmp_path / "imports"


@pytest.fixture
def ops() -> User:
    return User.objects.create(username="ops", role="ops", is_staff=True)


@pytest.fixture
def nobody() -> User:
    return User.objects.create(username="nobody")


def upload(name: str = "one-api") -> SimpleUploadedFile:
    return SimpleUploadedFile("one-api.db", sample(name).read_bytes())


def test_from_the_upload_to_the_result(ops: User, folder: Path) -> None:
    """A preview writes its run, its reasons and nothing else; the apply lands what the preview said; the file is removed."""
    run = imports.start_run(actor=ops, file=upload())
    assert (run.state, run.file_name) == ("reading", f"{run.pk.hex}-main.sqlite3")
    assert (folder / run.file_name).stat().st_mode & 0o777 == 0o600
    tasks.preview_import_task(str(run.pk))
    run.refresh_from_db()
    assert run.state == "previewed"
    assert not Source.objects.exists()
    assert not ImportedRow.objects.exists()
    assert not Group.objects.exists()
    assert User.objects.count() == 1
    previewed = run.report
    assert previewed["decisions"][0]["reason"]
    imports.begin_apply(actor=ops, run_id=run.pk)
    tasks.apply_import_task(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.error) == ("applied", "")
    assert run.applied_at is not None
    for part in ("tables", "totals", "left_out", "refused", "decisions", "differences"):
        assert run.report[part] == previewed[part]
    assert run.progress["logs"] == {"done": 4384, "total": 4384}
    assert list(folder.iterdir()) == []
    said = list(AuditEvent.objects.filter(object_id=str(run.pk)).order_by("id").values_list("action", "actor_name"))
    assert said == [("import.started", "ops"), ("import.apply", "ops"), ("import.applied", "ops")]
    tasks.apply_import_task(str(run.pk))
    assert LedgerEntry.objects.filter(kind="opening_correction").count() == 0


def test_only_operations_may_import(nobody: User, ops: User) -> None:
    with pytest.raises(NotAllowed):
        imports.start_run(actor=nobody, file=upload())
    run = imports.start_run(actor=ops, file=upload())
    for act in (
        lambda: imports.begin_apply(actor=nobody, run_id=run.pk),
        lambda: imports.request_stop(actor=nobody, run_id=run.pk),
        lambda: imports.preview_again(actor=nobody, run_id=run.pk, options={}),
        lambda: selectors.run_for(nobody, run.pk),
        lambda: selectors.runs_for(nobody),
        lambda: selectors.issues_for(nobody, run.pk),
        lambda: selectors.reasons_of(nobody, run.pk),
    ):
        with pytest.raises(NotAllowed):
            act()
    with pytest.raises(NotFound):
        selectors.run_for(ops, uuid.uuid4())


def test_r099_an_address_rests_sealed_for_an_hour_and_nowhere_else(ops: User) -> None:
    dsn = "postgresql://reader:dsn-canary-pw@127.0.0.1:9/gate"
    run = imports.start_run(actor=ops, dsn=dsn)
    sealed = cache.get(f"import-address:{run.pk}")
    assert "canary" not in sealed
    assert imports.place_of(run).main.password == "dsn-canary-pw"
    with pytest.raises(errors.SourceUnreachable):
        imports.preview_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "The database did not answer at this address.")
    assert "canary" not in str(run.__dict__)
    cache.delete(f"import-address:{run.pk}")
    with pytest.raises(AddressForgotten):
        imports.place_of(run)


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({}, errors.SourceAddressWrong),
        ({"dsn": "/etc/passwd"}, errors.SourceAddressWrong),
        ({"file": SimpleUploadedFile("a.db", b"")}, errors.SourceEmpty),
    ],
)
def test_what_cannot_be_a_source_is_refused_at_once(
    ops: User, inputs: dict[str, Any], error: type[Exception], folder: Path
) -> None:
    with pytest.raises(error):
        imports.start_run(actor=ops, **inputs)
    assert not ImportRun.objects.exists()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_broken_upload_ends_as_failed_with_a_sentence(ops: User) -> None:
    run = imports.start_run(actor=ops, file=SimpleUploadedFile("a.db", sample("one-api").read_bytes()[:300_000]))
    with pytest.raises(errors.SourceDamaged):
        imports.preview_run(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error.startswith("The file is not a whole SQLite database")
    with pytest.raises(Exception, match="to the unit"):
        imports.begin_apply(actor=ops, run_id=run.pk)


def test_r075_stopped_between_two_batches_and_gone_on_with(ops: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop is honoured after the batch that runs; the same run goes on to the state of a straight one."""
    monkeypatch.setattr(steps.batches, "__defaults__", (10,))
    run = imports.start_run(actor=ops, file=upload())
    imports.preview_run(run.pk)
    imports.begin_apply(actor=ops, run_id=run.pk)
    original = import_engine.keys.apply_keys

    def stop_then(work: Any) -> None:
        assert imports.request_stop(actor=ops, run_id=run.pk) is True
        original(work)

    monkeypatch.setattr(import_engine.keys, "apply_keys", stop_then)
    with pytest.raises(ImportStopped):
        imports.apply_run(run.pk)
    run.refresh_from_db()
    assert run.state == "stopped"
    assert User.objects.count() == 24
    assert not ApiKey.objects.exists()
    assert not LedgerEntry.objects.exists()
    monkeypatch.setattr(import_engine.keys, "apply_keys", original)
    imports.begin_apply(actor=ops, run_id=run.pk)
    imports.apply_run(run.pk)
    run.refresh_from_db()
    assert run.state == "applied"
    assert run.report["tables"]["users"]["created"] == 23
    assert run.report["tables"]["tokens"]["created"] == 61
    assert RequestLog.objects.count() == 4322


def test_a_run_cannot_be_applied_twice_or_before_its_preview(ops: User) -> None:
    run = imports.start_run(actor=ops, file=upload())
    with pytest.raises(Exception, match="tie out"):
        imports.begin_apply(actor=ops, run_id=run.pk)
    imports.preview_run(run.pk)
    imports.begin_apply(actor=ops, run_id=run.pk)
    with pytest.raises(RunNotReady):
        imports.begin_apply(actor=ops, run_id=run.pk)
    assert imports.request_stop(actor=ops, run_id=run.pk) is True
    assert imports.request_stop(actor=ops, run_id=run.pk) is False


def test_decisions_change_the_preview(ops: User) -> None:
    run = imports.start_run(actor=ops, file=upload())
    imports.preview_run(run.pk)
    imports.preview_again(actor=ops, run_id=run.pk, options={"include_preset_grant": True})
    imports.preview_run(run.pk)
    run.refresh_from_db()
    assert run.report["totals"]["balances"]["left_out_quota"] == 0
    assert run.options["include_preset_grant"] is True


def test_a_killed_worker_is_noticed_and_its_run_can_go_on(ops: User) -> None:
    """A run that has been silent for a quarter of an hour is called interrupted; going on lands it."""
    run = imports.start_run(actor=ops, file=upload())
    imports.preview_run(run.pk)
    imports.begin_apply(actor=ops, run_id=run.pk)
    tasks.note_interrupted_imports_task()
    run.refresh_from_db()
    assert run.state == "applying"
    ImportRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=16))
    tasks.note_interrupted_imports_task()
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "The worker was interrupted. Go on with the import when you like.")
    imports.begin_apply(actor=ops, run_id=run.pk)
    tasks.apply_import_task(str(run.pk))
    run.refresh_from_db()
    assert run.state == "applied"


def test_one_import_of_a_source_at_a_time(django_db_blocker: Any) -> None:
    """The lock is taken by another connection; this one is refused and writes nothing."""
    import hashlib

    import psycopg
    from django.db import connection

    from migrations_center.sources.identity import fingerprint
    from tests.migrations_center.imports.support import conninfo

    with import_engine.open_reading(_place(), import_engine.ImportOptions()) as reading:
        mark = fingerprint(reading.snapshot)
    number = int.from_bytes(hashlib.sha256(mark.encode()).digest()[:8], "big", signed=True)
    with psycopg.connect(conninfo(connection.settings_dict["NAME"]), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [number])
        with pytest.raises(ImportAlreadyRunning):
            do_import(sample("one-api"))
    assert not User.objects.exists()
    do_import(sample("one-api"))
    assert User.objects.count() == 23


def _place() -> import_engine.Place:
    return import_engine.Place(import_engine.SourceAddress("sqlite", path=sample("one-api")))


def test_pages_read_reasons_and_issues(ops: User) -> None:
    do_import(sample("new-api"))
    run = ImportRun.objects.get()
    reasons = {(r["kind"], r["table"], r["reason"]): r["count"] for r in selectors.reasons_of(ops, run.pk)}
    assert reasons[("left_out", "abilities", "derived_from_channels")] == 222
    assert reasons[("refused", "tokens", "owner_missing")] == 2
    assert reasons[("left_out", "logs", "log_refund")] == 17
    assert reasons[("left_out", "redemptions.quota", "code_used")] == 8
    first = selectors.issues_for(ops, run.pk, kind="refused", limit=1)
    rest = selectors.issues_for(ops, run.pk, kind="refused", after=first[0].pk)
    assert [issue.row_id for issue in first + rest] == ["38", "39"]
    assert [r.pk for r in selectors.runs_for(ops)] == [run.pk]
    assert selectors.run_report(ops, run.pk)["product"] == "new_api"


def test_r060_the_inventory_has_seven_facets(ops: User) -> None:
    do_import(sample("one-api"))
    assert ImportRun.objects.get().report["inventory"] == {
        "entries": 10,
        "keys": 61,
        "names": 26,
        "groups": 5,
        "balances": 23,
        "consumers": 21,
        "call_volume": 4322,
    }
