"""Reads about data planes: how their processes do, how far behind they are, where figures differ."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Prefetch, Q, QuerySet

from accounts.models import User
from accounts.rights import require
from config.foundation.clock import now
from config.foundation.errors import NotFound
from gateway.models import DataPlane, DataPlaneInstance, PlaneEvent, PlaneTally, RelayInstance
from gateway.planes.config import config_document

VIEW = "planes.view"
# A process reports every ten seconds; one that is silent for an hour is not shown among the running ones.
SILENT = timedelta(seconds=45)
GONE = timedelta(hours=1)
# Usage that waits longer than this is worth looking at: money is held for it.
OLD_SPOOL_SECONDS = 120
# The worst first.
ORDER = ("bad", "warn", "busy", "good")


@dataclass(frozen=True, slots=True)
class InstanceState:
    """``state``: good, busy (takes no new calls), warn (behind), bad (silent)."""

    row: DataPlaneInstance
    state: str
    is_current: bool

    @property
    def is_old_spool(self) -> bool:
        return self.row.oldest_unacked_s > OLD_SPOOL_SECONDS


@dataclass(frozen=True, slots=True)
class PlaneState:
    plane: DataPlane
    instances: tuple[InstanceState, ...]

    @property
    def waiting(self) -> int:
        return sum(one.row.spool_depth for one in self.instances)

    @property
    def inflight(self) -> int:
        return sum(one.row.inflight for one in self.instances)

    @property
    def oldest_s(self) -> int:
        return max((one.row.oldest_unacked_s for one in self.instances), default=0)

    @property
    def seen_at(self) -> datetime | None:
        return max((one.row.seen_at for one in self.instances), default=None)

    @property
    def state(self) -> str:
        """The worst of its processes; "quiet" for one that was never heard of or is revoked."""
        if self.plane.state == DataPlane.State.REVOKED or not self.instances:
            return "quiet"
        return min((one.state for one in self.instances), key=ORDER.index)


def plane_states(actor: User) -> list[PlaneState]:
    """Every data plane with the processes heard of within an hour, the newest heartbeat first."""
    require(actor, VIEW)
    recent = DataPlaneInstance.objects.filter(seen_at__gte=now() - GONE).order_by("-seen_at")
    planes = DataPlane.objects.order_by(F("revoked_at").asc(nulls_first=True), "name")
    version = config_document()["version"]
    return [
        _state(plane, version) for plane in planes.prefetch_related(Prefetch("instances", queryset=recent, to_attr="recent"))
    ]


def plane_for(actor: User, plane_id: int) -> PlaneState:
    """One data plane; raises NotFound."""
    found = next((one for one in plane_states(actor) if one.plane.pk == plane_id), None)
    if found is None:
        raise NotFound
    return found


def refused_events(actor: User, plane: DataPlane) -> QuerySet[PlaneEvent]:
    """Events that were finally refused, the newest first: each is usage that nobody paid for here."""
    require(actor, VIEW)
    return PlaneEvent.objects.filter(plane=plane, status="rejected").order_by("-received_at")


def differing_hours(actor: User, plane: DataPlane) -> QuerySet[PlaneTally]:
    """Hours in which the data plane's figures and ours differ, the newest first."""
    require(actor, VIEW)
    differs = ~Q(told_calls=F("our_calls")) | ~Q(told_input=F("our_input")) | ~Q(told_output=F("our_output"))
    return PlaneTally.objects.filter(differs, plane=plane).order_by("-hour_at", "upstream_id")


@dataclass(frozen=True, slots=True)
class RelayState:
    """An embedded relay by its last word. ``state`` is read as that of a data plane's process."""

    row: RelayInstance
    state: str
    is_current: bool

    @property
    def is_old_spool(self) -> bool:
        return self.row.oldest_unacked_s > OLD_SPOOL_SECONDS


def relay_states(actor: User) -> list[RelayState]:
    """The embedded relays that were heard of within an hour, those behind first."""
    require(actor, VIEW)
    rows = [*RelayInstance.objects.filter(seen_at__gte=now() - GONE).order_by("name")]
    newest = max((row.config_version for row in rows), default=0)
    states = [_relay(row, is_current=row.config_version == newest) for row in rows]
    return sorted(states, key=lambda one: ORDER.index(one.state))


def _relay(row: RelayInstance, *, is_current: bool) -> RelayState:
    if now() - row.seen_at > SILENT:
        return RelayState(row, "bad", is_current)
    is_behind = row.oldest_unacked_s > OLD_SPOOL_SECONDS or not is_current
    return RelayState(row, "warn" if is_behind else "good", is_current)


def _state(plane: DataPlane, version: str) -> PlaneState:
    rows: list[DataPlaneInstance] = plane.recent  # type: ignore[attr-defined]
    return PlaneState(plane, tuple(_instance(plane, row, version) for row in rows))


def _instance(plane: DataPlane, row: DataPlaneInstance, version: str) -> InstanceState:
    is_current = not row.config_version or row.config_version == version
    if now() - row.seen_at > SILENT:
        state = "bad"
    elif row.oldest_unacked_s > OLD_SPOOL_SECONDS or not is_current:
        state = "warn"
    else:
        state = "busy" if plane.wanted == DataPlane.Wanted.DRAIN else "good"
    return InstanceState(row, state, is_current)
