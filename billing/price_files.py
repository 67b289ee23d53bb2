"""Price lists that come in as CSV or XLSX. Cells are only read as text; a formula is no price."""

import csv
import io
import zipfile
from dataclasses import dataclass

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from billing.exports import FORMULA_STARTS
from config.foundation.errors import InvalidInput

MOST_BYTES = 5 * 1024 * 1024
MOST_UNPACKED = 60 * 1024 * 1024
MOST_ROWS = 5_000
MOST_COLUMNS = 60


class UnreadableFile(InvalidInput):
    """This file is no price list."""

    code = "unreadable_file"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a file: its number as a spreadsheet shows it, and its cells by column."""

    line: int
    cells: dict[str, str]


def read_table(name: str, raw: bytes) -> list[TableRow]:
    """The rows of a CSV (UTF-8) or XLSX file; the first line names the columns. Raises UnreadableFile."""
    if len(raw) > MOST_BYTES:
        raise UnreadableFile(_("The file is larger than 5 MB."))
    lines = _xlsx_lines(raw) if raw[:4] == b"PK\x03\x04" or name.lower().endswith(".xlsx") else _csv_lines(raw)
    if not lines:
        raise UnreadableFile(_("The file is empty."))
    header = [cell.strip().lower() for cell in lines[0][1]]
    while header and not header[-1]:
        header.pop()
    if len(header) > MOST_COLUMNS or len(set(header)) != len(header) or "" in header:
        raise UnreadableFile(_("The first line must name every column once."))
    rows = []
    for number, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if any(cell.strip() for cell in cells[len(header) :]):
            raise UnreadableFile(_("Line %(number)d has more cells than the first line.") % {"number": number})
        padded = [*cells, *[""] * len(header)][: len(header)]
        rows.append(TableRow(number, dict(zip(header, map(plain_cell, padded), strict=True))))
    if len(rows) > MOST_ROWS:
        raise UnreadableFile(_("The file has more than %(count)d rows.") % {"count": MOST_ROWS})
    return rows


def plain_cell(text: str) -> str:
    """The text of a cell without the apostrophe that our exports put before what looks like a formula."""
    bare = text.strip()
    return bare[1:] if bare[:1] == "'" and bare[1:2] in FORMULA_STARTS else bare


def _csv_lines(raw: bytes) -> list[tuple[int, list[str]]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile(_("The file is neither XLSX nor CSV in UTF-8.")) from None
    if "\x00" in text:
        raise UnreadableFile(_("The file is neither XLSX nor CSV in UTF-8."))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UnreadableFile(_("Line %(number)d: %(problem)s.") % {"number": reader.line_num, "problem": error}) from None


def _xlsx_lines(raw: bytes) -> list[tuple[int, list[str]]]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise UnreadableFile(_("The file is larger than 5 MB."))
        # Formulas are read as their text, never as the value a program once calculated.
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=False, keep_links=False)
        sheet = book.worksheets[0]
        lines = []
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS + 1), 1):
            if number > MOST_ROWS + 1_000:
                break
            lines.append((number, ["" if value is None else _number_text(value) for value in row]))
    except UnreadableFile:
        raise
    except Exception:
        # A broken archive, a wrong content type, XML that is none: openpyxl raises many kinds.
        raise UnreadableFile(_("The file cannot be read as XLSX.")) from None
    return lines


def _number_text(value: object) -> str:
    """A number as people wrote it: 2.5, not 2.5000000000000001 and not 1e-05."""
    if isinstance(value, float):
        text = f"{value:.12f}".rstrip("0").rstrip(".")
        return text or "0"
    return str(value)
