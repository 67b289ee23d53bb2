"""What was given back for calls, what still can be, and conversions of money. Amounts are nano-units of their currency."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Group, User
from accounts.rights import require
from billing.models import CallRefund, CurrencyConversion, LedgerAccount, LedgerEntry, RequestLog
from billing.selectors.calls import parse_request_id
from config.foundation.errors import NotFound
from config.foundation.ids import uuid7_time

RIGHT = "ledger.view"


@dataclass(frozen=True, slots=True)
class PurseShare:
    """What one purse paid for a call, what came back to it, and what a refund of a given amount would bring it."""

    account: LedgerAccount
    charged_nano: int
    refunded_nano: int
    next_nano: int

    @property
    def left_nano(self) -> int:
        return self.charged_nano - self.refunded_nano


@dataclass(frozen=True, slots=True)
class ChargedCall:
    """A call with its charges; ``shares`` in the order in which they are given back."""

    call: RequestLog
    payer: User | Group | None
    shares: tuple[PurseShare, ...]
    refunds: tuple[CallRefund, ...]

    @property
    def charged_nano(self) -> int:
        return sum(share.charged_nano for share in self.shares)

    @property
    def refunded_nano(self) -> int:
        return sum(share.refunded_nano for share in self.shares)

    @property
    def left_nano(self) -> int:
        return self.charged_nano - self.refunded_nano


def charged_call(actor: User, request_id: str | UUID, amount_nano: int | None = None) -> ChargedCall:
    """The call with what a refund of ``amount_nano`` (all that is left when None) would do. Raises NotAllowed, NotFound."""
    require(actor, RIGHT)
    wanted = parse_request_id(request_id)
    if wanted is None:
        raise NotFound
    found = RequestLog.objects.filter(id=wanted, started_at=uuid7_time(wanted)).select_related("user", "key").first()
    if found is None:
        raise NotFound
    entries = LedgerEntry.objects.filter(transaction_id=wanted, kind__in=["charge", "refund"], reversed_by=None)
    rows = list(entries.select_related("from_account__user", "from_account__group").order_by("-n"))
    back: Counter[int] = Counter()
    for entry in rows:
        if entry.kind == "refund":
            back[entry.to_account_id] += entry.amount_nano
    charges = [entry for entry in rows if entry.kind == "charge"]
    open_nano = amount_nano if amount_nano is not None else sum(x.amount_nano for x in charges) - back.total()
    shares = []
    for entry in charges:
        left = entry.amount_nano - back[entry.from_account_id]
        part = max(min(left, open_nano), 0)
        open_nano -= part
        shares.append(PurseShare(entry.from_account, entry.amount_nano, entry.amount_nano - left, part))
    payer = charges[0].from_account.user or charges[0].from_account.group if charges else None
    refunds = CallRefund.objects.filter(request_id=wanted).select_related("actor").order_by("pk")
    return ChargedCall(found, payer, tuple(shares), tuple(refunds))


def call_refunds(actor: User, *, request_id: UUID | None = None) -> QuerySet[CallRefund]:
    """Refunds of everybody's calls, newest first, or those of one call."""
    require(actor, RIGHT)
    rows = CallRefund.objects.select_related("actor").order_by("-pk")
    return rows.filter(request_id=request_id) if request_id else rows


def conversions(actor: User) -> QuerySet[CurrencyConversion]:
    """Conversions of everybody, newest first."""
    require(actor, RIGHT)
    return CurrencyConversion.objects.select_related("user", "group", "actor").order_by("-created_at", "-pk")


def prepaid_purse(actor: User, owner: User | Group, currency: str) -> LedgerAccount | None:
    """The prepaid purse of this currency, or None while there is none."""
    require(actor, RIGHT)
    whose = {"user": owner, "group": None} if isinstance(owner, User) else {"group": owner, "user": None}
    return LedgerAccount.objects.filter(is_purse=True, kind="prepaid", origin="", currency=currency, **whose).first()


def purses_not_in_dollars(actor: User) -> list[LedgerAccount]:
    """Purses of other currencies that have money, the largest first: what may be converted."""
    require(actor, RIGHT)
    found = LedgerAccount.objects.filter(is_purse=True).exclude(currency="USD").exclude(balance_nano=0)
    return list(found.select_related("user", "group").order_by("currency", "-balance_nano", "pk")[:50])
