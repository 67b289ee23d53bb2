"""Pages of prices: the books, a list to import, two versions side by side."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.rights import may, require
from billing.models import PriceBook, PriceVersion
from billing.price_compare import Cell, Row, comparable_versions, compare, group_choices, side_of
from billing.price_csv import MULTIPLIER_COLUMNS, RULE_COLUMNS, rule_cells
from billing.price_files import TableRow, read_table
from billing.price_forms import CompareForm, PriceListForm, pair_of
from billing.price_import import DEFAULT_RISE
from billing.price_words import component_word, percent_text, rounding_word
from billing.selectors.prices import book_overview, price_book_for, price_version_for
from billing.services.exports import Table
from billing.services.price_drafts import multipliers_of, rules_of
from billing.services.price_lists import StalePreview, import_prices, preview_import
from billing.views.exports import list_response
from billing.views.home import Asked
from config.foundation.clock import now
from config.foundation.errors import PortalError
from config.foundation.money import decimal_usd

SALT = "billing.price_list"
PREVIEW_SECONDS = 3600
ROWS_A_PAGE = 50
COMPARE_HEADER = ["model", "component", "left_usd", "right_usd", "difference_percent", "left_rounding", "right_rounding"]


@login_required
@require_safe
def price_list(request: Asked) -> HttpResponse:
    books = book_overview(request.user)
    return render(request, "billing/price_list.html", {"books": books, "may_manage": may(request.user, "prices.manage")})


@login_required
@require_safe
def price_export(request: Asked, version_id: int) -> HttpResponseBase:
    """Prices, or with ``?what=multipliers`` the group multipliers, of one version."""
    version = price_version_for(request.user, version_id)
    kind = "xlsx" if request.GET.get("as") == "xlsx" else "csv"
    what = "multipliers" if request.GET.get("what") == "multipliers" else ""
    name = f"prices-{version.book.code}-{version.number}{'-groups' if what else ''}"
    return list_response(request, kind, "prices", _prices(version, what), saved_as=name, version=str(version.pk), what=what)


def table_of(actor: User, query: QueryDict) -> Table:
    """The same for a worker, which has no address to read the version from."""
    return _prices(price_version_for(actor, int(query.get("version", ""))), query.get("what", ""))


def _prices(version: PriceVersion, what: str) -> Table:
    if what == "multipliers":
        rows = [[group, payer, format(x.normalize(), "f")] for (group, payer), x in sorted(multipliers_of(version).items())]
        return Table(MULTIPLIER_COLUMNS, rows)
    return Table(RULE_COLUMNS, (rule_cells(*item) for item in sorted(rules_of(version).items())))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def price_import(request: Asked, code: str) -> HttpResponse:
    require(request.user, "prices.manage")
    book = price_book_for(request.user, code)
    if request.method == "POST" and "list" in request.POST:
        return _confirm(request, book)
    form = PriceListForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        upload = data["file"]
        try:
            rows = read_table(upload.name or "", upload.read(6 * 1024 * 1024))
            given = {
                "book": book.pk,
                "by": request.user.pk,
                "rise": data["rise_percent"],
                "removes": data["removes"],
                "note": data["note"],
                "from": data["valid_from"].isoformat() if data["valid_from"] else "",
                "columns": list(rows[0].cells) if rows else [],
                "rows": [[row.line, *row.cells.values()] for row in rows],
            }
            return _show(request, book, given)
        except PortalError as refused:
            form.add_error("file", refused.message)
    return render(request, "billing/price_import.html", {"book": book, "form": form})


def _rows_of(given: dict[str, Any]) -> list[TableRow]:
    return [TableRow(line, dict(zip(given["columns"], cells, strict=True))) for line, *cells in given["rows"]]


def _show(
    request: Asked, book: PriceBook, given: dict[str, Any], problem: str = "", ticked: list[str] | None = None
) -> HttpResponse:
    """The preview; what was read travels in a signed field, so that what is confirmed is what was shown."""
    found, base = preview_import(
        actor=request.user, book=book, rows=_rows_of(given), rise_percent=given["rise"], removes=given["removes"]
    )
    given["base"] = base
    rows = sorted(found.rows, key=lambda row: (not row.marks and row.state != "refused", row.state == "same"))
    start = datetime.fromisoformat(given["from"]) if given["from"] else None
    context = {
        "book": book,
        "rows": rows,
        "counts": {state: found.count(state) for state in ("new", "changed", "same", "refused", "gone")},
        "marked": len(found.marked),
        "list": signing.dumps(given, salt=SALT, compress=True),
        "problem": problem,
        "ticked": set(ticked or ()),
        "start": start if start and start > now() else None,
        "may_confirm": found.changes_anything and not found.count("refused"),
        "note": given["note"],
    }
    return render(request, "billing/price_import_preview.html", context, status=422 if problem else 200)


def _confirm(request: Asked, book: PriceBook) -> HttpResponse:
    try:
        given = signing.loads(request.POST["list"], salt=SALT, max_age=PREVIEW_SECONDS)
    except signing.BadSignature:
        given = {}
    if given.get("book") != book.pk or given.get("by") != request.user.pk:
        messages.error(request, _("This preview is too old or not yours. Read the list again; nothing was written."))
        return redirect("price_import", code=book.code)
    ticked = request.POST.getlist("tick")
    try:
        version = import_prices(
            actor=request.user,
            book=book,
            rows=_rows_of(given),
            base_version_id=given["base"],
            ticked=ticked,
            rise_percent=given.get("rise", DEFAULT_RISE),
            removes=given["removes"],
            note=given["note"],
            valid_from=datetime.fromisoformat(given["from"]) if given["from"] else None,
        )
    except StalePreview as stale:
        return _show(request, book, given, str(stale.message))
    except PortalError as refused:
        return _show(request, book, given, str(refused.message), ticked)
    words = {"version": str(version), "at": date_format(localtime(version.valid_from), "SHORT_DATETIME_FORMAT")}
    messages.success(request, _("%(version)s was published, in force from %(at)s.") % words)
    return redirect("price_list")


@login_required
@require_safe
def price_compare(request: Asked) -> HttpResponseBase:
    form, versions, chosen = _comparison(request.user, request.GET)
    rows = _compared(request.user, form, chosen)
    if request.GET.get("export") in {"csv", "xlsx"}:
        return list_response(request, request.GET["export"], "price-comparison", Table(COMPARE_HEADER, _lines(rows)))
    first = max(0, int(request.GET["from"][:9]) if request.GET.get("from", "").isdigit() else 0)
    shown = rows[first : first + ROWS_A_PAGE]
    context = {
        "form": form,
        "rows": [_seen(row) for row in shown],
        "count": len(rows),
        "dearer": sum((row.percent or 0) > 0 for row in rows),
        "cheaper": sum((row.percent or 0) < 0 for row in rows),
        "earlier": max(0, first - ROWS_A_PAGE) if first else None,
        "later": first + ROWS_A_PAGE if len(rows) > first + ROWS_A_PAGE else None,
        "versions": versions,
        "is_ready": all(chosen),
    }
    return render(request, "billing/price_compare.html", context)


def comparison_of(actor: User, query: QueryDict) -> Table:
    """The comparison as a file, for the address it was asked for with."""
    form, _versions, chosen = _comparison(actor, query)
    return Table(COMPARE_HEADER, _lines(_compared(actor, form, chosen)))


def _comparison(actor: User, query: QueryDict) -> tuple[CompareForm, list[PriceVersion], list[int | None]]:
    """The form, what may be compared, and the two chosen versions: the newest two unless the address says otherwise."""
    versions = comparable_versions(actor)
    ids = [version.pk for version in versions]
    chosen = [_version_in(query.get(name, ""), ids) for name in ("a", "b")]
    if len(ids) > 1 and not any(chosen):
        chosen = [ids[1], ids[0]]
    groups = tuple(group_choices(actor, pk) if pk else [] for pk in chosen)
    data = query.copy()
    for name, pk in zip(("a", "b"), chosen, strict=True):
        data[name] = str(pk or "")
    for name, value in {"input": "1000", "cached": "0", "output": "500"}.items():
        data.setdefault(name, value)
    form = CompareForm(data, versions=versions, groups=(groups[0], groups[1]))
    form.is_valid()
    return form, versions, chosen


def _compared(actor: User, form: CompareForm, chosen: list[int | None]) -> list[Row]:
    if not all(chosen):
        return []
    data = getattr(form, "cleaned_data", {})
    left, right = (
        side_of(actor, pk or 0, *pair_of(data.get(name) or "")) for pk, name in zip(chosen, ("ga", "gb"), strict=True)
    )
    wanted, least = (data.get("q") or "").lower(), data.get("least")
    return [
        row
        for row in compare(left, right, form.example())
        if wanted in row.model.lower()
        and (row.differs or not data.get("changed"))
        and (least is None or (row.percent is not None and abs(row.percent) >= least))
    ]


def _seen(row: Row) -> dict[str, Any]:
    """A row with its words, for the page."""
    cells = [
        {
            "word": component_word(cell.name),
            "left": cell.left,
            "right": cell.right,
            "percent": percent_text(cell.percent),
            "differs": cell.differs,
        }
        # What costs nothing on both sides is left out, unless there is nothing else to show.
        for cell in [cell for cell in row.cells if cell.left or cell.right] or row.cells
    ]
    return {
        "model": row.model,
        "cells": cells,
        "example": component_word(row.example.removeprefix("5 x ")) if row.example else "",
        "left": row.left,
        "right": row.right,
        "percent": percent_text(row.percent),
        "look": "bad" if (row.percent or 0) > 0 else "good" if (row.percent or 0) < 0 else "",
        "roundings": [rounding_word(text) for text in row.roundings],
    }


def _lines(rows: list[Row]) -> Iterator[list[object]]:
    """One line a component, and one for the worked example, all digits kept."""
    for row in rows:
        costs = [quote.cost_nano if quote else None for quote in (row.left, row.right)]
        for cell in (*row.cells, Cell(f"example {row.example}".strip(), *costs)):
            amounts = ["" if nano is None else decimal_usd(nano) for nano in (cell.left, cell.right)]
            percent = "" if cell.percent is None else str(cell.percent)
            yield [row.model, cell.name, *amounts, percent, *row.roundings]


def _version_in(text: str, ids: list[int]) -> int | None:
    value = int(text[:18]) if text.isdigit() else 0
    return value if value in ids else None
