"""Reading, planning and applying one import. Who may start one and what the pages show is decided in ``imports``.

Order of an apply: read everything, put log rows of a server aside, plan, hold the control totals against each other, and only
then write, in batches that each carry their own mapping. A second apply of the same source goes on where the first ended.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self

from django.db import connection, transaction

from accounts.services import audit
from config.foundation.clock import now
from migrations_center.models import ImportRun, Source
from migrations_center.services import late_spend
from migrations_center.services.apply import catalog, history, keys, money, people
from migrations_center.services.apply.context import ImportOptions
from migrations_center.services.apply.plan import ImportPlan, make_plan, read_facts
from migrations_center.services.apply.plan_history import LogFacts
from migrations_center.services.apply.spool import LogSpool
from migrations_center.services.apply.steps import Apply
from migrations_center.services.apply.tally import Kind
from migrations_center.services.errors import ImportAlreadyRunning, UnitChanged
from migrations_center.sources import logs
from migrations_center.sources.address import SourceAddress
from migrations_center.sources.gateway import OldGateway, Snapshot, quota_per_unit
from migrations_center.sources.identity import fingerprint
from migrations_center.sources.records import LogFact, OldLog
from models_catalog.services.upstreams import usable_address

Progress = Callable[[str, int, int], None]
CODES = {"one_api": "one-api", "new_api": "new-api"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is: its main database, and its log database when that is another one."""

    main: SourceAddress
    logs: SourceAddress | None = None


@dataclass
class Reading:
    """An open source with everything a plan needs already in memory; log rows are read or put aside on demand."""

    place: Place
    options: ImportOptions
    now: int
    gateway: OldGateway = field(init=False)
    snapshot: Snapshot = field(init=False)
    facts: LogFacts = field(init=False)
    price_facts: list[LogFact] = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        try:
            opened = OldGateway(self.place.main, self.place.logs, self.options.product)
            self.gateway = self._stack.enter_context(opened)
            self.snapshot, self.facts, self.price_facts = read_facts(self.gateway, self.now)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def log_batches(self) -> Iterator[tuple[int, list[OldLog]]]:
        """All log rows. Rows of a server come from a file beside us, filled before the first write."""
        if not self.gateway.is_server:
            return logs.stream(self.gateway)
        spool = self._stack.enter_context(LogSpool())
        spool.fill(logs.stream(self.gateway))
        return iter(spool)


def open_reading(place: Place, options: ImportOptions) -> Reading:
    """A source that is about to be read. Raises UnusableAddress when the old gateway's own address is none."""
    if options.old_entry:
        options = replace(options, old_entry=usable_address(options.old_entry))
    return Reading(place, options, int(now().timestamp()))


def identify(reading: Reading) -> Source:
    """The source this installation is, or a new one that is not saved yet. Raises UnitChanged."""
    mark = fingerprint(reading.snapshot)
    unit = quota_per_unit(reading.snapshot.options)[0]
    known = Source.objects.filter(fingerprint=mark).first()
    if known:
        if Decimal(known.quota_per_unit) != Decimal(unit):
            raise UnitChanged(
                f"The old gateway now counts {unit} units a dollar; at the last import it was {known.quota_per_unit}.",
                before=known.quota_per_unit,
                now=unit,
            )
        return known
    product = reading.snapshot.product
    code, number = CODES[product], 2
    while Source.objects.filter(code=code).exists():
        code, number = f"{CODES[product]}-{number}", number + 1
    # What its operators call it, if they named it; the product's name otherwise.
    called = reading.snapshot.options.get("SystemName", "").strip()
    name = (called or Source.Product(product).label)[:100]
    if Source.objects.filter(name=name).exists():
        name = f"{name} {number - 1 if number > 2 else 2}"
    kind = Source.Kind.FILE if reading.place.main.is_file else Source.Kind.DATABASE
    address = reading.place.main.public[:500]
    return Source(code=code, name=name, product=product, kind=kind, fingerprint=mark, address=address, quota_per_unit=unit)


def plan_of(reading: Reading, source: Source, run: ImportRun | None = None) -> ImportPlan:
    run_id = run.pk if run else None
    return make_plan(source, reading.snapshot, reading.facts, reading.price_facts, reading.options, reading.now, run_id=run_id)


def apply_plan(reading: Reading, source: Source, run: ImportRun, report: Progress) -> ImportPlan:
    """Write everything. ``report`` is called between batches and may raise ImportStopped: what was written stays."""
    with source_lock(source.fingerprint):
        if reading.options.upstream:
            catalog.find_upstream(reading.options.upstream)
        batches = reading.log_batches()
        reading.gateway.verify_unchanged()
        _save_source(source, run)
        plan = plan_of(reading, source, run)
        work = Apply(plan, run, report)
        people.apply_groups(work)
        people.apply_people(work)
        catalog.apply_models(work)
        keys.apply_old_entry(work)
        keys.apply_keys(work)
        catalog.apply_upstreams(work)
        catalog.apply_names(work)
        catalog.apply_prices(work)
        reading.gateway.verify_unchanged()
        money.apply_money(work)
        fresh = history.apply_history(work, batches)
        late_spend.take_over(source=source, run=run)
        reading.gateway.verify_unchanged()
        _settle_log_count(plan, fresh)
        _finish(plan, run)
    return plan


@contextmanager
def source_lock(mark: str) -> Iterator[None]:
    """One import of a source at a time. The lock is the connection's, so it ends with a process that is killed."""
    number = int.from_bytes(hashlib.sha256(mark.encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise ImportAlreadyRunning
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def _save_source(source: Source, run: ImportRun) -> None:
    """The source exists from the first write on; runs that held its lock before us and did not end were interrupted."""
    with transaction.atomic():
        if source.pk is None:
            source.save()
        ImportRun.objects.filter(pk=run.pk).update(source=source)
        run.source = source
        alive = (ImportRun.State.APPLYING, ImportRun.State.STOPPING)
        interrupted = ImportRun.objects.filter(source=source, state__in=alive).exclude(pk=run.pk)
        interrupted.update(state=ImportRun.State.FAILED, error="Interrupted; a later run went on.")


def _settle_log_count(plan: ImportPlan, fresh: int) -> None:
    """How many rows were new is known exactly only after writing; landed, left out and refused do not change by it."""
    table = plan.context.tally.table("logs")
    earlier = plan.context.log_rows_of_run
    expected, found = table.created, fresh + earlier
    table.created = min(found, table.landed)
    if found < expected:
        plan.context.tally.differ("logs", "log_row_twice", count=expected - found)


def _finish(plan: ImportPlan, run: ImportRun) -> None:
    facts = plan.context.tally.as_json()
    with transaction.atomic():
        audit.record(
            actor=run.started_by,
            action="import.applied",
            target=run,
            after={
                "source": plan.context.code,
                "snapshot": plan.context.snapshot_digest,
                "totals": facts["totals"],
                "tables": {name: counts["landed"] for name, counts in facts["tables"].items()},
            },
            label=plan.context.source.name,
        )


def report_of(plan: ImportPlan) -> dict[str, Any]:
    """The report. ``product`` to ``refused`` have a fixed shape (docs/migration-guide.md); the rest is for the pages."""
    context = plan.context
    said = quota_per_unit(context.snapshot.options)[1]
    decisions = [
        {**issue.detail, "table": issue.table, "id": issue.row_id, "label": issue.label, "reason": issue.reason}
        for issue in context.tally.of_kind([Kind.DECISION])
    ]
    reasons: dict[tuple[str, str], int] = {}
    for issue in context.tally.of_kind([Kind.DIFFERENCE]):
        place = (issue.table, issue.reason)
        reasons[place] = reasons.get(place, 0) + int(issue.detail.get("count", 1))
    return {
        **public_report(plan),
        "decisions": decisions,
        "differences": [
            {"table": table, "reason": reason, "count": count} for (table, reason), count in sorted(reasons.items())
        ],
        "source": {"code": context.code, "name": context.source.name, "address": context.source.address},
        "unit_is_default": not said,
        "snapshot_digest": context.snapshot_digest,
        "gone": plan.gone.count,
        "inventory": inventory(plan),
    }


def public_report(plan: ImportPlan) -> dict[str, Any]:
    """The object that ``import_source --json`` prints."""
    context = plan.context
    return {"product": context.product, "unit": context.unit, **context.tally.as_json()}


def inventory(plan: ImportPlan) -> dict[str, int]:
    """The seven facets of a source, as counts: entries, keys, names, groups, balances, consumers, call volume."""
    context = plan.context
    return {
        "entries": len(context.snapshot.channels),
        "keys": len(context.snapshot.keys),
        "names": len(plan.catalog.names),
        "groups": len(plan.catalog.groups),
        "balances": sum(1 for user in context.snapshot.users if user.quota),
        "consumers": len({group.user_id for group in plan.log_facts.sums if group.type == 2}),
        "call_volume": plan.log_rows,
    }
