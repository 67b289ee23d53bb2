"""The one place of this app that takes row locks from Python. Purses and holds are locked in ``billing/sql``."""

from collections.abc import Collection
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet

from billing.models import PriceBook, RedemptionCode

Row = TypeVar("Row", bound=Model)


def lock_book(book_id: int) -> PriceBook:
    """The book, with everybody else who publishes in it waiting; only inside a transaction."""
    return PriceBook.objects.select_for_update(no_key=True).get(pk=book_id)


def lock_purses_of(user_ids: Collection[int]) -> None:
    """Lock the purses of these people in the order every function of the ledger locks them; only inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_purses(%s::bigint[], '{}'::bigint[])", [sorted(user_ids)])


def lock_row(model: type[Row], pk: Any) -> Row | None:
    """The row with everybody else who wants to decide about it waiting, or None; only inside a transaction.

    Order: a request, then what it is about (batch, payment), then codes, then purses (in ``billing/sql``).
    """
    return model._default_manager.select_for_update(no_key=True).filter(pk=pk).first()


def lock_codes(codes: QuerySet[RedemptionCode], limit: int | None = None) -> list[RedemptionCode]:
    """These codes as they are now, in one order; with ``limit`` those that nobody else holds. Only inside a transaction."""
    ordered = codes.order_by("pk")
    if limit is None:
        return list(ordered.select_for_update(no_key=True, of=("self",)))
    return list(ordered.select_for_update(no_key=True, skip_locked=True, of=("self",))[:limit])


def lock_top_ups_of(user_id: int) -> None:
    """One top-up at a time by this member of staff, until the transaction ends: they are added up over a day."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"topups:{user_id}"])


def lock_person_in_batch(user_id: int, batch_id: UUID) -> None:
    """One claim at a time by this person in this batch, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"codes:{batch_id}:{user_id}"])
