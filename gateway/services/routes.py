"""Where calls with a key go: the switch that batches use, and the old entries behind it."""

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from django.db import transaction

from accounts.models import User
from accounts.rights import require
from accounts.services import audit
from gateway.errors import AddressRefused, OldEntryNeeded, RouteRefused
from gateway.models import KeyOldEntry, OldEntry
from keys.models import ApiKey

RIGHT = "migrations.manage"
CHUNK = 1000


@transaction.atomic
def remember_old_entry(*, actor: User | None, name: str, base_url: str) -> OldEntry:
    """The old entry of this name, made or moved to ``base_url``; ``actor`` None is the system. Raises AddressRefused."""
    if actor is not None:
        require(actor, RIGHT)
    address = _checked_address(base_url)
    entry, created = OldEntry.objects.get_or_create(name=name, defaults={"base_url": address})
    if created:
        audit.record(actor=actor, action="old_entry.created", target=entry, after={"base_url": address})
    elif (entry.base_url, entry.is_active) != (address, True):
        before = {"base_url": entry.base_url, "is_active": entry.is_active}
        entry.base_url, entry.is_active = address, True
        entry.save(update_fields=["base_url", "is_active"])
        after = {"base_url": address, "is_active": True}
        audit.record(actor=actor, action="old_entry.changed", target=entry, before=before, after=after)
    return entry


@transaction.atomic
def set_routes(*, actor: User | None, key_ids: Collection[int], route: str, old_entry: OldEntry | None = None) -> int:
    """Send the calls of these keys to ``route`` from now on; gives the number of keys that were elsewhere.

    ``old_entry`` becomes the old entry of all of them. Raises OldEntryNeeded when a key shall go to the old entry and
    has none, RouteRefused for an unknown route. Doing it twice changes nothing. Relays obey within a second.
    """
    if actor is not None:
        require(actor, RIGHT)
    if route not in ApiKey.Route.values:
        raise RouteRefused
    wanted = sorted(set(key_ids))
    if old_entry is not None:
        _link(wanted, old_entry)
    if route == ApiKey.Route.OLD:
        _refuse_without_entry(wanted)
    changed = 0
    for start in range(0, len(wanted), CHUNK):
        changed += _set_chunk(actor, wanted[start : start + CHUNK], route)
    return changed


def _set_chunk(actor: User | None, key_ids: Sequence[int], route: str) -> int:
    before = dict(ApiKey.objects.filter(pk__in=key_ids).exclude(route=route).order_by("pk").values_list("pk", "route"))
    ApiKey.objects.filter(pk__in=before).update(route=route)
    for key in ApiKey.objects.filter(pk__in=before).only("pk", "name"):
        audit.record(actor=actor, action="key.route", target=key, before={"route": before[key.pk]}, after={"route": route})
    return len(before)


def _link(key_ids: Sequence[int], old_entry: OldEntry) -> None:
    known = set(ApiKey.objects.filter(pk__in=key_ids).values_list("pk", flat=True))
    KeyOldEntry.objects.bulk_create(
        [KeyOldEntry(key_id=key_id, old_entry=old_entry) for key_id in key_ids if key_id in known],
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["old_entry"],
    )


def _refuse_without_entry(key_ids: Sequence[int]) -> None:
    linked = set(KeyOldEntry.objects.filter(key_id__in=key_ids).values_list("key_id", flat=True))
    missing = [key_id for key_id in key_ids if key_id not in linked]
    if missing:
        raise OldEntryNeeded(f"{len(missing)} keys have no old entry to go to.", keys=missing[:100])


def _checked_address(base_url: str) -> str:
    address = base_url.strip().rstrip("/").removesuffix("/v1")
    try:
        parts = urlsplit(address)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise AddressRefused from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password or not port_is_fine:
        raise AddressRefused
    return address
