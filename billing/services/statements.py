"""Issuing statements: one owner and month is issued once, whoever asks and however often."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import translation

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import LedgerAccount, Statement, StatementFile, StatementPurse, StatementRun
from billing.statements.document import Document, document_of
from billing.statements.figures import Figures, latest_statement, owner_is, read_figures
from billing.statements.files import LANGUAGES, csv_bytes, pdf_bytes
from billing.statements.months import has_ended, is_zone, last_ended, zone_of
from billing.statements.workbook import xlsx_bytes
from config.foundation.clock import now
from config.foundation.errors import InvalidInput

log = logging.getLogger(__name__)
RIGHT = "statements.issue"
PROBLEMS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Issued:
    """``status``: issued, present (issued before: nothing was done) or empty (nothing to state)."""

    status: str
    statement: Statement | None


def issue_statement(*, actor: User | None, owner: User | Group, month_on: date) -> Issued:
    """Issue a month that has ended in the owner's zone. Raises InvalidInput for one that runs or lies before an issued one."""
    if actor is not None:
        require(actor, RIGHT)
    zone = zone_of(owner)
    if not has_ended(month_on, zone, now()):
        raise InvalidInput("The month has not ended in the account's time zone.", time_zone=zone)
    with transaction.atomic():
        # Two issuers of one owner wait for each other; the unique constraint would say no to the second anyway.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"statement {_reference(owner)}"])
        present = Statement.objects.filter(month_on=month_on, **owner_is(owner)).first()
        if present is not None:
            return Issued("present", present)
        previous = latest_statement(owner)
        if previous is not None and previous.month_on > month_on:
            raise InvalidInput("A later month was issued already.", month=f"{previous.month_on:%Y-%m}")
        figures = read_figures(owner, month_on, zone)
        if figures.is_empty:
            return Issued("empty", None)
        statement = _write(actor, owner, figures, previous)
    return Issued("issued", statement)


def _write(actor: User | None, owner: User | Group, figures: Figures, previous: Statement | None) -> Statement:
    statement = Statement.objects.create(
        **owner_is(owner),
        currency=figures.currency,
        month_on=figures.month_on,
        time_zone=figures.time_zone,
        starts_at=figures.starts_at,
        ends_at=figures.ends_at,
        previous=previous,
        opening_nano=figures.opening_nano,
        closing_nano=figures.closing_nano,
        first_entry_id=figures.first_entry_id,
        last_entry_id=figures.last_entry_id,
        entry_count=figures.entry_count,
        figures=figures.as_json(),
        issued_by=actor,
        **{f"{section}_nano": total for section, total in figures.totals.items()},
    )
    StatementPurse.objects.bulk_create(
        StatementPurse(
            statement=statement,
            account_id=span.account_id,
            first_seq=span.first_seq,
            last_seq=span.last_seq,
            opening_entry_id=span.opening_entry_id,
            last_entry_id=span.last_entry_id,
            opening_nano=span.opening_nano,
            closing_nano=span.closing_nano,
        )
        for span in figures.purses
    )
    StatementFile.objects.bulk_create(_files(statement))
    audit.record(
        actor=actor,
        action="statement.issued",
        target=statement,
        after={"month": f"{statement.month_on:%Y-%m}", "closing_nano": statement.closing_nano},
    )
    return statement


def _files(statement: Statement) -> Iterable[StatementFile]:
    for language in LANGUAGES:
        with translation.override(language):
            document = document_of(statement.figures, statement.number, statement.issued_at)
            files = {"csv": csv_bytes(document), "pdf": pdf_bytes(document), "xlsx": xlsx_bytes(document)}
            for kind, content in files.items():
                yield StatementFile(
                    statement=statement,
                    format=kind,
                    language=language,
                    content=content,
                    sha256=hashlib.sha256(content).hexdigest(),
                    byte_count=len(content),
                )


def preview_statement(*, actor: User, owner: User | Group, month_on: date) -> Document:
    """What a statement would say now, in the active language; nothing is written. Also for a month that still runs."""
    require(actor, RIGHT)
    return document_of(read_figures(owner, month_on, zone_of(owner)).as_json(), "", None)


def start_runs(*, actor: User | None, month_on: date, again: bool = False) -> list[StatementRun]:
    """A run for each zone in which the month has ended; existing ones go on. ``again`` looks at everybody once more."""
    if actor is not None:
        require(actor, RIGHT)
    runs = []
    with transaction.atomic():
        for zone in _zones():
            if not has_ended(month_on, zone, now()):
                continue
            run, created = StatementRun.objects.get_or_create(
                month_on=month_on,
                time_zone=zone,
                defaults={"started_by": actor, "owner_count": sum(query.count() for _kind, query in _owners(zone))},
            )
            if not created and again and run.finished_at is not None:
                _start_over(run, actor)
            if created or again:
                audit.record(actor=actor, action="statements.started", target=run, after={"owners": run.owner_count})
            runs.append(run)
    return runs


def due_runs() -> list[StatementRun]:
    """The runs that should be going on: every zone's last ended month, made when missing."""
    moment = now()
    runs = []
    for zone in _zones():
        month_on = last_ended(zone, moment)
        known = StatementRun.objects.filter(month_on=month_on, time_zone=zone).first()
        if known is None:
            count = sum(query.count() for _kind, query in _owners(zone))
            known, _made = StatementRun.objects.get_or_create(
                month_on=month_on, time_zone=zone, defaults={"owner_count": count}
            )
        runs.append(known)
    unfinished = StatementRun.objects.filter(finished_at=None).exclude(pk__in=[run.pk for run in runs])
    return [run for run in [*runs, *unfinished] if run.finished_at is None]


def continue_run(run_id: int, limit: int = 50) -> bool:
    """Issue for the next ``limit`` owners; gives whether there are more. A second worker at the same run does nothing."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"statement run {run_id}"])
            if not cursor.fetchone()[0]:
                return False
        run = StatementRun.objects.get(pk=run_id)
        if run.finished_at is not None:
            return False
        owners = _next_owners(run, limit)
        for owner in owners:
            _issue_in(run, owner)
        if len(owners) < limit:
            run.finished_at = now()
        run.save()
    return run.finished_at is None


def _issue_in(run: StatementRun, owner: User | Group) -> None:
    try:
        # What goes wrong for one owner must not stop the others.
        with transaction.atomic():
            status = issue_statement(actor=None, owner=owner, month_on=run.month_on).status
    except (InvalidInput, DatabaseError, ValueError) as error:
        log.exception("statement of %s for %s was not issued", run.month_on, _reference(owner))
        run.failed_count += 1
        run.problems = [*run.problems, {"owner": str(owner), "error": type(error).__name__}][:PROBLEMS_KEPT]
    else:
        setattr(run, f"{status}_count", getattr(run, f"{status}_count") + 1)
    run.cursor = _reference(owner)


def _start_over(run: StatementRun, actor: User | None) -> None:
    run.cursor, run.finished_at, run.problems = "", None, []
    run.issued_count = run.present_count = run.empty_count = run.failed_count = 0
    run.started_by = actor
    run.owner_count = sum(query.count() for _kind, query in _owners(run.time_zone))
    run.save()


def _owners(zone: str) -> list[tuple[str, Any]]:
    """People and teams with a purse whose months are counted in this zone."""
    people = User.objects.filter(pk__in=LedgerAccount.objects.filter(is_purse=True, user=F("user")).values("user"))
    teams = Group.objects.filter(pk__in=LedgerAccount.objects.filter(is_purse=True, group=F("group")).values("group"))
    return [("user", _in_zone(people, zone)), ("group", _in_zone(teams, zone))]


def _in_zone(query: Any, zone: str) -> Any:
    if not any(field.name == "time_zone" for field in query.model._meta.fields):
        return query if zone == "UTC" else query.none()
    if zone == "UTC":
        # A zone that nobody knows counts as UTC, as ``zone_of`` says.
        return query.filter(time_zone__in=["", zone, *(name for name in _names(query) if not is_zone(name))])
    return query.filter(time_zone=zone)


def _names(query: Any) -> list[str]:
    return list(query.order_by().values_list("time_zone", flat=True).distinct())


def _zones() -> list[str]:
    people = _names(User.objects.filter(purses__isnull=False))
    teams = [zone_of(team) for team in Group.objects.filter(purses__isnull=False).distinct()]
    return sorted({"UTC", *(name for name in [*people, *teams] if name and is_zone(name))})


def _next_owners(run: StatementRun, limit: int) -> list[User | Group]:
    kind, _colon, number = run.cursor.partition(":")
    found: list[User | Group] = []
    for name, query in _owners(run.time_zone):
        if kind == "group" and name == "user":
            continue
        if kind == name:
            query = query.filter(pk__gt=int(number))
        found += list(query.order_by("pk")[: limit - len(found)])
    return found


def _reference(owner: User | Group) -> str:
    return f"{'user' if isinstance(owner, User) else 'group'}:{owner.pk}"
