"""Sealing what was booked, so that a change of history is found (``ledger_check``: seal_entry, seal_chain)."""

import hashlib
import logging

from django.db import connection
from django.db.models import Max

from billing.models import LedgerSeal

logger = logging.getLogger(__name__)

SEAL_SQL = "SELECT billing_seal_entries(%s, %s)"


def seal_entries(*, most_accounts: int = 2000, block_size: int = 1000) -> int:
    """Seal entries of up to so many purses; gives the number of entries, 0 when nothing is left or another worker is at it.

    It may stop anywhere and be run again: it goes on after the last seal of each purse, the first one included.
    """
    with connection.cursor() as cursor:
        cursor.execute(SEAL_SQL, [most_accounts, block_size])
        (sealed,) = cursor.fetchone()
    return int(sealed)


def seal_everything(rounds: int = 20) -> int:
    """Seal in rounds until nothing is left, and write the fingerprint of the new seals to the log; gives their entries."""
    before = last_seal()
    total = 0
    for _round in range(rounds):
        sealed = seal_entries()
        total += sealed
        if not sealed:
            break
    after = last_seal()
    if after > before:
        # Kept in the log, outside the database, it proves these seals, and through their chains everything before, later.
        logger.info("Seals %d to %d (%d entries): %s", before + 1, after, total, fingerprint(before + 1, after))
    return total


def last_seal() -> int:
    return int(LedgerSeal.objects.aggregate(last=Max("pk"))["last"] or 0)


def fingerprint(first: int, last: int) -> str:
    """One digest over the seals with these numbers, both included."""
    digest = hashlib.sha256()
    seals = LedgerSeal.objects.filter(pk__gte=first, pk__lte=last).order_by("pk")
    for number, account, place, seal in seals.values_list("pk", "account_id", "first_seq", "digest").iterator():
        digest.update(f"{number} {account} {place} ".encode() + bytes(seal))
    return digest.hexdigest()
