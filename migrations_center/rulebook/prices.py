"""The old price lists as figures per model, with what proves each: a setting, the product's rule, or its own log rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from migrations_center.rulebook.figures import nano_per_million, plain

TOKEN = "token"  # noqa: S105 - a way of pricing
CALL = "call"
EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a model cost. ``figures`` are decimal text under the names that billing's formulas know."""

    name: str
    basis: str
    figures: dict[str, object] = field(default_factory=dict)
    # "setting", "rule" or "logs"
    proof: str = "setting"
    # Facts a person should know, as reason codes.
    notes: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        """True where every call costs nothing: a ratio or a price per call of zero."""
        name = {TOKEN: "model_ratio", CALL: "model_price"}.get(self.basis, "")
        return bool(name) and name in self.figures and not Decimal(str(self.figures[name]))

    def display(self, quota_per_unit: str) -> dict[str, int | None]:
        """Nano-USD figures for lists and comparisons; the formula itself works on the ratios."""
        shown: dict[str, int | None] = {
            "input_nano": 0,
            "output_nano": 0,
            "cached_nano": None,
            "cache_write_nano": None,
            "call_nano": 0,
        }
        if self.basis == CALL:
            price = Decimal(str(self.figures["model_price"]))
            shown["call_nano"] = int((price * 10**9).to_integral_value())
            return shown
        if self.basis == EXPRESSION:
            return shown
        ratio = Decimal(str(self.figures["model_ratio"]))
        shown["input_nano"] = nano_per_million(ratio, quota_per_unit)
        shown["output_nano"] = nano_per_million(ratio * self._figure("completion_ratio", "1"), quota_per_unit)
        if "cache_ratio" in self.figures:
            shown["cached_nano"] = nano_per_million(ratio * self._figure("cache_ratio", "1"), quota_per_unit)
        if "create_cache_ratio" in self.figures:
            shown["cache_write_nano"] = nano_per_million(ratio * self._figure("create_cache_ratio", "1"), quota_per_unit)
        return shown

    def _figure(self, name: str, default: str) -> Decimal:
        return Decimal(str(self.figures.get(name, default)))


@dataclass(frozen=True, slots=True)
class PriceList:
    prices: dict[str, ModelPrice]
    # Names that are served but have no price, and why.
    unpriced: dict[str, str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.prices)


def as_text(figures: Iterable[tuple[str, Decimal | None]]) -> dict[str, object]:
    return {name: plain(value) for name, value in figures if value is not None}
