"""What a price list would change in a book, row by row, before anything is written. Pure functions of values.

Rows that could be a slip of the pen are marked and need a person's tick: a price that rises by more than a limit, a price
that becomes nothing, and a model that changes between a price per token and one per call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.utils.translation import gettext as _

from billing.price_csv import NEEDED_COLUMNS, RULE_COLUMNS, rule_cells, rule_of
from billing.price_files import TableRow, UnreadableFile
from billing.pricing import RuleFigures
from config.foundation.money import decimal_usd

NEW, CHANGED, SAME, REFUSED, GONE = "new", "changed", "same", "refused", "gone"
DEFAULT_RISE = 20
_COMPONENTS = (
    ("input", "input_nano"),
    ("cached_input", "cached_nano"),
    ("cache_write", "cache_write_nano"),
    ("output", "output_nano"),
    ("reasoning", "reasoning_nano"),
    ("audio_input", "audio_input_nano"),
    ("audio_output", "audio_output_nano"),
    ("characters", "character_nano"),
    ("per_call", "call_nano"),
    ("per_item", "item_nano"),
    ("minimum", "minimum_nano"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of a price, before and after, as people write it; "" is no price."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One line of the list, or a model that the list leaves out. ``marks`` say why it needs a tick."""

    line: int
    model: str
    state: str
    reason: str = ""
    changes: tuple[Change, ...] = ()
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """All rows, and the prices that would be published."""

    rows: tuple[ImportRow, ...]
    rules: Mapping[str, RuleFigures] = field(default_factory=dict)

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)

    @property
    def marked(self) -> tuple[ImportRow, ...]:
        return tuple(row for row in self.rows if row.marks)

    @property
    def changes_anything(self) -> bool:
        return any(row.state in {NEW, CHANGED, GONE} for row in self.rows)


def preview(
    current: Mapping[str, RuleFigures], rows: Sequence[TableRow], *, rise_percent: int = DEFAULT_RISE, removes: bool = False
) -> Preview:
    """Compare a list with the prices in force. Models that the list leaves out stay, unless ``removes``.

    Raises UnreadableFile when the columns are not those of a price list. Cells of columns that the file does not have keep
    their present figure.
    """
    columns = set(rows[0].cells) if rows else set(NEEDED_COLUMNS)
    unknown = columns - set(RULE_COLUMNS)
    if unknown or not set(NEEDED_COLUMNS) <= columns:
        raise UnreadableFile(_("The first line must be: %(columns)s") % {"columns": ",".join(RULE_COLUMNS)})
    found: dict[str, ImportRow] = {}
    rules = dict(current)
    listed: list[ImportRow] = []
    for row in rows:
        entry, rule = _row(row, current, found, rise_percent)
        listed.append(entry)
        if rule is not None:
            found[entry.model] = entry
            rules[entry.model] = rule
    if removes:
        named = {row.cells.get("model", "") for row in rows}
        for model in sorted(set(current) - named):
            rules.pop(model)
            listed.append(ImportRow(0, model, GONE, marks=(_("the model would have no price, and calls to it be refused"),)))
    return Preview(tuple(listed), rules)


def _row(
    row: TableRow, current: Mapping[str, RuleFigures], found: Mapping[str, ImportRow], rise_percent: int
) -> tuple[ImportRow, RuleFigures | None]:
    model = row.cells.get("model", "")
    try:
        if model in found:
            raise ValueError(_("the model is named twice, first in line %(line)d") % {"line": found[model].line})
        name, rule = rule_of({**_present(current.get(model)), **row.cells})
    except ValueError as error:
        return ImportRow(row.line, model[:255], REFUSED, reason=str(error)), None
    old = current.get(name)
    if old is None:
        zero = (_("the model would cost nothing"),) if is_free(rule) else ()
        return ImportRow(row.line, name, NEW, changes=_changes(None, rule), marks=zero), rule
    if _same(old, rule):
        return ImportRow(row.line, name, SAME), old
    return ImportRow(row.line, name, CHANGED, changes=_changes(old, rule), marks=_marks(old, rule, rise_percent)), rule


def _present(rule: RuleFigures | None) -> dict[str, str]:
    return dict(zip(RULE_COLUMNS, rule_cells("-", rule), strict=True)) if rule is not None else {}


def _same(old: RuleFigures, new: RuleFigures) -> bool:
    return replace(old, source_figures=dict(old.source_figures), unit_prices=dict(old.unit_prices)) == new


def _changes(old: RuleFigures | None, new: RuleFigures) -> tuple[Change, ...]:
    before = rule_cells("-", old) if old is not None else [""] * len(RULE_COLUMNS)
    after = rule_cells("-", new)
    return tuple(
        Change(column, was, now)
        for column, was, now in zip(RULE_COLUMNS, before, after, strict=True)
        if was != now and column != "model" and (old is not None or now not in {"", "0"})
    )


def _marks(old: RuleFigures, new: RuleFigures, rise_percent: int) -> tuple[str, ...]:
    found = []
    if old.basis != new.basis:
        found.append(_("the price changes between per token and per call"))
    for name, before, after in _pairs(old, new):
        if before and after and after > before:
            rise = Decimal(after - before) * 100 / before
            if rise > rise_percent:
                found.append(_("%(name)s rises by %(percent)s %%") % {"name": name, "percent": f"{rise:.1f}"})
        if before and not after:
            word = _("%(name)s becomes nothing, it was $%(price)s")
            found.append(word % {"name": name, "price": decimal_usd(before).rstrip("0").rstrip(".")})
    return tuple(found)


def _pairs(old: RuleFigures, new: RuleFigures) -> list[tuple[str, int, int]]:
    pairs = [(name, getattr(old, field_) or 0, getattr(new, field_) or 0) for name, field_ in _COMPONENTS]
    keys = sorted({*old.unit_prices, *new.unit_prices})
    return pairs + [(key, old.unit_prices.get(key, 0), new.unit_prices.get(key, 0)) for key in keys]


def is_free(rule: RuleFigures) -> bool:
    """Whether every figure of a price is nothing."""
    return not any(getattr(rule, name) for _word, name in _COMPONENTS) and not any(rule.unit_prices.values())
