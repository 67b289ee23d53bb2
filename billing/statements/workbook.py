"""The workbook of a statement: the rows of its CSV, amounts and counts as numbers. The same figures give the same bytes."""

import io
import re
import zipfile

from openpyxl import Workbook

from billing.exports import plain_cell
from billing.statements.document import Document
from billing.statements.files import csv_rows

COUNT = re.compile(r"\d{1,15}")
# What the library stamps with the clock of the moment, and what stands there instead.
STAMPS = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*(</dcterms:)")
STAMP = b"2000-01-01T00:00:00Z"
ENTRY = (2000, 1, 1, 0, 0, 0)


def xlsx_bytes(document: Document) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("statement")
    for row in csv_rows(document):
        sheet.append([int(cell) if COUNT.fullmatch(cell) else plain_cell(sheet, cell) for cell in row])
    made = io.BytesIO()
    book.save(made)
    return _without_clock(made.getvalue())


def _without_clock(content: bytes) -> bytes:
    """The same archive with one fixed moment in place of every time of writing."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "docProps/core.xml":
                data = STAMPS.sub(rb"\g<1>" + STAMP + rb"\g<3>", data)
            kept = zipfile.ZipInfo(entry.filename, ENTRY)
            kept.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(kept, data)
    return target.getvalue()
