"""What people may see of imports. Everything takes the actor; a stranger gets NotAllowed or NotFound."""

import uuid
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.fields import BigIntegerField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from accounts.models import User
from accounts.rights import require
from config.foundation.errors import NotFound
from migrations_center.models import ImportIssue, ImportRun, Source

VIEW = "migrations.view"


def runs_for(actor: User, before: str = "", limit: int = 50) -> list[ImportRun]:
    """Runs, newest first; ``before`` is the ISO time of the last one of the page before."""
    require(actor, VIEW)
    runs = ImportRun.objects.select_related("source", "started_by").order_by("-created_at", "-id")
    if before:
        runs = runs.filter(created_at__lt=before)
    return list(runs[:limit])


def run_for(actor: User, run_id: uuid.UUID | str) -> ImportRun:
    require(actor, VIEW)
    run = ImportRun.objects.select_related("source", "started_by").filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def run_report(actor: User, run_id: uuid.UUID | str) -> dict[str, Any]:
    """The report as ``import_source --json`` prints it, with decisions and differences."""
    return dict(run_for(actor, run_id).report)


def reasons_of(actor: User, run_id: uuid.UUID | str) -> list[dict[str, Any]]:
    """Kind, table, reason and number of rows, one line per reason. Rows counted together count as many."""
    require(actor, VIEW)
    rows = (
        ImportIssue.objects.filter(run_id=uuid.UUID(str(run_id)))
        .values("kind", "table", "reason")
        .annotate(
            lines=Count("pk"),
            single=Count("pk", filter=~Q(detail__has_key="count")),
            many=Coalesce(Sum(Cast(KeyTextTransform("count", "detail"), BigIntegerField())), 0),
        )
        .order_by("kind", "table", "reason")
    )
    return [
        {"kind": row["kind"], "table": row["table"], "reason": row["reason"], "count": row["single"] + row["many"]}
        for row in rows
    ]


def issues_for(
    actor: User,
    run_id: uuid.UUID | str,
    *,
    kind: str = "",
    table: str = "",
    reason: str = "",
    after: int = 0,
    limit: int = 100,
) -> list[ImportIssue]:
    """Issues in the order they were found; ``after`` is the id of the last one of the page before (0: from the start)."""
    return list(_filtered(actor, run_id, kind, table, reason).filter(pk__gt=after).order_by("pk")[:limit])


def all_issues_for(
    actor: User, run_id: uuid.UUID | str, *, kind: str = "", table: str = "", reason: str = ""
) -> QuerySet[ImportIssue]:
    """Every issue of a filter, for an export; iterate it in chunks."""
    return _filtered(actor, run_id, kind, table, reason).order_by("pk")


def sources_for(actor: User) -> list[Source]:
    require(actor, VIEW)
    return list(Source.objects.select_related("old_entry").order_by("name"))


def _filtered(actor: User, run_id: uuid.UUID | str, kind: str, table: str, reason: str) -> QuerySet[ImportIssue]:
    require(actor, VIEW)
    wanted = {name: value for name, value in (("kind", kind), ("table", table), ("reason", reason)) if value}
    return ImportIssue.objects.filter(run_id=uuid.UUID(str(run_id)), **wanted)
