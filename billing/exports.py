"""Lists as CSV and XLSX, streamed row by row; a cell that a spreadsheet would run as a formula gets an apostrophe in front."""

import csv
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

# Excel and its kin read these at the start of a cell as the start of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BOM = "\ufeff"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A sheet holds 1,048,576 rows.
SHEET_ROWS = 1_000_000
# An amount with nine places. Longer rows of digits are numbers of things, which a spreadsheet would round.
PLAIN_NUMBER = re.compile(r"-?\d{1,10}\.\d{9}")


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def safe_cell(value: object) -> str:
    """The cell's text; numbers stay numbers, also negative ones."""
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(FORMULA_STARTS) and not _is_number(text):
        return "'" + text
    return text


def csv_response(name: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """A download named ``name`` (without ``.csv``) that is made while it is sent."""
    response = StreamingHttpResponse(_lines(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _lines(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield BOM + writer.writerow([safe_cell(str(cell)) for cell in header])
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def xlsx_response(name: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> FileResponse:
    """A workbook named ``name`` (without ``.xlsx``), written row by row to a file that is gone when it was sent."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the response, and gone with that)
    write_book(file, header, rows)
    file.seek(0)
    response = FileResponse(file, as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)
    response["Cache-Control"] = "no-store"
    return response


def write_book(file: Any, header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """The workbook into an open file, row by row; a sheet that is full is followed by another one with the same header."""
    book = Workbook(write_only=True)
    sheet: Any = None
    try:
        for number, row in enumerate(rows):
            if number % SHEET_ROWS == 0:
                sheet = _new_sheet(book, header)
            sheet.append([plain_cell(sheet, cell) for cell in row])
        if sheet is None:
            _new_sheet(book, header)
    except BaseException:
        # Each sheet's rows lie in a temporary file, which only saving takes away.
        if book.worksheets:
            with tempfile.TemporaryFile() as nowhere:
                book.save(nowhere)
        raise
    book.save(file)


def _new_sheet(book: Any, header: Sequence[object]) -> Any:
    number = len(book.worksheets) + 1
    sheet = book.create_sheet("export" if number == 1 else f"export {number}")
    sheet.append([plain_cell(sheet, str(cell)) for cell in header])
    return sheet


def table_response(
    kind: str, name: str, header: Sequence[object], rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse | FileResponse:
    """``kind`` is csv or xlsx; anything else is taken for csv."""
    return xlsx_response(name, header, rows) if kind == "xlsx" else csv_response(name, header, rows)


def plain_cell(sheet: Any, value: object) -> object:
    """Numbers as numbers; every text as text, never as a formula, and without characters a workbook cannot hold."""
    if value is None or isinstance(value, int):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("", str(value))[:32_767]
    if PLAIN_NUMBER.fullmatch(text):
        return Decimal(text)
    cell = WriteOnlyCell(sheet, value=safe_cell(text))
    cell.data_type = "s"
    return cell
