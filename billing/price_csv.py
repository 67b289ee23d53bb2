"""Prices and multipliers as lines of CSV, the way people edit many of them at once. Amounts are US dollars."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from billing.models import PriceRule
from billing.pricing import RuleFigures
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
)
MULTIPLIER_COLUMNS = ("group", "payer_group", "multiplier")
_AMOUNTS = {
    "input": "input_nano",
    "cached_input": "cached_nano",
    "cache_write": "cache_write_nano",
    "output": "output_nano",
    "per_call": "call_nano",
    "per_item": "item_nano",
    "minimum": "minimum_nano",
}
# Where empty means "no price of its own", not zero.
_MAY_BE_NONE = {"cached_input", "cache_write"}


class UnreadablePrices(InvalidInput):
    """These lines are no price table."""

    code = "unreadable_prices"


def rules_to_csv(rules: Mapping[str, RuleFigures]) -> str:
    """One line a model, by name."""
    rows = []
    for name, rule in sorted(rules.items()):
        amounts = [_amount_text(getattr(rule, field)) for field in _AMOUNTS.values()]
        figures = json.dumps(dict(rule.source_figures), ensure_ascii=False, sort_keys=True) if rule.source_figures else ""
        rows.append([name, str(rule.basis), *amounts, figures])
    return _write(RULE_COLUMNS, rows)


def rules_from_csv(text: str) -> dict[str, RuleFigures]:
    """Prices by model name; raises UnreadablePrices with the line."""
    return _read(text, RULE_COLUMNS, _rule)


def multipliers_to_csv(multipliers: Mapping[tuple[str, str], Decimal]) -> str:
    rows = [[group, payer, format(value.normalize(), "f")] for (group, payer), value in sorted(multipliers.items())]
    return _write(MULTIPLIER_COLUMNS, rows)


def multipliers_from_csv(text: str) -> dict[tuple[str, str], Decimal]:
    """Multipliers by (group, payer's group or ""); raises UnreadablePrices with the line."""
    return _read(text, MULTIPLIER_COLUMNS, _multiplier)


def _rule(row: dict[str, str]) -> tuple[str, RuleFigures]:
    if not row["model"]:
        raise ValueError(_("a price needs a model"))
    if row["basis"] not in PriceRule.Basis.values:
        raise ValueError(_("there is no basis %(basis)s") % {"basis": row["basis"]})
    values: dict[str, Any] = {}
    for column, field in _AMOUNTS.items():
        empty = None if column in _MAY_BE_NONE else 0
        values[field] = parse_usd(row[column]) if row[column] else empty
        if values[field] is not None and not 0 <= values[field] < 2**62:
            raise ValueError(_("%(column)s is out of range") % {"column": column})
    figures = json.loads(row["source_figures"]) if row["source_figures"] else {}
    if not isinstance(figures, dict):
        raise ValueError(_("source_figures must be a JSON object"))
    return row["model"], RuleFigures(basis=row["basis"], source_figures=figures, **values)


def _multiplier(row: dict[str, str]) -> tuple[tuple[str, str], Decimal]:
    try:
        value = Decimal(row["multiplier"])
    except InvalidOperation:
        raise ValueError(_("a multiplier is a number")) from None
    if not row["group"] or not value.is_finite() or not 0 <= value < 10**12 or value.as_tuple().exponent < -12:  # type: ignore[operator]
        raise ValueError(_("a multiplier needs a group, is not negative and has at most twelve decimal places"))
    return (row["group"], row["payer_group"]), value


def _read(text: str, columns: tuple[str, ...], parse: Callable[[dict[str, str]], tuple[Any, Any]]) -> dict[Any, Any]:
    if not text.strip():
        return {}
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None, strict=True)
    if tuple(reader.fieldnames or ()) != columns:
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
