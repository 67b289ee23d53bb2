"""The portal's own formula: integers, one division, half to even, once per call.

It runs once for every call, so the arithmetic is in plain integers of 1e-15 USD; nothing is rounded before the end.
"""

from decimal import Decimal
from functools import lru_cache

from billing.pricing.figures import PORTAL, Line, NoPrice, Quote, RuleFigures, Usage, plain
from config.foundation.money import MILLION, divide_half_even

NANO_PLACES = 9
# A price has nine places and a count of millionths adds six.
AMOUNT_PLACES = 15


def quote(rule: RuleFigures, multiplier: Decimal, usage: Usage) -> Quote:
    """The price of a call; raises NoPrice for a tiered rule, which only New API's formula reads."""
    if rule.basis == "expression":
        raise NoPrice("tiered prices need the formula of New API")
    cached_price = rule.input_nano if rule.cached_nano is None else rule.cached_nano
    write_price = rule.input_nano if rule.cache_write_nano is None else rule.cache_write_nano
    fresh = usage.input if usage.input_excludes_cache else max(usage.input - usage.cached - usage.cache_write, 0)
    parts = [
        ("input", fresh, rule.input_nano, MILLION),
        ("cached", usage.cached, cached_price, MILLION),
        ("cache_write", usage.cache_write, write_price, MILLION),
        ("output", usage.output, rule.output_nano, MILLION),
    ]
    if rule.basis == "call":
        parts = []
    used = bool(usage.total_tokens or usage.images)
    if rule.call_nano:
        parts.append(("call", 1, rule.call_nano, 1))
        used = True
    if usage.images and rule.item_nano:
        parts.append(("item", usage.images, rule.item_nano, 1))
    amounts = [(name, count, price, per, count * price * (MILLION // per)) for name, count, price, per in parts if count]
    mantissa, places, text = _factor(multiplier)
    total = sum(part[4] for part in amounts) * mantissa
    cost = divide_half_even(total, 10 ** (AMOUNT_PLACES - NANO_PLACES + places))
    lines = [
        Line(name, str(count), _decimal(price, NANO_PLACES), per, _decimal(amount, AMOUNT_PLACES), "USD")
        for name, count, price, per, amount in amounts
    ]
    if used and multiplier and cost < rule.minimum_nano:
        cost = rule.minimum_nano
        lines.append(Line("minimum", "1", _decimal(cost, NANO_PLACES), 1, _decimal(cost, NANO_PLACES), "USD"))
    return Quote(PORTAL, cost, tuple(lines), text, _decimal(total, AMOUNT_PLACES + places), "half_even")


@lru_cache(maxsize=1024)
def _factor(multiplier: Decimal) -> tuple[int, int, str]:
    """(mantissa, decimal places, text) of a multiplier."""
    sign, digits, exponent = multiplier.as_tuple()
    if not isinstance(exponent, int):
        raise NoPrice("the multiplier is not a number")
    mantissa = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    if exponent > 0:
        mantissa, exponent = mantissa * 10**exponent, 0
    return mantissa, -exponent, plain(multiplier)


def _decimal(scaled: int, places: int) -> str:
    """``scaled / 10**places`` as people write it, exactly."""
    digits = str(abs(scaled)).zfill(places + 1)
    fraction = digits[-places:].rstrip("0")
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}{'.' if fraction else ''}{fraction}"
