"""Price books and their versions, for those who may see the prices of all groups."""

from dataclasses import dataclass

from django.db.models import Count, Prefetch, QuerySet

from accounts.models import User
from accounts.rights import require
from billing.models import PriceBook, PriceVersion
from config.foundation.clock import now
from config.foundation.errors import NotFound

RIGHT = "prices.view"


def price_books(actor: User) -> QuerySet[PriceBook]:
    require(actor, RIGHT)
    return PriceBook.objects.order_by("code")


def price_book_for(actor: User, code: str) -> PriceBook:
    """One book by its code; raises NotFound."""
    book = price_books(actor).filter(code=code).first()
    if book is None:
        raise NotFound
    return book


def price_versions(actor: User, book_code: str = "") -> QuerySet[PriceVersion]:
    """Versions of one book, or of all; drafts too."""
    require(actor, RIGHT)
    versions = PriceVersion.objects.select_related("book").order_by("-pk")
    return versions.filter(book__code=book_code) if book_code else versions


def price_version_for(actor: User, version_id: int) -> PriceVersion:
    """One version with its prices and multipliers at hand; raises NotFound."""
    versions = price_versions(actor).prefetch_related("rules", "multipliers")
    version = versions.filter(pk=version_id).first()
    if version is None:
        raise NotFound
    return version


@dataclass(frozen=True, slots=True)
class BookRow:
    """A book with the version in force, those to come (the next first) and how many models the former prices."""

    book: PriceBook
    current: PriceVersion | None
    coming: tuple[PriceVersion, ...]
    model_count: int


def book_overview(actor: User) -> list[BookRow]:
    """Every book by code."""
    require(actor, RIGHT)
    moment = now()
    found = []
    for book in price_books(actor).prefetch_related(
        Prefetch("versions", PriceVersion.objects.filter(published_at__isnull=False).annotate(models=Count("rules")))
    ):
        versions = sorted(book.versions.all(), key=lambda version: (version.valid_from, version.number), reverse=True)
        current = next((version for version in versions if version.valid_from <= moment), None)
        coming = tuple(reversed([version for version in versions if version.valid_from > moment]))
        found.append(BookRow(book, current, coming, current.models if current else 0))  # type: ignore[attr-defined]
    return found
