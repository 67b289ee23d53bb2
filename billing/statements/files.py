"""The files of a statement. The same figures give the same bytes, whenever and wherever they are made."""

import csv
import io
from collections.abc import Iterator
from xml.sax.saxutils import escape

from django.utils import translation
from django.utils.translation import gettext as _
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table, TableStyle

from billing.exports import BOM, safe_cell
from billing.statements.document import Document, Row, Section
from config.foundation.money import decimal_usd, format_usd

LANGUAGES = ("en", "zh-hans")
# Not embedded: every reader has a font for this collection, and the file stays a few kilobytes.
CJK_FONT = "STSong-Light"
INK, MUTED, LINE = colors.HexColor("#1a1d21"), colors.HexColor("#5c6570"), colors.HexColor("#d5dae0")
WIDTH = A4[0] - 36 * mm
COLUMNS = tuple(WIDTH * part for part in (0.26, 0.19, 0.07, 0.1, 0.1, 0.1, 0.18))


def csv_bytes(document: Document) -> bytes:
    """Facts, then one line for every amount, then the purses. Amounts are decimal with nine places."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in csv_rows(document):
        writer.writerow([safe_cell(cell) for cell in row])
    return (BOM + text.getvalue()).encode()


def csv_rows(document: Document) -> Iterator[list[str]]:
    yield [_("Statement"), document.number]
    yield from ([label, value] for label, value in document.facts)
    yield []
    yield [
        _("Section"), _("What"), _("Detail"), _("Count"), _("Input tokens"), _("Cached tokens"), _("Output tokens"),
        _("Amount in USD"),
    ]  # fmt: skip
    for section, label, detail, cells, nano in document.lines():
        padded = [*(cell.replace(",", "") for cell in cells), "", "", "", ""][:4]
        yield [section, label, detail, *padded, decimal_usd(nano)]
    yield []
    yield [_("Purse"), _("Origin"), _("Entries"), _("Opening in USD"), _("Closing in USD")]
    for purse in document.purses:
        yield [purse.label, purse.detail, purse.cells[0], decimal_usd(int(purse.cells[1])), decimal_usd(purse.nano)]


def pdf_bytes(document: Document) -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont(CJK_FONT))
    target = io.BytesIO()
    template = BaseDocTemplate(
        target,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=18 * mm,
        bottomMargin=20 * mm,
        title=f"{document.title} {document.number}".strip(),
        author="",
        invariant=1,
        lang=translation.get_language(),
    )
    frame = Frame(
        template.leftMargin,
        template.bottomMargin,
        template.width,
        template.height,
        id="all",
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    footer = f"{document.title} · {document.number}".rstrip(" ·")
    template.addPageTemplates(PageTemplate("page", [frame], onPage=lambda canvas, _template: _foot(canvas, footer)))
    template.build(list(_story(document)))
    return target.getvalue()


def _story(document: Document) -> Iterator[Flowable]:
    yield _text(document.title, 18, bold=True)
    if document.number:
        yield _text(document.number, 9, MUTED)
    yield Spacer(1, 5 * mm)
    facts = [[_text(label, 8.5, MUTED), _text(value, 8.5)] for label, value in document.facts]
    yield Table(facts, colWidths=(WIDTH * 0.25, WIDTH * 0.75), style=_plain())
    yield Spacer(1, 5 * mm)
    sums = [(_("Opening balance"), document.opening_nano)]
    sums += [(section.title, section.nano) for section in document.sections]
    sums.append((_("Closing balance"), document.closing_nano))
    last = len(sums) - 1
    rows = [
        [_text(label, 10, bold=n in (0, last)), _amount(nano, 10, bold=n in (0, last))] for n, (label, nano) in enumerate(sums)
    ]
    style = [("LINEBELOW", (0, 0), (-1, -2), 0.4, LINE), ("LINEABOVE", (0, -1), (-1, -1), 0.9, INK)]
    yield Table(rows, colWidths=(WIDTH * 0.7, WIDTH * 0.3), style=TableStyle([*_PADDING, *style]))
    for section in document.sections:
        if section.rows:
            yield from _section(section)
    yield from _purses(document.purses)


def _section(section: Section) -> Iterator[Flowable]:
    yield Spacer(1, 6 * mm)
    yield _text(section.title, 11.5, bold=True, keep=True)
    yield _text(section.note, 8, MUTED, keep=True)
    yield Spacer(1, 1.5 * mm)
    head = [_("What"), _("Detail"), _("Count"), _("Input tokens"), _("Cached tokens"), _("Output tokens"), _("Amount")]
    rows = [[_text(word, 7.5, MUTED, right=n > 1) for n, word in enumerate(head)]]
    for row in section.rows:
        cells = [_text(cell, 8, right=True) for cell in (*row.cells, "", "", "", "")[:4]]
        rows.append([_text(row.label, 8), _text(row.detail, 8, MUTED), *cells, _amount(row.nano, 8)])
    rows.append([_text(_("Together"), 8, bold=True), *[_text("", 8)] * 5, _amount(section.nano, 8, bold=True)])
    yield Table(rows, colWidths=COLUMNS, repeatRows=1, style=_ruled())


def _purses(purses: tuple[Row, ...]) -> Iterator[Flowable]:
    if not purses:
        return
    yield Spacer(1, 6 * mm)
    yield _text(_("Purses"), 11.5, bold=True, keep=True)
    yield Spacer(1, 1.5 * mm)
    head = [_("Purse"), _("Origin"), _("Entries"), _("Opening"), _("Closing")]
    rows = [[_text(word, 7.5, MUTED, right=n > 1) for n, word in enumerate(head)]]
    for purse in purses:
        cells = [_text(purse.label, 8), _text(purse.detail, 8, MUTED), _text(purse.cells[0], 8, right=True)]
        rows.append([*cells, _amount(int(purse.cells[1]), 8), _amount(purse.nano, 8)])
    yield Table(rows, colWidths=[WIDTH * part for part in (0.24, 0.2, 0.16, 0.2, 0.2)], repeatRows=1, style=_ruled())


_PADDING = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


def _plain() -> TableStyle:
    return TableStyle(_PADDING)


def _ruled() -> TableStyle:
    return TableStyle([*_PADDING, ("LINEBELOW", (0, 0), (-1, 0), 0.6, INK), ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE)])


def _amount(nano: int, size: float, *, bold: bool = False) -> Paragraph:
    return _text(format_usd(nano), size, bold=bold, right=True)


def _text(
    text: str, size: float, colour: colors.Color = INK, *, bold: bool = False, right: bool = False, keep: bool = False
) -> Paragraph:
    """A paragraph whose Chinese runs are set in the Chinese font, so that names in either script are readable in both files."""
    style = ParagraphStyle(
        "cell",
        fontName="Helvetica-Bold" if bold else "Helvetica",
        fontSize=size,
        leading=size * 1.35,
        textColor=colour,
        alignment=2 if right else 0,
        keepWithNext=keep,
        # Long names of models and people break anywhere rather than run over the next column.
        splitLongWords=1,
        wordWrap="CJK" if any(_is_cjk(letter) for letter in text) else None,
    )
    return Paragraph("".join(_runs(text)), style)


def _runs(text: str) -> Iterator[str]:
    run, is_cjk = "", False
    for letter in text:
        if _is_cjk(letter) != is_cjk and run:
            yield _marked(run, is_cjk)
            run = ""
        is_cjk = _is_cjk(letter)
        run += letter
    if run:
        yield _marked(run, is_cjk)


def _marked(run: str, is_cjk: bool) -> str:
    return f'<font name="{CJK_FONT}">{escape(run)}</font>' if is_cjk else escape(run)


def _is_cjk(letter: str) -> bool:
    # What Helvetica's encoding cannot show goes to the other font too.
    return ord(letter) > 0x2000 or (ord(letter) > 0xFF)


def _foot(canvas: Canvas, footer: str) -> None:
    canvas.saveState()
    canvas.setFillColor(MUTED)
    canvas.setFont(CJK_FONT if any(_is_cjk(letter) for letter in footer) else "Helvetica", 7.5)
    canvas.drawString(18 * mm, 12 * mm, footer)
    canvas.drawRightString(A4[0] - 18 * mm, 12 * mm, str(canvas.getPageNumber()))
    canvas.restoreState()
