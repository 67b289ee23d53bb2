"""Price books and their versions, for those who may see the prices of all groups."""

from django.db.models import QuerySet

from accounts.models import User
from accounts.rights import require
from billing.models import PriceBook, PriceVersion
from config.foundation.errors import NotFound

RIGHT = "prices.view"


def price_books(actor: User) -> QuerySet[PriceBook]:
    require(actor, RIGHT)
    return PriceBook.objects.order_by("code")


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
