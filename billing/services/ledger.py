"""The doors to the ledger. Each is one call of an SQL function of ``billing/sql``, so one round trip and all or nothing.

Amounts are nano-USD. Every call may be repeated with the same ids and has one effect.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import DatabaseError, connection, transaction

from accounts.models import Group, User
from accounts.services import audit
from billing.models import Hold, LedgerAccount
from billing.services.errors import AlreadyReversed, EntryMismatch, InsufficientBalance, PostingRefused, RefundTooHigh
from config.foundation.clock import now

POST_SQL = "SELECT transaction_id, kind, n, status, entry_id FROM billing_post_entries(%s::jsonb)"
RESERVE_SQL = "SELECT request_id, status, available_nano, span, resets_at, zone FROM billing_reserve(%s::jsonb)"
RECORD_SQL = "SELECT request_id, status, reason FROM billing_record(%s::jsonb)"
EXPIRE_SQL = "SELECT billing_expire_holds(%s, %s)"
# In the order in which every function locks holds.
HURRY_SQL = """
UPDATE billing_hold h SET expires_at = clock_timestamp()
FROM (SELECT id FROM billing_hold WHERE id = ANY(%s) AND state = 'open' ORDER BY id FOR NO KEY UPDATE) x
WHERE h.id = x.id AND h.state = 'open' AND h.expires_at > clock_timestamp()
"""

PRIORITY = {"test": 5, "bonus": 10, "subscription": 20, "prepaid": 30, "postpaid": 40}
LIMIT_STATUSES = frozenset({"key_limit", "member_limit", "group_limit", "person_limit"})
_ERRORS = {
    "PB001": EntryMismatch,
    "PB002": InsufficientBalance,
    "PB003": AlreadyReversed,
    "PB004": PostingRefused,
    "PB005": RefundTooHigh,
}


@dataclass(frozen=True, slots=True)
class Posting:
    """One positive amount from one account to another; with ``kind`` and ``n`` an act is booked once."""

    transaction_id: UUID
    kind: str
    from_account_id: int
    to_account_id: int
    amount_nano: int
    n: int = 0
    reason: str = ""
    effective_at: datetime | None = None
    actor_id: int | None = None
    reverses_id: int | None = None
    allow_debt: bool = False


@dataclass(frozen=True, slots=True)
class PostingResult:
    """``status`` is "posted" or "repeated"."""

    transaction_id: UUID
    kind: str
    n: int
    status: str
    entry_id: int


@dataclass(slots=True)
class ReserveRequest:
    """Money to set aside for a call. Exactly one of ``user_id`` and ``group_id`` pays. Whether it is a test
    call, and which member of a team makes it, the database reads from the key.

    ``context`` holds the request log's columns known at admission: what the sweeper writes when the relay dies.
    """

    request_id: UUID
    user_id: int | None
    group_id: int | None
    key_id: int | None
    amount_nano: int
    expires_at: datetime
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ReserveResult:
    """``status``: held, repeated, no_balance, key_limit, member_limit, group_limit, person_limit; or mismatch (the id was used
    with another amount or has closed) and refused (not one payer, negative amount, no such key). ``available_nano``: what is
    left, or what would have been there. For a limit: ``span`` (total, daily, monthly), when it begins anew, and its zone."""

    request_id: UUID
    status: str
    available_nano: int
    span: str | None = None
    resets_at: datetime | None = None
    time_zone: str | None = None


@dataclass(slots=True)
class CallEvent:
    """The end of a call. ``log`` holds request log columns by name, without id, started_at and cost_nano; held_nano only for a
    call that drew on a lease, of which ``promised_nano`` was kept free for it."""

    request_id: UUID
    cost_nano: int
    hold: bool
    reason: str = ""
    log: dict[str, Any] = field(default_factory=dict)
    lease_id: UUID | None = None
    promised_nano: int = 0


@dataclass(frozen=True, slots=True)
class CallResult:
    """``status``: recorded, repeated, late (charged after the hold expired) or refused, with the ``reason``.
    ``request_id`` is None only where the event's own id could not be read."""

    request_id: UUID | None
    status: str
    reason: str


def house_account(kind: str, origin: str = "", currency: str = "USD") -> LedgerAccount:
    """The account of the house for kind, origin and currency, made when missing; safe to call twice at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_house_account(%s, %s, %s)", [kind, origin, currency])
        (account_id,) = cursor.fetchone()
    return LedgerAccount.objects.get(pk=account_id)


def purse_for(
    *,
    user: User | None = None,
    group: Group | None = None,
    kind: str = "prepaid",
    origin: str = "",
    is_spendable: bool = True,
    currency: str = "USD",
) -> LedgerAccount:
    """The purse of a person or team, made when missing; ``is_spendable`` counts only for a new one in USD."""
    if (user is None) == (group is None):
        raise PostingRefused("A purse belongs to one person or to one team.")
    row = {"user": user, "group": group, "kind": kind, "currency": currency, "origin": origin}
    # Calls are charged in USD.
    can_spend = is_spendable and currency == "USD"
    defaults = {"is_purse": True, "is_spendable": can_spend, "priority": PRIORITY[kind]}
    purse, _created = LedgerAccount.objects.get_or_create(**row, defaults=defaults)
    return purse


def set_spendable(*, actor: User | None, user_ids: Sequence[int], origin: str | None, is_spendable: bool) -> int:
    """Let the purses of these people (of one ``origin``, or all when None) be spent here, or not; gives the number changed."""
    purses = LedgerAccount.objects.filter(is_purse=True, currency="USD", user_id__in=list(user_ids))
    purses = purses.exclude(is_spendable=is_spendable)
    if origin is not None:
        purses = purses.filter(origin=origin)
    with transaction.atomic():
        changed = list(purses.order_by("pk").values_list("pk", flat=True))
        count = (
            LedgerAccount.objects.filter(pk__in=changed).exclude(is_spendable=is_spendable).update(is_spendable=is_spendable)
        )
        for purse in LedgerAccount.objects.filter(pk__in=changed).select_related("user", "group"):
            audit.record(
                actor=actor,
                action="purse.opened" if is_spendable else "purse.closed",
                target=purse,
                before={"is_spendable": not is_spendable},
                after={"is_spendable": is_spendable},
            )
    return count


def post_entries(postings: Sequence[Posting]) -> list[PostingResult]:
    """Post all or nothing, in the order given.

    Raises EntryMismatch (same act, other figures), InsufficientBalance (a purse would fall below its floor and debt is
    not allowed), AlreadyReversed and PostingRefused.
    """
    if not postings:
        return []
    with translated_errors(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(POST_SQL, [_dumps(postings)])
        return [PostingResult(*row) for row in cursor.fetchall()]


def reserve(requests: Sequence[ReserveRequest]) -> list[ReserveResult]:
    """Set money aside, each request on its own; answers come in the order of the requests."""
    if not requests:
        return []
    with connection.cursor() as cursor:
        cursor.execute(RESERVE_SQL, [reserve_payload(requests)])
        return [ReserveResult(*row) for row in cursor.fetchall()]


def record_calls(events: Sequence[CallEvent]) -> list[CallResult]:
    """Write logs, close holds and charge, in one transaction; answers come in the order of the events."""
    if not events:
        return []
    with connection.cursor() as cursor:
        cursor.execute(RECORD_SQL, [record_payload(events)])
        return [CallResult(*row) for row in cursor.fetchall()]


def expire_holds(limit: int = 5000, at: datetime | None = None) -> int:
    """Give back what calls still hold whose time is over, and log each as timed out; gives their number."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE_SQL, [limit, at or now()])
        (count,) = cursor.fetchone()
    return int(count)


def prolong_holds(*, hold_ids: Sequence[UUID], until: datetime, margin: timedelta) -> int:
    """Let these open holds last until then, where they end before that less ``margin``; gives the number prolonged."""
    open_holds = Hold.objects.filter(pk__in=hold_ids, state=Hold.State.OPEN, expires_at__lt=until - margin)
    return open_holds.update(expires_at=until)


def hurry_holds(request_ids: Sequence[UUID]) -> int:
    """Let the sweeper end these holds at its next round, for calls whose end nobody knows; gives the number of open ones."""
    if not request_ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(HURRY_SQL, [list(request_ids)])
        return int(cursor.rowcount)


def reserve_payload(requests: Sequence[ReserveRequest]) -> str:
    """The parameter of ``RESERVE_SQL``."""
    return _dumps(requests)


def record_payload(events: Sequence[CallEvent]) -> str:
    """The parameter of ``RECORD_SQL``."""
    return _dumps(events)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns the refusals of the SQL functions into the errors people read."""
    try:
        yield
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        if state not in _ERRORS:
            raise
        raise _ERRORS[state] from error


def _dumps(rows: Sequence[Any]) -> str:
    return orjson.dumps(list(rows)).decode()
