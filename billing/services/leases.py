"""Leases: money of one payer lent to a relay or data plane, which serves calls from it without asking for each.

Each door is one call of an SQL function of ``billing/sql/leases.sql``, all or nothing, and may be repeated with the same ids.
Amounts are nano-USD. The ends of calls that drew on a lease go through ``ledger.record_calls`` with ``lease_id`` and
``promised_nano``; what they cost is taken out of the lease, the rest of what was promised stays in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection

from billing.models import Lease
from config.foundation.clock import now

OPEN_SQL = "SELECT lease_id, status, granted_nano, available_nano, draw_until, expires_at FROM billing_lease_open(%s::jsonb)"
RENEW_SQL = "SELECT lease_id, status, granted_nano, available_nano, draw_until, expires_at FROM billing_lease_renew(%s::jsonb)"
CLOSE_SQL = "SELECT lease_id, status, returned_nano FROM billing_lease_close(%s::jsonb)"
CLOSE_SOURCES_SQL = """
SELECT c.status FROM (SELECT jsonb_agg(jsonb_build_object('lease_id', l.id, 'source', l.source)) AS open_ones
    FROM billing_lease l WHERE l.state = 'open' AND l.source = ANY(%s)) x
CROSS JOIN LATERAL billing_lease_close(x.open_ones) c WHERE x.open_ones IS NOT NULL
"""
EXPIRE_SQL = "SELECT billing_expire_leases(%s, %s)"


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A new lease for the payer of a key: ``wanted_nano`` if a share of the balance allows it, at least ``least_nano``
    (what one call may cost). ``source`` names who lends; only it can renew and close. ``lease_id`` is made by the caller, who
    may say whose key it takes it to be."""

    lease_id: UUID
    source: str
    key_id: int
    wanted_nano: int
    least_nano: int
    user_id: int | None = None
    group_id: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseRenewal:
    """Brings what a lease was granted in all to ``granted_nano``, as far as the purse allows, and its times on from now.
    Less than before gives back what is not spent."""

    lease_id: UUID
    source: str
    granted_nano: int


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """``status`` of a new one: open, repeated, per_call (hold each call by itself: a spend limit may concern it, or the purse
    that comes first has too little for a lease), no_balance, mismatch, refused; of a renewal: renewed, stopped (draw no more
    from it), closed, unknown. ``granted_nano``: in all, the spent part included. ``available_nano``: free money."""

    lease_id: UUID
    status: str
    granted_nano: int
    available_nano: int
    draw_until: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CloseResult:
    """``status``: closed, repeated, unknown."""

    lease_id: UUID
    status: str
    returned_nano: int


def open_leases(requests: Sequence[LeaseRequest]) -> list[LeaseResult]:
    """Set money aside for a relay, each request on its own; answers come in the order of the requests."""
    return [LeaseResult(*row) for row in _rows(OPEN_SQL, open_payload(requests), requests)]


def renew_leases(renewals: Sequence[LeaseRenewal]) -> list[LeaseResult]:
    """Answers come in the order of the renewals."""
    return [LeaseResult(*row) for row in _rows(RENEW_SQL, renew_payload(renewals), renewals)]


def close_leases(*, source: str, lease_ids: Sequence[UUID]) -> list[CloseResult]:
    """Give back what is left of these leases. Report the ends of their calls first: later ones are charged as late."""
    return [CloseResult(*row) for row in _rows(CLOSE_SQL, close_payload(source, lease_ids), lease_ids)]


def close_leases_of(sources: Sequence[str]) -> int:
    """Give back what relays that are gone had lent, once the ends of all their calls are recorded; gives the number closed."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE_SOURCES_SQL, [list(sources)])
        return len(cursor.fetchall())


def expire_leases(limit: int = 1000, at: datetime | None = None) -> int:
    """Give back what leases have left whose time is over; gives their number."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE_SQL, [limit, at or now()])
        (count,) = cursor.fetchone()
    return int(count)


def lent_nano(**payer: Any) -> int:
    """What relays have of this payer (``user`` or ``group``) and have not spent."""
    rows = Lease.objects.filter(state=Lease.State.OPEN, **payer).values_list("granted_nano", "spent_nano")
    return sum(granted - spent for granted, spent in rows)


def open_payload(requests: Sequence[LeaseRequest]) -> str:
    """The parameter of ``OPEN_SQL``; how long and how much is the portal's to say, not the relay's."""
    most = settings.LEASE_MOST_NANO
    rows = [
        {
            "lease_id": one.lease_id,
            "source": one.source,
            "key_id": one.key_id,
            "wanted_nano": max(min(one.wanted_nano, most), one.least_nano),
            "least_nano": one.least_nano,
            "user_id": one.user_id,
            "group_id": one.group_id,
            **_terms(),
        }
        for one in requests
    ]
    return orjson.dumps(rows).decode()


def renew_payload(renewals: Sequence[LeaseRenewal]) -> str:
    """The parameter of ``RENEW_SQL``."""
    rows = [{"lease_id": one.lease_id, "source": one.source, "granted_nano": one.granted_nano, **_terms()} for one in renewals]
    return orjson.dumps(rows).decode()


def close_payload(source: str, lease_ids: Sequence[UUID]) -> str:
    """The parameter of ``CLOSE_SQL``."""
    return orjson.dumps([{"lease_id": one, "source": source} for one in lease_ids]).decode()


def _terms() -> dict[str, int]:
    return {
        "share_percent": settings.LEASE_SHARE_PERCENT,
        "draw_seconds": settings.LEASE_SECONDS,
        "keep_seconds": settings.HOLD_SECONDS,
    }


def _rows(query: str, payload: str, asked: Sequence[Any]) -> list[tuple[Any, ...]]:
    if not asked:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, [payload])
        return list(cursor.fetchall())
