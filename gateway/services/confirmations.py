"""The handshake before a wave: relays are asked to read keys, and a key counts once every live relay holds what we hold.

A data plane that serves over HTTP keeps a copy of all keys by itself; its heartbeat says how far it has read.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Q

from accounts.models import User
from accounts.rights import require
from config.foundation.clock import now
from config.foundation.errors import InvalidInput
from gateway.contract.fingerprint import fingerprint_of
from gateway.contract.loading import load_keys
from gateway.contract.types import KeyView
from gateway.models import DataPlane, DataPlaneInstance, KeyChange, KeyConfirmation, KeyWatch, RelayInstance
from gateway.planes.keys_feed import cursor_from
from keys.models import ApiKey, KeySecret

RIGHT = "migrations.manage"
ALIVE = timedelta(seconds=30)
CHUNK = 1000
# Why a key is not confirmed: withheld by a relay (KeyConfirmation.Withheld), or one of these.
NOT_SAID, ANOTHER_STATE, NO_RELAY = "not_said", "another_state", "no_relay"


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A key that a relay has not confirmed, and why."""

    key_id: int
    key_name: str
    relay: str
    reason: str


@transaction.atomic
def ask_confirmation(*, actor: User | None, key_ids: Collection[int]) -> int:
    """Ask every relay to read these keys and say so; asking again makes them say it again. Gives the number of keys."""
    if actor is not None:
        require(actor, RIGHT)
    at = now()
    wanted = list(ApiKey.objects.filter(pk__in=key_ids).order_by("pk").values_list("pk", flat=True))
    KeyWatch.objects.bulk_create(
        [KeyWatch(key_id=key_id, asked_at=at) for key_id in wanted],
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["asked_at"],
    )
    gone = KeyConfirmation.objects.filter(confirmed_at__lt=at - timedelta(days=1))
    gone.exclude(relay__in=RelayInstance.objects.values("name")).delete()
    return len(wanted)


@transaction.atomic
def end_confirmation(*, key_ids: Collection[int]) -> None:
    """The relays need not look after these keys any more; what they said stays."""
    KeyWatch.objects.filter(key_id__in=list(key_ids)).delete()


def unconfirmed(key_ids: Collection[int]) -> list[Unconfirmed]:
    """Which of these keys some live relay or data plane does not hold as the database has them now; by key, then relay."""
    names = dict(ApiKey.objects.filter(pk__in=key_ids).order_by("pk").values_list("pk", "name"))
    alive = now() - ALIVE
    relays = sorted(RelayInstance.objects.filter(seen_at__gte=alive).values_list("name", flat=True))
    planes = DataPlaneInstance.objects.filter(seen_at__gte=alive, plane__state=DataPlane.State.ACTIVE)
    behind = {f"{one.plane}/{one.name}": _behind(one.key_cursor, list(names)) for one in planes.select_related("plane")}
    if not relays and not behind:
        return [Unconfirmed(key_id, name, "", NO_RELAY) for key_id, name in names.items()]
    ours = _fingerprints(list(names)) if relays else {}
    rows = KeyConfirmation.objects.filter(key_id__in=list(names), relay__in=relays)
    said = {(row.relay, row.key_id): row for row in rows}
    found = []
    for key_id, name in names.items():
        for relay in relays:
            row = said.get((relay, key_id))
            reason = NOT_SAID if row is None else row.withheld
            if row is not None and not row.withheld and row.fingerprint != ours.get(key_id):
                reason = ANOTHER_STATE
            if reason:
                found.append(Unconfirmed(key_id, name, relay, reason))
        found += [Unconfirmed(key_id, name, plane, NOT_SAID) for plane, missing in sorted(behind.items()) if key_id in missing]
    return found


def _behind(cursor: str, key_ids: list[int]) -> set[int]:
    """Keys that a data plane with this cursor in the feed of keys has not surely read as they are (``planes.keys_feed``)."""
    try:
        place = cursor_from(cursor)
    except InvalidInput:
        place = None
    if place is None:
        return set(key_ids)
    if not place.since:
        # Still at its first reading: it has the keys up to this one.
        return {key_id for key_id in key_ids if key_id > place.after}
    changes = KeyChange.objects.filter(key_id__in=key_ids, changed_xid__gte=place.since)
    return set(changes.values_list("key_id", flat=True).distinct())


def _fingerprints(key_ids: list[int]) -> dict[int, str]:
    alive = Q(valid_until=None) | Q(valid_until__gt=now())
    digests = KeySecret.objects.filter(alive, key_id__in=key_ids, revoked_at=None).values_list("digest", flat=True)
    by_key: defaultdict[int, dict[bytes, KeyView]] = defaultdict(dict)
    with connection.cursor() as cursor:
        for digest, view in load_keys(cursor, [bytes(one) for one in digests]).items():
            by_key[view.id][digest] = view
    return {key_id: fingerprint_of(views) for key_id, views in by_key.items()}
