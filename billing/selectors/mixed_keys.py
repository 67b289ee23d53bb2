"""Keys that seem to serve several purposes at once (R011): one key, one purpose, so that one can be stopped alone."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from accounts.models import AuditEvent, User
from accounts.rights import require
from config.foundation.clock import now
from keys.models import ApiKey, KeySecret

DAYS = 7
# Programs a person sits in front of; every other known client is part of somebody's program.
BY_HAND = frozenset(
    {"Claude Code", "Cursor", "Cherry Studio", "LobeChat", "Chatbox", "NextChat", "Open WebUI", "Cline", "browser"}
)
UNKNOWN = frozenset({"", "other"})
MOST = 500


@dataclass(frozen=True, slots=True)
class MixedKey:
    """``by_hand`` and ``by_program`` are (client, calls) of the last days. ``is_unsaid``: imported, and nobody ever said
    what it is for."""

    key: ApiKey
    by_hand: tuple[tuple[str, int], ...]
    by_program: tuple[tuple[str, int], ...]
    is_unsaid: bool

    @property
    def is_mixed(self) -> bool:
        return bool(self.by_hand and self.by_program)


# One pass over the log of the last days: what each key was called with, of keys that were called both ways or are wanted
# anyway. Keys with the most calls first, when there are more than fit.
CALLS_SQL = """
WITH calls AS MATERIALIZED (
    SELECT key_id, client_family, count(*) AS n, client_family = ANY (%(by_hand)s) AS is_by_hand FROM billing_requestlog
    WHERE started_at >= %(since)s AND key_id IS NOT NULL AND client_family <> ALL (%(unknown)s) GROUP BY 1, 2
), both_ways AS (
    SELECT key_id FROM calls GROUP BY 1 HAVING bool_or(is_by_hand) AND NOT bool_and(is_by_hand)
    ORDER BY sum(n) DESC LIMIT %(most)s
)
SELECT key_id, client_family, n, is_by_hand FROM calls
WHERE key_id IN (SELECT key_id FROM both_ways) OR key_id = ANY (%(wanted)s) ORDER BY n DESC, client_family
"""


def mixed_keys(actor: User) -> list[MixedKey]:
    """Keys called both by hand and by programs in the last days, then imported keys without a purpose of their own; at most
    500. Raises NotAllowed."""
    require(actor, "keys.view")
    unsaid = _never_described()
    calls = _calls(unsaid)
    wanted = set(unsaid) | {key_id for key_id, (hand, program) in calls.items() if hand and program}
    keys = ApiKey.objects.filter(pk__in=wanted).exclude(state=ApiKey.State.REVOKED).order_by().select_related("owner", "team")
    found = []
    for key in keys.prefetch_related("secrets"):
        by_hand, by_program = calls.get(key.pk, ([], []))
        found.append(MixedKey(key, tuple(by_hand), tuple(by_program), key.pk in unsaid))
    return sorted(found, key=lambda one: (not one.is_mixed, one.key.name, one.key.pk))[:MOST]


def _never_described() -> list[int]:
    """Imported keys in use that nobody ever said the purpose of, the newest first: in the order of an index, so that it ends
    at the first 500."""
    said = AuditEvent.objects.filter(
        object_type="keys.apikey", object_id=Cast(OuterRef("pk"), CharField()), action="key.rename", after__has_key="purpose"
    )
    imported = KeySecret.objects.filter(key=OuterRef("pk"), origin=KeySecret.Origin.IMPORTED)
    rows = ApiKey.objects.filter(Exists(imported), ~Exists(said), state=ApiKey.State.ACTIVE)
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:MOST])


def _calls(wanted: list[int]) -> dict[int, tuple[list[tuple[str, int]], list[tuple[str, int]]]]:
    """Per key: clients used by hand, and programs, with their calls."""
    given: dict[str, Any] = {
        "since": now() - timedelta(days=DAYS),
        "by_hand": sorted(BY_HAND),
        "unknown": sorted(UNKNOWN),
        "most": MOST,
        "wanted": wanted,
    }
    found: dict[int, tuple[list[tuple[str, int]], list[tuple[str, int]]]] = defaultdict(lambda: ([], []))
    with connection.cursor() as cursor:
        cursor.execute(CALLS_SQL, given)
        for key_id, family, count, is_by_hand in cursor.fetchall():
            found[key_id][0 if is_by_hand else 1].append((family, count))
    return found
