"""The one place of this app that takes row locks from Python. Purses, allowances and holds are locked in ``billing/sql``."""

from billing.models import PriceBook


def lock_book(book_id: int) -> PriceBook:
    """The book, with everybody else who publishes in it waiting; only inside a transaction."""
    return PriceBook.objects.select_for_update(no_key=True).get(pk=book_id)
