"""Lists of sources, runs, plans and their parts as querysets, for pages that are turned by position."""

import uuid

from django.db.models import QuerySet

from accounts.models import User
from accounts.rights import require
from config.foundation.errors import NotFound
from migrations_center.models import ImportIssue, ImportRun, Plan, Source

RIGHT = "migrations.view"


def sources(actor: User) -> QuerySet[Source]:
    require(actor, RIGHT)
    return Source.objects.order_by("-pk")


def plans(actor: User) -> QuerySet[Plan]:
    require(actor, RIGHT)
    return Plan.objects.select_related("source").order_by("-pk")


def runs(actor: User) -> QuerySet[ImportRun]:
    require(actor, RIGHT)
    return ImportRun.objects.select_related("source", "started_by").order_by("-created_at", "-pk")


def run_for(actor: User, run_id: str) -> ImportRun:
    """One run; raises NotFound, for what is no id too."""
    try:
        return runs(actor).get(pk=uuid.UUID(run_id))
    except (ImportRun.DoesNotExist, ValueError):
        raise NotFound from None


def issues(actor: User, run: ImportRun, *, kind: str = "", table: str = "") -> QuerySet[ImportIssue]:
    require(actor, RIGHT)
    wanted = {name: value for name, value in (("kind", kind), ("table", table)) if value}
    return run.issues.filter(**wanted).order_by("pk")
