"""Publishing a price list that was previewed and confirmed."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import require
from billing.locks import lock_book
from billing.models import PriceBook, PriceVersion
from billing.price_files import TableRow
from billing.price_import import DEFAULT_RISE, REFUSED, Preview, preview
from billing.services.price_drafts import multipliers_of, rules_of
from billing.services.prices import publish_version
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput

RIGHT = "prices.manage"


class StalePreview(Conflict):
    """The book has a newer version than the preview was made from."""

    code = "stale_preview"


class NotTicked(InvalidInput):
    """A marked row was not confirmed, or a refused one is still in the list."""

    code = "price_list_not_confirmed"


def newest_version(book: PriceBook) -> PriceVersion | None:
    """The version an import compares with: the newest published one, also when it comes into force later."""
    return PriceVersion.objects.filter(book=book, published_at__isnull=False).order_by("-number").first()


def preview_import(
    *, actor: User, book: PriceBook, rows: Sequence[TableRow], rise_percent: int = DEFAULT_RISE, removes: bool = False
) -> tuple[Preview, int]:
    """What the list would change, and the id of the version it was compared with (0: none). Writes nothing."""
    require(actor, RIGHT)
    if book.formula != PriceBook.Formula.PORTAL:
        raise InvalidInput(
            _("This book calculates with the figures of an old gateway; a price list in dollars does not fit it.")
        )
    newest = newest_version(book)
    current = rules_of(newest) if newest else {}
    return preview(current, rows, rise_percent=rise_percent, removes=removes), newest.pk if newest else 0


@transaction.atomic
def import_prices(
    *,
    actor: User,
    book: PriceBook,
    rows: Sequence[TableRow],
    base_version_id: int,
    ticked: Collection[str],
    rise_percent: int = DEFAULT_RISE,
    removes: bool = False,
    note: str = "",
    valid_from: datetime | None = None,
) -> PriceVersion:
    """Publish the list on top of the version it was previewed with; group multipliers stay as they are.

    Raises StalePreview when another version came in between, NotTicked when a marked row has no tick, a row is refused or
    nothing would change. A start in the past becomes now.
    """
    require(actor, RIGHT)
    lock_book(book.pk)
    found, base = preview_import(actor=actor, book=book, rows=rows, rise_percent=rise_percent, removes=removes)
    if base != base_version_id:
        raise StalePreview(_("Prices of this book were published meanwhile. Look at the list again."))
    if found.count(REFUSED):
        raise NotTicked(_("Correct the refused rows first."))
    missing = [row.model for row in found.marked if row.model not in ticked]
    if missing:
        raise NotTicked(_("Tick what you mean: %(models)s.") % {"models": ", ".join(missing[:5])})
    if not found.changes_anything:
        raise NotTicked(_("The list says what is in force already."))
    newest = newest_version(book)
    start = max(valid_from, now()) if valid_from else None
    return publish_version(
        actor=actor,
        book=book,
        rules=found.rules,
        multipliers=multipliers_of(newest) if newest else {},
        note=note,
        valid_from=start,
    )
