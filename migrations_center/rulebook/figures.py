"""Ratios as decimals, never as floats: the text of the source is kept digit by digit."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from config.foundation.money import MILLION, NANO_PER_USD, divide_half_even


def decimal_map(text: str) -> dict[str, Decimal]:
    """A JSON object name -> number; empty for broken text, without the entries that are no numbers."""
    try:
        found = json.loads(text or "{}", parse_float=Decimal, parse_int=Decimal)
    except (ValueError, InvalidOperation):
        return {}
    if not isinstance(found, Mapping):
        return {}
    return {
        str(name): value for name, value in found.items() if isinstance(value, Decimal) and value.is_finite() and value >= 0
    }


def decimal_of(value: object) -> Decimal | None:
    """A figure of a log row as a decimal; None when it is none. JSON floats go through their shortest text."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def plain(number: Decimal) -> str:
    """Decimal text without an exponent or needless zeros."""
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def nano_per_million(ratio: Decimal, quota_per_unit: str) -> int:
    """Nano-USD per 1,000,000 tokens at ``ratio`` units a token, half-even; for display, the old formula keeps its ratios."""
    exact = Fraction(ratio) * MILLION * NANO_PER_USD / Fraction(Decimal(quota_per_unit))
    return divide_half_even(exact.numerator, exact.denominator)
