"""The values that prices are calculated from and the shape of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PORTAL = "portal"
ONE_API = "one_api"
NEW_API = "new_api"


class NoPrice(ValueError):
    """The rule lacks a figure that its formula needs."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used. Token counts are not negative.

    ``input`` contains ``cached``, ``cache_write``, ``image_input`` and ``audio_input``, as OpenAI reports it; with
    ``input_excludes_cache`` (Anthropic) it does not contain the cached and cache-written ones. ``cache_write`` contains
    ``cache_write_1h``; ``output`` contains ``reasoning``, ``image_output`` and ``audio_output``. ``params`` are request
    fields a tiered price may read. ``surcharges`` are (name, count, US dollars per 1,000 uses).
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    images: int = 0
    cache_write_1h: int = 0
    image_input: int = 0
    image_output: int = 0
    audio_input: int = 0
    audio_output: int = 0
    input_excludes_cache: bool = False
    size: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    surcharges: tuple[tuple[str, int, Decimal], ...] = ()

    @property
    def total_tokens(self) -> int:
        total = self.input + self.output
        return total + self.cached + self.cache_write if self.input_excludes_cache else total


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """The figures of one price rule; prices are nano-USD per 1,000,000 units, ``call`` and ``item`` nano-USD each."""

    basis: str = "token"
    input_nano: int = 0
    cached_nano: int | None = None
    cache_write_nano: int | None = None
    output_nano: int = 0
    call_nano: int = 0
    item_nano: int = 0
    minimum_nano: int = 0
    source_figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the sum that a person can redo: ``count`` x ``price`` (per ``per``) = ``amount``, in ``unit``."""

    name: str
    count: str
    price: str
    per: int
    amount: str
    unit: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and how it came about. ``units`` are quota units of an old gateway, None for the portal's own formula."""

    formula: str
    cost_nano: int
    lines: tuple[Line, ...]
    multiplier: str
    exact: str
    rounding: str
    units: int | None = None
    quota_per_unit: str = ""
    tier: str = ""

    def explain(self) -> dict[str, Any]:
        """The arithmetic as JSON: text for figures, so that nothing is rounded on the way."""
        answer: dict[str, Any] = {
            "formula": self.formula,
            "lines": [
                {"name": x.name, "count": x.count, "price": x.price, "per": x.per, "amount": x.amount, "unit": x.unit}
                for x in self.lines
            ],
            "multiplier": self.multiplier,
            "exact": self.exact,
            "rounding": self.rounding,
            "cost_nano": self.cost_nano,
        }
        if self.units is not None:
            answer["units"] = self.units
            answer["quota_per_unit"] = self.quota_per_unit
        if self.tier:
            answer["tier"] = self.tier
        return answer


def plain(value: Decimal | int | float) -> str:
    """A figure as people write it: no exponent, no trailing zeros."""
    text = format(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(figures: Mapping[str, Any], name: str, default: str | None = None) -> Decimal:
    """A decimal figure of an old gateway; raises NoPrice when it is missing without a default or cannot be read."""
    raw = figures.get(name, default)
    if raw is None or raw == "":
        raw = default
    if raw is None:
        raise NoPrice(f"the price has no {name}")
    try:
        value = Decimal(str(raw))
    except ArithmeticError:
        raise NoPrice(f"{name} is not a number") from None
    if not value.is_finite() or value < 0:
        raise NoPrice(f"{name} is not a price")
    return value
