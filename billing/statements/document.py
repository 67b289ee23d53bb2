"""A statement in words of the active language: the page, the CSV and the PDF are all made from this."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from billing.models import LedgerAccount, LedgerEntry
from billing.statements.figures import SECTIONS
from models_catalog.models import Modality

TOKENS = ("input_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section. ``cells`` are text; ``nano`` is the amount, which every reader formats for itself."""

    label: str
    detail: str
    cells: tuple[str, ...]
    nano: int


@dataclass(frozen=True, slots=True)
class Section:
    code: str
    title: str
    note: str
    rows: tuple[Row, ...]
    nano: int


@dataclass(frozen=True, slots=True)
class Document:
    """``facts`` are pairs of label and value; ``sections`` come in the order in which they lead to ``closing_nano``."""

    title: str
    number: str
    owner: str
    facts: tuple[tuple[str, str], ...]
    opening_nano: int
    closing_nano: int
    sections: tuple[Section, ...]
    purses: tuple[Row, ...]

    def lines(self) -> Iterator[tuple[str, str, str, tuple[str, ...], int]]:
        """Every amount, flat: section, label, detail, cells, nano-USD."""
        yield _("Opening balance"), "", "", (), self.opening_nano
        for section in self.sections:
            for row in section.rows:
                yield section.title, row.label, row.detail, row.cells, row.nano
            yield section.title, _("Together"), "", (), section.nano
        yield _("Closing balance"), "", "", (), self.closing_nano


def section_titles() -> dict[str, tuple[str, str]]:
    """Title and what belongs there."""
    return {
        "credits": (_("Credits"), _("Money that came in.")),
        "usage": (_("Usage"), _("Calls of this month, by model and modality.")),
        "expiry": (_("Expired"), _("Credit that ran out of time.")),
        "adjustments": (_("Adjustments"), _("Corrections of this month.")),
        "earlier": (
            _("Earlier periods"),
            _("Booked in this month for calls and entries of months before. Issued statements do not change."),
        ),
    }


def document_of(figures: Mapping[str, Any], number: str, issued_at: datetime | None) -> Document:
    """The document of kept figures; without ``issued_at`` it is a preview and says so."""
    zone = ZoneInfo(figures["time_zone"])
    titles = section_titles()
    facts = [
        (_("For"), figures["owner"]),
        (_("Month"), figures["month"]),
        (pgettext("time", "From"), _local(figures["starts_at"], zone)),
        (_("Up to, not including"), _local(figures["ends_at"], zone)),
        (_("Time zone"), figures["time_zone"]),
        (_("Currency"), figures["currency"]),
        (_("Ledger entries"), _entries(figures)),
        (_("Issued"), _local(issued_at.isoformat(), zone) if issued_at else _("not issued: a preview")),
    ]
    sections = tuple(
        Section(code, *titles[code], tuple(_row(line) for line in figures["lines"][code]), figures["totals"][code])
        for code in SECTIONS
    )
    return Document(
        title=_("Statement %(month)s") % {"month": figures["month"]},
        number=number,
        owner=figures["owner"],
        facts=tuple(facts),
        opening_nano=figures["opening_nano"],
        closing_nano=figures["closing_nano"],
        sections=sections,
        purses=tuple(_purse(purse) for purse in figures["purses"]),
    )


def _entries(figures: Mapping[str, Any]) -> str:
    count = figures["entry_count"]
    if not count:
        return _("none")
    words = {"count": f"{count:,}", "first": figures["first_entry_id"], "last": figures["last_entry_id"]}
    return _("%(count)s, numbers %(first)s to %(last)s") % words


def _purse(purse: Mapping[str, Any]) -> Row:
    label = str(LedgerAccount.Kind(purse["kind"]).label) if purse["kind"] in LedgerAccount.Kind.values else purse["kind"]
    span = f"{purse['first_seq']:,} - {purse['last_seq']:,}" if purse["last_seq"] >= purse["first_seq"] else "-"
    return Row(label, purse["origin"].removeprefix("import:"), (span, str(purse["opening_nano"])), purse["closing_nano"])


def _row(line: Mapping[str, Any]) -> Row:
    month = [line["month"]] if line.get("month") else []
    if line["kind"] != "charge":
        detail = ", ".join([*month, *([_entry_word(line["original"])] if line.get("original") else [])])
        return Row(_entry_word(line["kind"]), detail, (_counted(line["count"]), "", "", ""), line["nano"])
    modality = str(dict(Modality.choices).get(line["modality"], line["modality"]))
    tokens = tuple(f"{line[name]:,}" if line[name] else "" for name in TOKENS)
    label = line["model"] or _("no model")
    return Row(
        label,
        ", ".join([*month, *([modality] if modality else []), *_quantities(line)]),
        (_counted(line["count"]), *tokens),
        line["nano"],
    )


def _quantities(line: Mapping[str, Any]) -> list[str]:
    """What was not counted in tokens, in words."""
    images, length, letters = line["image_count"], line["media_ms"], line["character_count"]
    found = []
    if images:
        found.append(ngettext("%(count)s image", "%(count)s images", images) % {"count": f"{images:,}"})
    if length:
        found.append(_("%(seconds)s s") % {"seconds": f"{length / 1000:,.1f}"})
    if letters:
        found.append(ngettext("%(count)s character", "%(count)s characters", letters) % {"count": f"{letters:,}"})
    return found


def _counted(count: int) -> str:
    return f"{count:,}"


def _entry_word(kind: str) -> str:
    return str(LedgerEntry.Kind(kind).label) if kind in LedgerEntry.Kind.values else kind


def _local(moment: str, zone: ZoneInfo) -> str:
    return datetime.fromisoformat(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
