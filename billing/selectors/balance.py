"""What a person or team has, and the ledger lines that explain it. Amounts are nano-USD."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from accounts.models import Group, User
from accounts.rights import may
from billing.models import LedgerAccount
from config.foundation.errors import NotFound


@dataclass(frozen=True, slots=True)
class PurseBalance:
    """One purse; ``available_nano`` is what a call could hold from it now, negative while in debt beyond its credit."""

    account_id: int
    kind: str
    origin: str
    balance_nano: int
    held_nano: int
    credit_limit_nano: int
    is_spendable: bool

    @property
    def available_nano(self) -> int:
        return self.balance_nano - self.held_nano + self.credit_limit_nano if self.is_spendable else 0


@dataclass(frozen=True, slots=True)
class Balance:
    """All purses in the order they are drawn. ``total_nano`` counts those too that cannot be spent here yet; no sum counts
    test money, which pays for test calls alone."""

    total_nano: int
    available_nano: int
    held_nano: int
    purses: tuple[PurseBalance, ...]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One movement as the owner of a purse sees it: ``amount_nano`` is signed, ``balance_nano`` the purse's after it."""

    entry_id: int
    transaction_id: UUID
    kind: str
    account_id: int
    purse_kind: str
    origin: str
    amount_nano: int
    balance_nano: int
    booked_at: datetime
    effective_at: datetime
    reason: str

    @property
    def call_id(self) -> UUID | None:
        """The request id, for lines that a call made."""
        return self.transaction_id if self.kind == "charge" else None


def balance_of(user: User) -> Balance:
    return _balance(LedgerAccount.objects.filter(is_purse=True, currency="USD", user=user))


def balance_of_group(group: Group) -> Balance:
    return _balance(LedgerAccount.objects.filter(is_purse=True, currency="USD", group=group))


def _balance(accounts: Iterable[LedgerAccount]) -> Balance:
    purses = tuple(
        PurseBalance(x.pk, x.kind, x.origin, x.balance_nano, x.held_nano, x.credit_limit_nano, x.is_spendable)
        for x in sorted(accounts, key=lambda x: (x.priority, x.pk))
    )
    real = [x for x in purses if x.kind != LedgerAccount.Kind.TEST]
    return Balance(
        total_nano=sum(x.balance_nano for x in real),
        available_nano=sum(x.available_nano for x in real),
        held_nano=sum(x.held_nano for x in real),
        purses=purses,
    )


# Each purse gives its newest lines from the index, and the newest of all of them are kept: no sort over a long history.
_LINES = """
SELECT e.id, e.transaction_id, e.kind, a.id, a.kind, a.origin, e.amount_nano, e.balance_nano, e.booked_at, e.effective_at,
       e.reason
FROM billing_ledgeraccount a
CROSS JOIN LATERAL (
    (SELECT x.id, x.transaction_id, x.kind, -x.amount_nano AS amount_nano, x.from_balance_nano AS balance_nano, x.booked_at,
            x.effective_at, x.reason
     FROM billing_ledgerentry x WHERE x.from_account_id = a.id AND x.id < %(before)s ORDER BY x.id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT x.id, x.transaction_id, x.kind, x.amount_nano, x.to_balance_nano, x.booked_at, x.effective_at, x.reason
     FROM billing_ledgerentry x WHERE x.to_account_id = a.id AND x.id < %(before)s ORDER BY x.id DESC LIMIT %(limit)s)
) e
WHERE a.is_purse AND a.currency = 'USD' AND a.user_id = %(user)s
ORDER BY e.id DESC, a.id LIMIT %(limit)s
"""


def ledger_lines(
    actor: User, user: User, before: int | None = None, limit: int = 50, *, without_calls: bool = False
) -> list[LedgerLine]:
    """Newest first; ``before`` is the entry id of the last line seen. One's own, or with the right ``ledger.view``."""
    if actor.pk != user.pk and not may(actor, "ledger.view"):
        raise NotFound
    values = {"user": user.pk, "before": before or 2**63 - 1, "limit": min(limit, 500)}
    sql = _LINES
    if without_calls:
        # The filter belongs inside, or a busy month of calls would push every payment out of the limit.
        sql = sql.replace("AND x.id < ", "AND x.kind <> 'charge' AND x.id < ")
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [LedgerLine(*row) for row in cursor.fetchall()]
