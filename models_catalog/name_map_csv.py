"""The name map as CSV: what goes out comes in again and changes nothing (R043).

Cells that a spreadsheet would run as a formula get an apostrophe in front, which is taken away when the file comes back.
"""

import csv
import io
from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from config.foundation.errors import InvalidInput
from models_catalog.models import NameMapEntry
from models_catalog.services.name_map import NameChange

COLUMNS = ("old_name", "kind", "callable_name", "bill_as_called", "reason", "approved_by")
LARGEST_BYTES = 4 * 1024 * 1024
MOST_LINES = 20_000
NOT_A_MAP = gettext_noop("This is not a name map in CSV: UTF-8 with the columns old_name, kind, callable_name.")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


class UnreadableCsv(InvalidInput):
    """This is not a name map in CSV: UTF-8 with the columns old_name, kind, callable_name."""

    code = "unreadable_csv"


def to_csv(entries: Iterable[NameMapEntry]) -> str:
    """The lines as CSV text with a byte order mark, so that spreadsheets read Chinese rightly."""
    out = io.StringIO(newline="")
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for entry in entries:
        target = entry.callable_model.name if entry.callable_model else ""
        bill = "yes" if entry.bill_as_called else "no"
        row = (entry.old_name, entry.kind, target, bill, entry.reason, entry.approved_by)
        writer.writerow([_guard(cell) for cell in row])
    return out.getvalue()


def from_csv(data: bytes) -> list[NameChange]:
    """The lines of a file; raises UnreadableCsv with the line number. The last three columns may lack.

    A line of the kind "remove" takes the old name out of the map."""
    if len(data) > LARGEST_BYTES:
        raise UnreadableCsv(_("The file is larger than %(limit)d MB.") % {"limit": LARGEST_BYTES // 1024 // 1024})
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableCsv(_("The file is not UTF-8.")) from None
    if "\x00" in text:
        raise UnreadableCsv(_(NOT_A_MAP))
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        columns = set(reader.fieldnames or ())
        if not {"old_name", "kind", "callable_name"} <= columns or not columns <= set(COLUMNS):
            raise UnreadableCsv(_(NOT_A_MAP))
        return [_change(row, number) for number, row in enumerate(_limited(reader), start=2)]
    except csv.Error as error:
        raise UnreadableCsv(_("After line %(number)d: %(problem)s.") % {"number": reader.line_num, "problem": error}) from None


def _limited(reader: "csv.DictReader[str]") -> Iterable[dict[str, str]]:
    for count, row in enumerate(reader):
        if count >= MOST_LINES:
            raise UnreadableCsv(_("The file has more than %(limit)d lines.") % {"limit": MOST_LINES})
        yield row


def _change(row: dict[str, str], number: int) -> NameChange:
    if "" in row or None in row.values():
        raise UnreadableCsv(_("Line %(number)d has another number of cells than the first line.") % {"number": number})
    cells = {name: _unguard(cell) for name, cell in row.items()}
    bill = cells.get("bill_as_called", "yes").strip().lower() or "yes"
    if bill not in ("yes", "no"):
        raise UnreadableCsv(_("Line %(number)d: bill_as_called is yes or no.") % {"number": number})
    return NameChange(
        old_name=cells["old_name"],
        kind=cells["kind"].strip().replace("remove", ""),
        target=cells["callable_name"],
        bill_as_called=bill == "yes",
        reason=cells.get("reason", ""),
        approved_by=cells.get("approved_by", ""),
    )


def _guard(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell
