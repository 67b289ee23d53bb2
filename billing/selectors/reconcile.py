"""Runs, differences and desk items as those see them who reconcile."""

import uuid
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from billing.models import DeskItem, Difference, ReconcileRun
from config.foundation.errors import NotFound

PAGE = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands now, for the first line of the page."""

    open_differences: int
    open_items: int
    last: ReconcileRun | None
    running: ReconcileRun | None


def standing(actor: User) -> Standing:
    require(actor, "reconcile.view")
    runs = ReconcileRun.objects.order_by("-started_at")
    return Standing(
        Difference.objects.filter(state=Difference.State.OPEN).count(),
        DeskItem.objects.filter(state=DeskItem.State.OPEN).count(),
        runs.filter(state=ReconcileRun.State.DONE).first(),
        runs.filter(state=ReconcileRun.State.RUNNING).first(),
    )


def recent_runs(actor: User, limit: int = 30) -> list[ReconcileRun]:
    require(actor, "reconcile.view")
    return list(ReconcileRun.objects.select_related("started_by").order_by("-started_at")[:limit])


def run_for(actor: User, run_id: uuid.UUID) -> ReconcileRun:
    require(actor, "reconcile.view")
    run = ReconcileRun.objects.select_related("started_by").filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("There is no such reconciliation."))
    return run


def differences_for(actor: User, *, state: str, before: int | None = None, limit: int = PAGE) -> QuerySet[Difference]:
    """Newest first; ``state`` "" means every state."""
    require(actor, "reconcile.view")
    found = Difference.objects.select_related("decided_by", "entry").order_by("-pk")
    if state:
        found = found.filter(state=state)
    if before:
        found = found.filter(pk__lt=before)
    return found[: limit + 1]


def difference_for(actor: User, difference_id: int) -> Difference:
    require(actor, "reconcile.view")
    found = Difference.objects.select_related("first_run", "last_run", "decided_by", "entry").filter(pk=difference_id).first()
    if found is None:
        raise NotFound(_("There is no such difference."))
    return found


def desk_items_for(actor: User, *, kind: str, state: str, before: int | None = None, limit: int = PAGE) -> QuerySet[DeskItem]:
    """Newest first; empty filters do not filter."""
    require(actor, "reconcile.view")
    items = DeskItem.objects.select_related("user", "group").order_by("-pk")
    if kind:
        items = items.filter(kind=kind)
    if state:
        items = items.filter(state=state)
    if before:
        items = items.filter(pk__lt=before)
    return items[: limit + 1]


def desk_counts(actor: User) -> dict[str, int]:
    """Open items by kind."""
    require(actor, "reconcile.view")
    rows = DeskItem.objects.filter(state=DeskItem.State.OPEN).order_by().values_list("kind")
    return dict(rows.annotate(n=Count("pk", filter=Q())))


def desk_item_for(actor: User, item_id: int) -> DeskItem:
    require(actor, "reconcile.view")
    item = DeskItem.objects.select_related("user", "group", "entry", "closed_by").filter(pk=item_id).first()
    if item is None:
        raise NotFound(_("There is no such item at the desk."))
    return item
