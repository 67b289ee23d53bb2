"""The one place of this app that takes row locks from Python. Purses and holds are locked in ``billing/sql``."""

from collections.abc import Collection

from django.db import connection

from billing.models import PriceBook


def lock_book(book_id: int) -> PriceBook:
    """The book, with everybody else who publishes in it waiting; only inside a transaction."""
    return PriceBook.objects.select_for_update(no_key=True).get(pk=book_id)


def lock_purses_of(user_ids: Collection[int]) -> None:
    """Lock the purses of these people in the order every function of the ledger locks them; only inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_purses(%s::bigint[], '{}'::bigint[])", [sorted(user_ids)])
