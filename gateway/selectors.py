"""Reads that need a decision: what would become of a call, and which relays are alive."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from config.foundation.clock import now
from config.foundation.errors import NotFound
from gateway.contract.loading import load_key, load_snapshot
from gateway.contract.resolve import callable_models, resolve
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, Decision, KeyView
from gateway.models import AccessCheck, EntryPoint, EntrySighting, OldEntry, RelayInstance
from keys.models import ApiKey
from keys.selectors import key_for

ALIVE = timedelta(seconds=30)


def current_snapshot() -> Snapshot:
    """The configuration as a relay would read it now. It holds upstream credentials: never hand it to a page."""
    with transaction.atomic(), connection.cursor() as cursor:
        return load_snapshot(cursor)


def explain_access(actor: User, key_id: int, model: str, *, address: str = "", snapshot: Snapshot | None = None) -> Decision:
    """What the unified entry would decide on a call of this key now; balance and allowance are not looked at.

    ``address`` "" stands for an address inside the key's networks. Raises NotFound for a key that is not the actor's
    to see. Give ``snapshot`` to ask for many keys in a row.
    """
    key_for(actor, key_id)
    with connection.cursor() as cursor:
        key = load_key(cursor, key_id)
    if key is None:
        raise NotFound
    if not address and key.networks:
        address = str(key.networks[0].network_address)
    return resolve(snapshot or current_snapshot(), key, Ask(model, address), now())


def models_open_to(actor: User, key_id: int) -> list[str]:
    """The names a call with this key would be admitted for, as ``GET /v1/models`` lists them."""
    key_for(actor, key_id)
    with connection.cursor() as cursor:
        key = load_key(cursor, key_id)
    if key is None:
        raise NotFound
    return models_of_key(key)


def models_of_key(key: KeyView) -> list[str]:
    """The same for a key that is at hand; whose it is has been looked at before."""
    return [name for name, _ in callable_models(current_snapshot(), key, now())]


def access_by_model(actor: User, key_id: int) -> list[tuple[str, Decision]]:
    """Every model, by name, with the decision on a call of this key: what the key page shows as "may call"."""
    key_for(actor, key_id)
    with connection.cursor() as cursor:
        key = load_key(cursor, key_id)
    if key is None:
        raise NotFound
    snapshot, moment = current_snapshot(), now()
    address = str(key.networks[0].network_address) if key.networks else ""
    return [(name, resolve(snapshot, key, Ask(name, address), moment)) for name in sorted(snapshot.models)]


def relays(actor: User) -> QuerySet[RelayInstance]:
    """Relays that were heard of within half a minute, the newest first."""
    require(actor, "calls.inner_route")
    return RelayInstance.objects.filter(seen_at__gte=now() - ALIVE).order_by("-started_at")


def old_entries(actor: User) -> QuerySet[OldEntry]:
    require(actor, "migrations.view")
    return OldEntry.objects.order_by("name")


def entries_for(actor: User) -> QuerySet[EntryPoint]:
    """The register of entries, with the calls seen at each in the last day."""
    require(actor, "migrations.view")
    yesterday = (now() - timedelta(days=1)).date()
    recent = Q(sightings__day_on__gte=yesterday)
    return EntryPoint.objects.select_related("owner").annotate(
        recent_count=Coalesce(Sum("sightings__call_count", filter=recent), 0), last_at=Max("sightings__last_at")
    )


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """An address this portal knows of that is not in the register yet, with what the form is filled in with."""

    name: str
    url: str
    side: str

    @property
    def query(self) -> str:
        return urlencode({"name": self.name, "url": self.url, "side": self.side})


def known_addresses(registered: Iterable[EntryPoint]) -> list[KnownAddress]:
    """The unified entry itself and the old gateways of imports and plans, but for those in the register."""
    new = KnownAddress(_("Unified entry"), settings.PUBLIC_URL.rstrip("/") + "/v1", EntryPoint.Side.NEW)
    old = [KnownAddress(entry.name, entry.base_url, EntryPoint.Side.OLD) for entry in OldEntry.objects.filter(is_active=True)]
    there = {urlsplit(entry.url).netloc.lower() for entry in registered}
    return [address for address in (*old, new) if urlsplit(address.url).netloc.lower() not in there]


def entry_for(actor: User, entry_id: int) -> EntryPoint:
    """One line of the register; raises NotFound."""
    entry = entries_for(actor).filter(pk=entry_id).first()
    if entry is None:
        raise NotFound
    return entry


@dataclass(frozen=True, slots=True)
class Sighting:
    """Calls of a key at an entry with one client, over all days that were asked for."""

    key: ApiKey
    client_family: str
    route: str
    call_count: int
    first_at: datetime
    last_at: datetime


def sightings_at(
    actor: User, entry: EntryPoint, *, route: str = "", since: date | None = None, limit: int = 200
) -> list[Sighting]:
    """Who was seen at an entry, the latest first."""
    require(actor, "migrations.view")
    return sightings(EntrySighting.objects.filter(entry=entry), route=route, since=since, limit=limit)


def sightings(rows: QuerySet[EntrySighting], *, route: str = "", since: date | None = None, limit: int = 200) -> list[Sighting]:
    """Days added up per key, client and route; whether the caller may look has been decided."""
    if route:
        rows = rows.filter(route=route)
    if since:
        rows = rows.filter(day_on__gte=since)
    found = list(
        rows.values("key_id", "client_family", "route")
        .annotate(calls=Sum("call_count"), first=Min("first_at"), last=Max("last_at"))
        .order_by("-last")[:limit]
    )
    keys = ApiKey.objects.select_related("owner", "team").prefetch_related("secrets").in_bulk({row["key_id"] for row in found})
    return [
        Sighting(keys[row["key_id"]], row["client_family"], row["route"], row["calls"], row["first"], row["last"])
        for row in found
    ]


def check_for(actor: User, check_id: UUID) -> AccessCheck:
    """One access check of a key the person may see; raises NotFound."""
    check = AccessCheck.objects.select_related("key").filter(pk=check_id).first()
    if check is None:
        raise NotFound
    key_for(actor, check.key_id)
    return check
