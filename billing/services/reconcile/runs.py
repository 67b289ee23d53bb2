"""A run: one check after the other, each on one state of the database. A difference is one row however often it is met."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from billing.invariants.queries import Invariant
from billing.models import DeskItem, Difference, ReconcileRun, RequestLog
from billing.services import alerts
from billing.services.desk import open_desk_item
from billing.services.reconcile.checks import UNBILLED, checks_of
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput
from keys.models import ApiKey

QUICK_BACK = timedelta(hours=3)
MOST_ROWS = 1000
STALE = timedelta(minutes=30)
_LOCK = 5_114_220_931
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@transaction.atomic
def begin_run(*, actor: User | None, scope: str) -> ReconcileRun:
    """A run that waits to be executed. Raises Conflict while another one is on its way."""
    if actor is not None:
        require(actor, "reconcile.decide")
    if scope not in ReconcileRun.Scope.values:
        raise InvalidInput(_("A reconciliation compares the last hours or everything."))
    note_broken_runs()
    if ReconcileRun.objects.filter(state=ReconcileRun.State.RUNNING).exists():
        raise Conflict(_("A reconciliation is on its way already. Wait for its end."))
    since = _hour(now() - QUICK_BACK) if scope == ReconcileRun.Scope.QUICK else EPOCH
    run = ReconcileRun.objects.create(scope=scope, started_by=actor, since=since, checks_total=len(checks_of(scope)))
    audit.record(actor=actor, action="reconcile.started", target=run, after={"scope": scope})
    return run


def execute_run(run_id: UUID) -> ReconcileRun | None:
    """Do the checks of a run that is not done; None while another worker is at one. A run that was killed starts over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return None
    try:
        run = ReconcileRun.objects.filter(pk=run_id, state=ReconcileRun.State.RUNNING).first()
        return _execute(run) if run else None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def start_and_execute(scope: str) -> ReconcileRun | None:
    """What the clock does: a run from beginning to end, or nothing while one is on its way."""
    try:
        run = begin_run(actor=None, scope=scope)
    except Conflict:
        return None
    return execute_run(run.pk)


def note_broken_runs() -> int:
    """Runs that were not heard of for half an hour were killed."""
    dead = ReconcileRun.objects.filter(state=ReconcileRun.State.RUNNING, heartbeat_at__lt=now() - STALE)
    return dead.update(state=ReconcileRun.State.FAILED, finished_at=now(), error="not heard of for 30 minutes")


def _execute(run: ReconcileRun) -> ReconcileRun:
    results: list[dict[str, object]] = []
    for number, check in enumerate(checks_of(run.scope), 1):
        began = time.monotonic()
        rows = _ask(check, run)
        with transaction.atomic():
            _keep(run, check, rows)
            results.append({"code": check.code, "differences": len(rows), "ms": int((time.monotonic() - began) * 1000)})
            ReconcileRun.objects.filter(pk=run.pk).update(checks_done=number, results=results, heartbeat_at=now())
    open_count = Difference.objects.filter(state=Difference.State.OPEN).count()
    ReconcileRun.objects.filter(pk=run.pk).update(
        state=ReconcileRun.State.DONE,
        finished_at=now(),
        difference_count=sum(int(str(one["differences"])) for one in results),
    )
    run.refresh_from_db()
    alerts.tell_differences(open_count + DeskItem.objects.filter(state="open", kind="unbilled").count(), run.pk.hex)
    return run


def _ask(check: Invariant, run: ReconcileRun) -> list[tuple[str, str]]:
    # format('%s') of the queries is not a parameter of ours.
    inner = check.sql.replace("%s", "%%s")
    sql = f"SELECT x.thing::text, coalesce(x.detail, '') FROM ({inner}) x(thing, detail) ORDER BY 1 LIMIT %(most)s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, {"moment": now(), "since": run.since, "most": MOST_ROWS})
        return [(row[0][:255], row[1][:500]) for row in cursor.fetchall()]


def _keep(run: ReconcileRun, check: Invariant, rows: list[tuple[str, str]]) -> None:
    """Open what is new, touch what is known, and close what a full look no longer finds."""
    if check is UNBILLED:
        _to_the_desk(rows)
        return
    if check.code == "charges":
        # A call with a cost and no charge at all is the desk's business.
        rows = [row for row in rows if not row[1].endswith("charged ")]
    known = {one.thing: one for one in Difference.objects.filter(check_code=check.code).order_by("pk")}
    fresh = []
    for thing, detail in rows:
        before = known.get(thing)
        if before is None or (before.state in _ENDED and before.detail != detail) or before.state == Difference.State.GONE:
            fresh.append(Difference(check_code=check.code, thing=thing, detail=detail, first_run=run, last_run=run))
        else:
            Difference.objects.filter(pk=before.pk).update(last_run=run, **_newer(before, detail))
    Difference.objects.bulk_create(fresh, ignore_conflicts=True)
    if run.scope == ReconcileRun.Scope.FULL and len(rows) < MOST_ROWS:
        gone = Difference.objects.filter(check_code=check.code, state=Difference.State.OPEN)
        gone.exclude(thing__in=[thing for thing, _detail in rows]).update(state=Difference.State.GONE, decided_at=now())


_ENDED = (Difference.State.EXPLAINED, Difference.State.FIXED, Difference.State.WRITTEN_OFF)


def _newer(before: Difference, detail: str) -> dict[str, str]:
    return {"detail": detail} if before.state == Difference.State.OPEN else {}


def _to_the_desk(rows: list[tuple[str, str]]) -> None:
    """Calls that nobody was charged for become items of the desk, once each."""
    for thing, _detail in rows:
        log = RequestLog.objects.get(pk=UUID(thing.removeprefix("call ")))
        key = ApiKey.objects.filter(pk=log.key_id or 0).select_related("team").first()
        team = key.team if key else None
        open_desk_item(
            actor=None,
            kind=DeskItem.Kind.UNBILLED,
            reference=log.pk.hex,
            reason="never_charged",
            amount_nano=log.cost_nano,
            user=None if team else log.user,
            group=team,
            request_id=log.pk,
            details={
                "asked_model": log.asked_model,
                "input_tokens": log.input_tokens,
                "output_tokens": log.output_tokens,
                "key_tail": log.key_tail,
                "outcome": log.outcome,
            },
        )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
