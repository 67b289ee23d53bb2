"""Money is an ``int`` of nano-USD (1e-9 USD); nothing here touches a float.

Source of the unit: docs/decisions/0002-nano-usd.md. One quota unit of One API and New API at the default
``QuotaPerUnit`` of 500,000 is exactly 2,000 nano-USD.
"""

from fractions import Fraction

NANO_PER_USD = 1_000_000_000
MILLION = 1_000_000
DEFAULT_QUOTA_PER_UNIT = 500_000


def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded to the nearest integer, ties to even."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient


def nano_from_quota(quota: int, quota_per_unit: Fraction | int) -> int:
    """Nano-USD worth of ``quota`` units of an old gateway whose ``QuotaPerUnit`` is given, half-even."""
    per_unit = Fraction(quota_per_unit)
    if per_unit <= 0:
        raise ValueError("QuotaPerUnit must be positive")
    exact = Fraction(quota) * NANO_PER_USD / per_unit
    return divide_half_even(exact.numerator, exact.denominator)


def format_usd(nano: int, places: int = 9, *, trim: bool = True) -> str:
    """``-$1,234.5`` for a page; ``places`` digits at most (half-even), trailing zeros trimmed down to cents."""
    scale: int = 10 ** (9 - places)
    rounded = divide_half_even(abs(nano), scale)
    whole, rest = divmod(rounded, 10**places) if places else (rounded, 0)
    digits = f"{rest:0{places}d}" if places else ""
    if trim:
        digits = digits.rstrip("0").ljust(min(2, places), "0")
    sign = "-" if nano < 0 and rounded else ""
    return f"{sign}${whole:,}{'.' + digits if digits else ''}"


def format_money(nano: int, currency: str, places: int = 9) -> str:
    """Money of any currency for a page: ``$1,234.5`` or ``1,234.50 EUR``."""
    text = format_usd(nano, places)
    return text if currency == "USD" else f"{text.replace('$', '', 1)} {currency}"


def decimal_usd(nano: int) -> str:
    """Plain decimal string with nine places, for APIs and exports: ``-12.400000000``."""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    return f"{'-' if nano < 0 else ''}{whole}.{rest:09d}"


def parse_usd(text: str) -> int:
    """Nano-USD from a decimal string such as ``12.5``; raises ValueError beyond nine places or for anything else."""
    cleaned = text.strip().removeprefix("$").replace(",", "")
    try:
        exact = Fraction(cleaned) * NANO_PER_USD
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"not an amount of money: {text!r}") from None
    if "/" in cleaned or "e" in cleaned.lower() or exact.denominator != 1:
        raise ValueError(f"an amount has at most nine decimal places: {text!r}")
    return int(exact)
