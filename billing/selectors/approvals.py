"""Requests that wait for a second person, and the overrides that replaced one."""

from django.db.models import QuerySet

from accounts.models import User
from accounts.rights import require
from billing.models import AdjustmentRequest, BreakGlass
from config.foundation.clock import now
from config.foundation.errors import NotFound

RIGHT = "ledger.view"


def requests_for(actor: User, state: str = "") -> QuerySet[AdjustmentRequest]:
    """Requests of everybody, newest first; the four eyes work because all of finance sees all of it."""
    require(actor, RIGHT)
    related = ("purse__user", "purse__group", "entry__from_account", "batch", "requested_by", "decided_by", "override__user")
    rows = AdjustmentRequest.objects.select_related(*related).order_by("-pk")
    return rows.filter(state=state) if state in AdjustmentRequest.State.values else rows


def request_for(actor: User, request_id: int) -> AdjustmentRequest:
    """One request; raises NotFound."""
    found = requests_for(actor).filter(pk=request_id).first()
    if found is None:
        raise NotFound
    return found


def open_count(actor: User) -> int:
    require(actor, RIGHT)
    return AdjustmentRequest.objects.filter(state=AdjustmentRequest.State.OPEN).count()


def overrides_due(actor: User) -> QuerySet[BreakGlass]:
    """Overrides that run, or have ended and nobody looked at."""
    require(actor, RIGHT)
    return BreakGlass.objects.filter(reviewed_at=None).select_related("user").order_by("-pk")


def override_for(actor: User, override_id: int) -> BreakGlass:
    """One override with what was done by it; raises NotFound."""
    require(actor, RIGHT)
    found = BreakGlass.objects.select_related("user", "reviewed_by").filter(pk=override_id).first()
    if found is None:
        raise NotFound
    return found


def is_running(override: BreakGlass) -> bool:
    return override.closed_at is None and override.expires_at > now()
