"""Why a person's balance is what it is: six numbers that add up, and each purse's story. Amounts are nano-USD.

before (units of the old gateway) -> converted + moved + spent = now; and what failed calls cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from accounts.models import User
from accounts.rights import may
from billing.counted import COUNTED_CALLS
from billing.models import LedgerAccount
from billing.old_balances import OldBalance, old_balances
from config.foundation.errors import NotFound

RIGHT = "calls.search"
OPENINGS = ("opening", "opening_correction")
STORY_LINES = 200


@dataclass(frozen=True, slots=True)
class SixNumbers:
    """``converted_nano + spent_nano + moved_nano == now_nano``; ``spent_nano`` is negative.

    ``moved`` has the sum of each other kind of entry. ``failed_calls`` did not end well here and cost ``failed_nano``.
    """

    before: tuple[OldBalance, ...]
    converted_nano: int
    spent_nano: int
    moved_nano: int
    moved: Mapping[str, int]
    now_nano: int
    failed_calls: int
    failed_nano: int
    snapshot_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One step of a purse; ``kind`` "calls" stands for all calls between two other entries."""

    kind: str
    amount_nano: int
    balance_nano: int
    at: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A purse from its first entry, or from the newest ``STORY_LINES``, to now."""

    kind: str
    origin: str
    lines: tuple[StoryLine, ...]
    balance_nano: int


# What moved the purses besides calls, from the small indexes; what the calls took is the rest, by the ledger's own rule
# that a balance is the sum of its entries.
_OTHER = """
SELECT x.kind, sum(x.amount)::bigint, min(x.booked_at) FROM billing_ledgeraccount a
CROSS JOIN LATERAL (
    SELECT e.kind, -e.amount_nano AS amount, e.booked_at FROM billing_ledgerentry e
    WHERE e.from_account_id = a.id AND e.kind <> 'charge'
    UNION ALL
    SELECT e.kind, e.amount_nano, e.booked_at FROM billing_ledgerentry e WHERE e.to_account_id = a.id AND e.kind <> 'charge'
) x WHERE a.is_purse AND a.user_id = %(user)s AND a.currency = 'USD' GROUP BY x.kind ORDER BY x.kind
"""
# Less what was given back of them.
_FAILED = f"""
SELECT coalesce(sum(call_count), 0), coalesce(sum(cost_nano), 0)::bigint FROM {COUNTED_CALLS} c
WHERE user_id = %(user)s AND outcome <> 'ok' AND origin = 'relay'
"""  # noqa: S608  (constants)
_LINES = """
SELECT * FROM (
    (SELECT e.id, e.kind, -e.amount_nano AS amount, e.from_balance_nano AS balance, e.booked_at, e.reason
     FROM billing_ledgerentry e WHERE e.from_account_id = %(account)s AND e.kind <> 'charge' ORDER BY e.id DESC LIMIT %(most)s)
    UNION ALL
    (SELECT e.id, e.kind, e.amount_nano, e.to_balance_nano, e.booked_at, e.reason
     FROM billing_ledgerentry e WHERE e.to_account_id = %(account)s AND e.kind <> 'charge' ORDER BY e.id DESC LIMIT %(most)s)
) x ORDER BY id DESC LIMIT %(most)s
"""


def explained_person(actor: User, username: str = "") -> User:
    """The person a question is about: oneself, or for support the person of that user name. NotFound for everybody else."""
    if username in ("", actor.username):
        return actor
    person = User.objects.filter(username=username).first() if may(actor, RIGHT) else None
    if person is None:
        raise NotFound
    return person


def six_numbers(actor: User, person: User) -> SixNumbers:
    _may_ask(actor, person)
    with connection.cursor() as cursor:
        cursor.execute(_OTHER, {"user": person.pk})
        sums = {kind: (int(nano), first) for kind, nano, first in cursor.fetchall()}
        cursor.execute(_FAILED, {"user": person.pk})
        failed, failed_nano = cursor.fetchone()
    now_nano = sum(purse.balance_nano for purse in _purses(person))
    converted = sum(sums[kind][0] for kind in OPENINGS if kind in sums)
    moved = {kind: nano for kind, (nano, _first) in sums.items() if kind not in OPENINGS}
    return SixNumbers(
        before=tuple(old_balances(person)),
        converted_nano=converted,
        spent_nano=now_nano - converted - sum(moved.values()),
        moved_nano=sum(moved.values()),
        moved=moved,
        now_nano=now_nano,
        failed_calls=int(failed),
        failed_nano=int(failed_nano),
        snapshot_at=sums["opening"][1] if "opening" in sums else None,
    )


def purse_stories(actor: User, person: User) -> list[Story]:
    """Each purse's entries in order, with the calls between two of them as one line."""
    _may_ask(actor, person)
    return [_story(purse) for purse in _purses(person)]


def _story(purse: LedgerAccount) -> Story:
    with connection.cursor() as cursor:
        cursor.execute(_LINES, {"account": purse.pk, "most": STORY_LINES})
        rows = cursor.fetchall()[::-1]
    lines: list[StoryLine] = []
    balance = 0
    if len(rows) == STORY_LINES:
        balance = rows[0][3] - rows[0][2]
        lines.append(StoryLine("earlier", balance, balance, None))
    for _id, kind, amount, after, at, reason in rows:
        if calls := after - amount - balance:
            lines.append(StoryLine("calls", calls, balance + calls, None))
        lines.append(StoryLine(kind, amount, after, at, reason))
        balance = after
    if calls := purse.balance_nano - balance:
        lines.append(StoryLine("calls", calls, purse.balance_nano, None))
    return Story(purse.kind, purse.origin, tuple(lines), purse.balance_nano)


def _purses(person: User) -> list[LedgerAccount]:
    return list(LedgerAccount.objects.filter(is_purse=True, user=person, currency="USD").order_by("priority", "pk"))


def _may_ask(actor: User, person: User) -> None:
    if actor.pk != person.pk and not may(actor, RIGHT):
        raise NotFound
