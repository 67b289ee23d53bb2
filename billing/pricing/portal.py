"""The portal's own formula: integers, one division, half to even, once per call."""

from decimal import Decimal
from fractions import Fraction

from billing.pricing.figures import PORTAL, Line, NoPrice, Quote, RuleFigures, Usage, plain
from config.foundation.money import MILLION, NANO_PER_USD, divide_half_even


def _usd(nano: Fraction) -> str:
    """Dollars, exactly: a price has at most nine places and a count of millionths adds six."""
    scaled = nano * MILLION
    return plain(Decimal(scaled.numerator) / (Decimal(scaled.denominator) * MILLION * NANO_PER_USD))


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
    total = sum((Fraction(count * price, per) for _name, count, price, per in parts), Fraction(0)) * Fraction(multiplier)
    cost = divide_half_even(total.numerator, total.denominator)
    lines = [
        Line(name, str(count), _usd(Fraction(price)), per, _usd(Fraction(count * price, per)), "USD")
        for name, count, price, per in parts
        if count
    ]
    if used and multiplier and cost < rule.minimum_nano:
        cost = rule.minimum_nano
        lines.append(Line("minimum", "1", _usd(Fraction(cost)), 1, _usd(Fraction(cost)), "USD"))
    return Quote(PORTAL, cost, tuple(lines), plain(multiplier), _usd(total), "half_even")
