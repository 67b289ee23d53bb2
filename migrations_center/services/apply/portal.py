"""What is here already, as far as an import asks: its own earlier rows, names and secrets in use, and what was spent here."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models.functions import Lower

from accounts.models import User
from billing.models import LedgerAccount, RedemptionCode
from keys.models import KeySecret
from migrations_center.models import ImportedRow, Source, WaveMember
from models_catalog.models import ModelAccess, NameMapEntry

CHUNK = 5_000
# What imports put into a purse: opening balances and their corrections. Calls and going back are not theirs to undo.
_PURSES_SQL = """
SELECT a.user_id, a.kind, a.id, a.held_nano,
    coalesce(sum(CASE WHEN e.to_account_id = a.id THEN e.amount_nano ELSE -e.amount_nano END)
        FILTER (WHERE e.kind IN ('opening', 'opening_correction')), 0)::bigint,
    count(*) FILTER (WHERE e.kind = 'opening'), count(*) FILTER (WHERE e.kind = 'opening_correction'),
    coalesce(max(e.id) FILTER (WHERE e.kind = 'charge'), 0) > coalesce(max(e.id) FILTER (WHERE e.kind = 'moved_back'), 0)
FROM billing_ledgeraccount a
LEFT JOIN billing_ledgerentry e ON e.from_account_id = a.id OR e.to_account_id = a.id
WHERE a.origin = %s AND a.is_purse GROUP BY a.id
"""


@dataclass(frozen=True, slots=True)
class KnownRow:
    """An earlier landing of a row of this source."""

    pk: int
    target_id: str
    digest: str
    figures: dict[str, Any]
    first_run_id: Any


@dataclass(frozen=True, slots=True)
class PurseState:
    """A purse of this source's origin. ``opened`` is what imports put in; ``has_calls``: calls since it was last closed."""

    account_id: int
    held_nano: int
    opened_nano: int
    openings: int
    corrections: int
    has_calls: bool


@dataclass
class Portal:
    rows: dict[tuple[str, str], KnownRow] = field(default_factory=dict)
    usernames: dict[str, int] = field(default_factory=dict)
    emails: dict[str, int] = field(default_factory=dict)
    secrets: dict[bytes, int] = field(default_factory=dict)
    codes: dict[bytes, int] = field(default_factory=dict)
    purses: dict[tuple[int, str], PurseState] = field(default_factory=dict)
    # People whom a batch has moved to the new side.
    switched: frozenset[int] = frozenset()
    # Names that groups of others may call, and where names lead by somebody else's decision.
    foreign_models: frozenset[str] = frozenset()
    foreign_names: dict[str, str] = field(default_factory=dict)

    def row(self, table: str, row_id: object) -> KnownRow | None:
        return self.rows.get((table, str(row_id)))

    def rows_of(self, table: str) -> dict[str, KnownRow]:
        return {row_id: row for (name, row_id), row in self.rows.items() if name == table}


def load_portal(source: Source, *, usernames: Iterable[str], emails: Iterable[str]) -> Portal:
    """Everything about ``source`` (which may not be saved yet) and who holds these names and addresses, lower case."""
    portal = Portal(
        usernames=_holders("username", usernames),
        emails=_holders("email", emails),
        foreign_models=frozenset(
            ModelAccess.objects.exclude(group_code__startswith=f"{source.code}/").values_list("model__name", flat=True)
        ),
    )
    leads = NameMapEntry.objects.filter(until_version=None).exclude(callable_model=None)
    portal.foreign_names = dict(leads.values_list("old_name", "callable_model__name"))
    if source.pk is None:
        return portal
    found = ImportedRow.objects.filter(source=source).values_list(
        "table", "row_id", "pk", "target_id", "digest", "figures", "first_run_id"
    )
    portal.rows = {(table, row_id): KnownRow(*rest) for table, row_id, *rest in found.iterator(chunk_size=CHUNK)}
    for row_id in portal.rows_of("name_map"):
        portal.foreign_names.pop(row_id, None)
    portal.purses = purse_states(f"import:{source.code}")
    portal.switched = frozenset(
        WaveMember.objects.filter(state=WaveMember.State.SWITCHED, wave__plan__source=source).values_list("user_id", flat=True)
    )
    return portal


def holders_of_secrets(digests: Collection[bytes]) -> dict[bytes, int]:
    """Digest -> id of the key here that has this secret."""
    return {
        bytes(digest): key_id
        for part in _chunks(digests)
        for digest, key_id in KeySecret.objects.filter(digest__in=part).values_list("digest", "key_id")
    }


def holders_of_codes(digests: Collection[bytes]) -> dict[bytes, int]:
    return {
        bytes(digest): pk
        for part in _chunks(digests)
        for digest, pk in RedemptionCode.objects.filter(digest__in=part).values_list("digest", "pk")
    }


def _holders(column: str, values: Iterable[str]) -> dict[str, int]:
    wanted = {value.lower() for value in values if value}
    return {
        name: pk
        for part in _chunks(wanted)
        for name, pk in User.objects.annotate(low=Lower(column)).filter(low__in=part).values_list("low", "pk")
    }


def purse_states(origin: str) -> dict[tuple[int, str], PurseState]:
    with connection.cursor() as cursor:
        cursor.execute(_PURSES_SQL, [origin])
        rows = cursor.fetchall()
    return {
        (user_id, kind): PurseState(pk, held, opened, openings, corrections, bool(calls))
        for user_id, kind, pk, held, opened, openings, corrections, calls in rows
    }


def purse_ids(origin: str) -> dict[tuple[int, str], int]:
    found = LedgerAccount.objects.filter(origin=origin, is_purse=True).values_list("user_id", "kind", "pk")
    return {(user_id, kind): pk for user_id, kind, pk in found if user_id is not None}


def _chunks(values: Collection[Any]) -> Iterable[list[Any]]:
    ordered = list(values)
    return (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))
