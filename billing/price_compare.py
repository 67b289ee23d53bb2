"""Two price versions side by side: money per 1,000,000 tokens and per item, the difference, and a call worked through.

Everything is asked of the formulas that charge, so that books of old gateways and our own are shown in one unit; multipliers
are never compared with each other, only what they make of a price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from accounts.models import User
from accounts.rights import require
from billing.expressions import ExpressionError
from billing.models import PriceBook, PriceVersion
from billing.pricing import AUDIO_KEY, HALF_EVEN, ONE_API, PORTAL, NoPrice, Price, Quote, RuleFigures, Usage, image_key
from billing.services.price_drafts import multipliers_of, rules_of
from config.foundation.errors import NotFound
from config.foundation.money import MILLION, nano_from_quota

RIGHT = "prices.view"
# What 1,000,000 of each kind of token cost.
TOKENS: Mapping[str, Usage] = {
    "input": Usage(input=MILLION),
    "cached_input": Usage(input=MILLION, cached=MILLION),
    "cache_write": Usage(input=MILLION, cache_write=MILLION),
    "output": Usage(output=MILLION),
    "reasoning": Usage(output=MILLION, reasoning=MILLION),
    "audio_input": Usage(input=MILLION, audio_input=MILLION),
    "audio_output": Usage(output=MILLION, audio_output=MILLION),
    "characters": Usage(characters=MILLION),
}
PER_CALL, MINIMUM = "per_call", "minimum"
SECOND = 1000


@dataclass(frozen=True, slots=True)
class Side:
    """One version as a payer sees it: ``multiplier`` is what holds for the chosen groups."""

    version_id: int
    label: str
    formula: str
    quota_per_unit: Decimal
    rules: Mapping[str, RuleFigures]
    multiplier: Decimal = Decimal(1)

    def price(self, model: str) -> Price | None:
        rule = self.rules.get(model)
        if rule is None:
            return None
        return Price(self.version_id, self.label, self.formula, self.quota_per_unit, model, rule, self.multiplier)


@dataclass(frozen=True, slots=True)
class Cell:
    """One component on both sides, nano-USD; None has no price there. ``percent`` is the way from left to right."""

    name: str
    left: int | None
    right: int | None

    @property
    def percent(self) -> Decimal | None:
        return percent_of(self.left, self.right)

    @property
    def differs(self) -> bool:
        return self.left != self.right


@dataclass(frozen=True, slots=True)
class Row:
    """A model on both sides, and the same call worked through on each."""

    model: str
    cells: tuple[Cell, ...]
    example: str
    left: Quote | None
    right: Quote | None
    roundings: tuple[str, str]

    @property
    def percent(self) -> Decimal | None:
        return percent_of(self.left.cost_nano if self.left else None, self.right.cost_nano if self.right else None)

    @property
    def differs(self) -> bool:
        return any(cell.differs for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Example:
    """The call that is worked through for models priced by tokens."""

    input_tokens: int = 1_000
    cached_tokens: int = 0
    output_tokens: int = 500

    @property
    def usage(self) -> Usage:
        return Usage(input=self.input_tokens, cached=min(self.cached_tokens, self.input_tokens), output=self.output_tokens)


def comparable_versions(actor: User) -> list[PriceVersion]:
    """Published versions of all books, the newest of each book first."""
    require(actor, RIGHT)
    versions = PriceVersion.objects.filter(published_at__isnull=False).select_related("book")
    return list(versions.order_by("book__code", "-number")[:400])


def side_of(actor: User, version_id: int, group_code: str = "", payer_group_code: str = "") -> Side:
    """A version with its prices and the multiplier of these groups; raises NotFound."""
    require(actor, RIGHT)
    version = PriceVersion.objects.select_related("book").filter(pk=version_id, published_at__isnull=False).first()
    if version is None:
        raise NotFound
    table = multipliers_of(version)
    own = table.get((group_code, payer_group_code)) if payer_group_code else None
    multiplier = own if own is not None else table.get((group_code, ""), Decimal(1))
    book: PriceBook = version.book
    return Side(version.pk, str(version), book.formula, book.quota_per_unit, rules_of(version), multiplier)


def group_choices(actor: User, version_id: int) -> list[tuple[str, str]]:
    """(group, payer's group or "") pairs that have a multiplier in a version."""
    require(actor, RIGHT)
    version = PriceVersion.objects.filter(pk=version_id, published_at__isnull=False).first()
    return sorted(multipliers_of(version)) if version else []


def compare(left: Side, right: Side, example: Example | None = None) -> list[Row]:
    """Every model of either side, by name."""
    example = example or Example()
    return [_row(model, left, right, example) for model in sorted({*left.rules, *right.rules})]


def effective(price: Price | None) -> dict[str, int]:
    """What each component of a price comes to for this payer, nano-USD: per 1,000,000 tokens, per call, image or second.

    The minimum and the fee of a call are components of their own and in none of the others.
    """
    if price is None:
        return {}
    found: dict[str, int] = {}
    rule = price.rule
    bare = replace(price, rule=replace(rule, minimum_nano=0, call_nano=0, rounding=HALF_EVEN, rounding_step_nano=1))
    if rule.basis != "call":
        for name, usage in TOKENS.items():
            if name != "characters" or (price.formula == PORTAL and rule.character_nano is not None):
                _put(found, name, bare, usage)
    fee = replace(price, rule=replace(rule, minimum_nano=0, rounding=HALF_EVEN, rounding_step_nano=1))
    if rule.call_nano or rule.basis == "call":
        _put(found, PER_CALL, fee, Usage())
    for key in _unit_keys(price):
        _put(found, key, bare, unit_usage(key))
    minimum = minimum_of(price)
    if minimum:
        found[MINIMUM] = minimum
    return found


def minimum_of(price: Price) -> int:
    """The least a call that used anything costs; old gateways charge at least one of their units for tokens."""
    if not price.multiplier:
        return 0
    if price.formula == PORTAL:
        return price.rule.minimum_nano
    is_free = str(price.rule.source_figures.get("model_ratio", "")) in {"0", "0.0"}
    return nano_from_quota(1, Fraction(price.quota_per_unit)) if price.rule.basis == "token" and not is_free else 0


def rounding_of(price: Price | None) -> str:
    """How a call is rounded, as a word of ``PriceRule.Rounding`` and the step in nano-USD."""
    if price is None:
        return ""
    if price.formula == PORTAL:
        return f"{price.rule.rounding}:{price.rule.rounding_step_nano}"
    unit = nano_from_quota(1, Fraction(price.quota_per_unit))
    return f"{'up' if price.formula == ONE_API else 'half_up'}:{unit}"


def percent_of(left: int | None, right: int | None) -> Decimal | None:
    """The way from left to right in per cent with one decimal place; None where there is no way to say."""
    if left is None or right is None or (not left and right):
        return None
    if left == right:
        return Decimal("0.0")
    return (Decimal(right - left) * 100 / left).quantize(Decimal("0.1"))


def unit_usage(key: str) -> Usage:
    """One image or one second, by the name of its price."""
    kind, *rest = key.split(":")
    words = ["" if word == "*" else word for word in rest]
    if kind == "image":
        return Usage(images=1, size=words[0], quality=words[1])
    return Usage(video_ms=SECOND, resolution=words[0]) if kind == "video" else Usage(audio_ms=SECOND)


def _row(model: str, left: Side, right: Side, example: Example) -> Row:
    prices = left.price(model), right.price(model)
    here, there = effective(prices[0]), effective(prices[1])
    cells = tuple(
        Cell(name, here.get(name), there.get(name)) for name in sorted({*here, *there}, key=lambda name: (_place(name), name))
    )
    word, usage = _example_of(prices, example)
    roundings = rounding_of(prices[0]), rounding_of(prices[1])
    return Row(model, cells, word, _quote(prices[0], usage), _quote(prices[1], usage), roundings)


def _example_of(prices: tuple[Price | None, Price | None], example: Example) -> tuple[str, Usage]:
    """A call both sides can price: tokens, unless a side is priced by images or seconds."""
    keys = [set(_unit_keys(price)) for price in prices if price is not None]
    shared = sorted(set.intersection(*keys)) if keys else []
    for key in shared:
        if key.startswith("image:"):
            return key, unit_usage(key)
    for key in shared:
        usage = unit_usage(key)
        return f"5 x {key}", replace(usage, video_ms=usage.video_ms * 5, audio_ms=usage.audio_ms * 5)
    return "", example.usage


def _unit_keys(price: Price) -> list[str]:
    if price.formula == PORTAL:
        keys = sorted(price.rule.unit_prices)
        if price.rule.item_nano and not any(key.startswith("image:") for key in keys):
            keys.append(image_key(""))
        return keys
    if price.formula == ONE_API:
        return [image_key(size) for size in sorted(price.rule.source_figures.get("size_ratios") or {})]
    return []


def _put(found: dict[str, int], name: str, price: Price, usage: Usage) -> None:
    quote = _quote(price, usage)
    if quote is not None:
        found[name] = quote.cost_nano


def _quote(price: Price | None, usage: Usage) -> Quote | None:
    try:
        return price.quote(usage) if price is not None else None
    except (NoPrice, ExpressionError):
        return None


def _place(name: str) -> int:
    order = [*TOKENS, PER_CALL, "image", "video", AUDIO_KEY, MINIMUM]
    kind = name.split(":")[0]
    return order.index(kind) if kind in order else len(order)
