"""Keys that seem to serve several purposes at once (R011): one key, one purpose, so that one can be stopped alone."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef

from accounts.models import AuditEvent, User
from accounts.rights import require
from billing.models import RequestLog
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


def mixed_keys(actor: User) -> list[MixedKey]:
    """Keys called both by hand and by programs in the last days, then imported keys without a purpose of their own; at most
    500. Raises NotAllowed."""
    require(actor, "keys.view")
    calls = _calls()
    both = {key_id for key_id, (hand, program) in calls.items() if hand and program}
    said = AuditEvent.objects.filter(object_type="keys.apikey", action="key.rename", after__has_key="purpose")
    imported = KeySecret.objects.filter(key=OuterRef("pk"), origin=KeySecret.Origin.IMPORTED)
    unsaid = set(
        ApiKey.objects.filter(Exists(imported), state=ApiKey.State.ACTIVE)
        .exclude(pk__in=[int(pk) for pk in said.values_list("object_id", flat=True)])
        .order_by("-last_used_at")
        .values_list("pk", flat=True)[:MOST]
    )
    keys = ApiKey.objects.filter(pk__in=both | unsaid).exclude(state=ApiKey.State.REVOKED).select_related("owner", "team")
    found = [
        MixedKey(key, tuple(calls[key.pk][0]), tuple(calls[key.pk][1]), key.pk in unsaid)
        if key.pk in calls
        else MixedKey(key, (), (), True)
        for key in keys.prefetch_related("secrets")
    ]
    return sorted(found, key=lambda one: (not one.is_mixed, one.key.name, one.key.pk))[:MOST]


def _calls() -> dict[int, tuple[list[tuple[str, int]], list[tuple[str, int]]]]:
    """Per key: clients used by hand, and programs, with their calls."""
    rows = (
        RequestLog.objects.filter(started_at__gte=now() - timedelta(days=DAYS), key__isnull=False)
        .exclude(client_family__in=UNKNOWN)
        .order_by()
        .values_list("key_id", "client_family")
        .annotate(n=Count("id"))
    )
    found: dict[int, tuple[list[tuple[str, int]], list[tuple[str, int]]]] = defaultdict(lambda: ([], []))
    for key_id, family, count in rows:
        found[key_id][0 if family in BY_HAND else 1].append((family, count))
    return found
