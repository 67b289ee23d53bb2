"""The ledger as finance reads it: every entry with filters, and what all purses hold together."""

from dataclasses import dataclass

from django.db.models import Q, Sum

from accounts.models import User
from accounts.rights import require
from billing.models import LedgerAccount, LedgerEntry


@dataclass(frozen=True, slots=True)
class LedgerFilters:
    """Empty fields do not filter. ``person`` is a user name, exactly."""

    kind: str = ""
    account_id: int | None = None
    person: str = ""
    account_kind: str = ""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """``next_before`` is the entry id to ask for the next page with, 0 on the last."""

    rows: list[LedgerEntry]
    next_before: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Nano-USD over all purses: what is owed to people, what of it is held, and what waits for its owner's switch."""

    owed_nano: int
    held_nano: int
    waiting_nano: int
    purse_count: int


def ledger_entries(actor: User, filters: LedgerFilters, before: int | None = None, limit: int = 50) -> EntryPage:
    """Entries newest first; needs the right ``ledger.view``."""
    require(actor, "ledger.view")
    entries = LedgerEntry.objects.select_related(
        "from_account__user", "from_account__group", "to_account__user", "to_account__group", "actor"
    )
    if filters.kind:
        entries = entries.filter(kind=filters.kind)
    accounts = _accounts(filters)
    if accounts is not None:
        entries = entries.filter(Q(from_account__in=accounts) | Q(to_account__in=accounts))
    if before:
        entries = entries.filter(pk__lt=before)
    found = list(entries.order_by("-pk")[: limit + 1])
    return EntryPage(found[:limit], found[limit - 1].pk if len(found) > limit else 0)


def ledger_overview(actor: User) -> Overview:
    require(actor, "ledger.view")
    purses = LedgerAccount.objects.filter(is_purse=True, currency="USD")
    sums = purses.aggregate(owed=Sum("balance_nano"), held=Sum("held_nano"))
    waiting = purses.filter(is_spendable=False).aggregate(n=Sum("balance_nano"))["n"]
    return Overview(int(sums["owed"] or 0), int(sums["held"] or 0), int(waiting or 0), purses.count())


def _accounts(filters: LedgerFilters) -> list[int] | None:
    """Ids of the accounts meant, or None when nothing narrows them."""
    if not (filters.account_id or filters.person or filters.account_kind):
        return None
    accounts = LedgerAccount.objects.all()
    if filters.account_id:
        accounts = accounts.filter(pk=filters.account_id)
    if filters.person:
        accounts = accounts.filter(user__username=filters.person)
    if filters.account_kind:
        accounts = accounts.filter(kind=filters.account_kind)
    return list(accounts.values_list("pk", flat=True)[:10_000])
