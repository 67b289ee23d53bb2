"""Prices and multipliers as lines of CSV, the way people edit many of them at once. Amounts are US dollars."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from billing.models import PriceRule
from billing.pricing import HALF_EVEN, ROUNDINGS, UNIT_KEY, RuleFigures
from config.foundation.errors import InvalidInput
from config.foundation.money import decimal_usd, parse_usd

RULE_COLUMNS = (
    "model",
    "basis",
    "input",
    "cached_input",
    "cache_write",
    "output",
    "per_call",
    "per_item",
    "minimum",
    "source_figures",
    "reasoning",
    "audio_input",
    "audio_output",
    "characters",
    "units",
    "rounding",
    "rounded_to",
)
# The others may be left out.
NEEDED_COLUMNS = ("model", "basis")
MULTIPLIER_COLUMNS = ("group", "payer_group", "multiplier")
_AMOUNTS = {
    "input": "input_nano",
    "cached_input": "cached_nano",
    "cache_write": "cache_write_nano",
    "output": "output_nano",
    "per_call": "call_nano",
    "per_item": "item_nano",
    "minimum": "minimum_nano",
    "reasoning": "reasoning_nano",
    "audio_input": "audio_input_nano",
    "audio_output": "audio_output_nano",
    "characters": "character_nano",
}
# Where empty means "no price of its own", not zero.
_MAY_BE_NONE = {"cached_input", "cache_write", "reasoning", "audio_input", "audio_output", "characters"}
_UNIT = re.compile(rf"({UNIT_KEY.pattern})\s*=\s*([^;]+)")


class UnreadablePrices(InvalidInput):
    """These lines are no price table."""

    code = "unreadable_prices"


def rules_to_csv(rules: Mapping[str, RuleFigures]) -> str:
    """One line a model, by name."""
    return _write(RULE_COLUMNS, [rule_cells(name, rule) for name, rule in sorted(rules.items())])


def rule_cells(name: str, rule: RuleFigures) -> list[str]:
    """The cells of a price in the order of RULE_COLUMNS."""
    cells = {column: _amount_text(getattr(rule, field)) for column, field in _AMOUNTS.items()}
    cells["model"], cells["basis"] = name, str(rule.basis)
    if rule.source_figures:
        cells["source_figures"] = json.dumps(dict(rule.source_figures), ensure_ascii=False, sort_keys=True)
    cells["units"] = units_text(rule.unit_prices)
    if rule.rounding != HALF_EVEN:
        cells["rounding"] = rule.rounding
    if rule.rounding_step_nano != 1:
        cells["rounded_to"] = _amount_text(rule.rounding_step_nano)
    return [cells.get(column, "") for column in RULE_COLUMNS]


def rules_from_csv(text: str) -> dict[str, RuleFigures]:
    """Prices by model name; raises UnreadablePrices with the line."""
    return _read(text, RULE_COLUMNS, rule_of, needed=NEEDED_COLUMNS)


def units_text(prices: Mapping[str, int]) -> str:
    """``image:1024x1024:hd=0.08; video:720p=0.1``: dollars per image and per second."""
    return "; ".join(f"{key}={_amount_text(nano)}" for key, nano in sorted(prices.items()))


def units_of(text: str) -> dict[str, int]:
    """The prices in a text as ``units_text`` writes it; raises ValueError."""
    found: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        match = _UNIT.fullmatch(part)
        if match is None:
            raise ValueError(_("units are written like image:1024x1024:hd=0.08; video:720p=0.1; audio=0.0001"))
        key = match.group(1).lower()
        if key in found:
            raise ValueError(_("%(unit)s is named twice") % {"unit": key})
        found[key] = _amount("units", match.group(2))
    return found


def multipliers_to_csv(multipliers: Mapping[tuple[str, str], Decimal]) -> str:
    rows = [[group, payer, format(value.normalize(), "f")] for (group, payer), value in sorted(multipliers.items())]
    return _write(MULTIPLIER_COLUMNS, rows)


def multipliers_from_csv(text: str) -> dict[tuple[str, str], Decimal]:
    """Multipliers by (group, payer's group or ""); raises UnreadablePrices with the line."""
    return _read(text, MULTIPLIER_COLUMNS, _multiplier)


def rule_of(row: Mapping[str, str]) -> tuple[str, RuleFigures]:
    """(model, price) of one line by column; raises ValueError with the reason."""
    if not row["model"] or len(row["model"]) > 255:
        raise ValueError(_("a price needs a model, of at most 255 characters"))
    if row["basis"] not in PriceRule.Basis.values:
        raise ValueError(_("there is no basis %(basis)s") % {"basis": row["basis"]})
    values: dict[str, Any] = {}
    for column, field in _AMOUNTS.items():
        text = row.get(column, "")
        empty = None if column in _MAY_BE_NONE else 0
        values[field] = _amount(column, text) if text else empty
    try:
        figures = json.loads(row.get("source_figures") or "{}")
    except (ValueError, RecursionError):
        figures = None
    if not isinstance(figures, dict):
        raise ValueError(_("source_figures must be a JSON object"))
    rounding = row.get("rounding") or HALF_EVEN
    if rounding not in ROUNDINGS:
        raise ValueError(_("there is no rounding %(rounding)s") % {"rounding": rounding})
    step = _amount("rounded_to", row["rounded_to"]) if row.get("rounded_to") else 1
    if step < 1:
        raise ValueError(_("%(column)s is out of range") % {"column": "rounded_to"})
    rule = RuleFigures(
        basis=row["basis"],
        source_figures=figures,
        unit_prices=units_of(row.get("units", "")),
        rounding=rounding,
        rounding_step_nano=step,
        **values,
    )
    return row["model"], rule


def _amount(column: str, text: str) -> int:
    try:
        nano = parse_usd(text)
    except ValueError:
        raise ValueError(
            _("%(column)s is no amount in dollars with at most nine decimal places: %(text)s")
            % {"column": column, "text": text[:40]}
        ) from None
    if not 0 <= nano < 2**62:
        raise ValueError(_("%(column)s is out of range") % {"column": column})
    return nano


def _multiplier(row: dict[str, str]) -> tuple[tuple[str, str], Decimal]:
    try:
        value = Decimal(row["multiplier"])
    except InvalidOperation:
        raise ValueError(_("a multiplier is a number")) from None
    if not row["group"] or not value.is_finite() or not 0 <= value < 10**12 or value.as_tuple().exponent < -12:  # type: ignore[operator]
        raise ValueError(_("a multiplier needs a group, is not negative and has at most twelve decimal places"))
    return (row["group"], row["payer_group"]), value


def _read(
    text: str,
    columns: tuple[str, ...],
    parse: Callable[[dict[str, str]], tuple[Any, Any]],
    needed: tuple[str, ...] | None = None,
) -> dict[Any, Any]:
    if not text.strip():
        return {}
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None, strict=True)
    named = tuple(reader.fieldnames or ())
    is_known = set(needed) <= set(named) <= set(columns) and len(set(named)) == len(named) if needed else named == columns
    if not is_known:
        raise UnreadablePrices(_("The first line must be: %(columns)s") % {"columns": ",".join(columns)})
    found: dict[Any, Any] = {}
    try:
        for row in reader:
            if "" in row or None in row.values():
                raise ValueError(_("another number of cells than in the first line"))
            key, value = parse({name: cell.strip() for name, cell in row.items()})
            if key in found:
                raise ValueError(_("named twice"))
            found[key] = value
    except (ValueError, csv.Error) as error:
        raise UnreadablePrices(_("Line %(number)d: %(problem)s.") % {"number": reader.line_num, "problem": error}) from None
    return found


def _write(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def _amount_text(nano: int | None) -> str:
    return "" if nano is None else decimal_usd(nano).rstrip("0").rstrip(".")
