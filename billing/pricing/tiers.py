"""How dear a model is: the price of a reference call, and the tier that price belongs to."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from billing.expressions import ExpressionError
from billing.pricing.figures import NoPrice, Usage
from billing.pricing.table import Price

REFERENCE = Usage(input=1_000, output=1_000)
HIGHEST_TIER = 9


def reference_nano(price: Price) -> int | None:
    """Nano-USD of a reference call at multiplier 1: 1,000 tokens in and 1,000 out, and one of what else is priced.

    None when the price cannot be computed for it; such a model counts as one of the highest tier.
    """
    plain = replace(price, multiplier=Decimal(1))
    try:
        cost = plain.quote(REFERENCE).cost_nano
    except (NoPrice, ExpressionError):
        return None
    others = [price.rule.item_nano, (price.rule.character_nano or 0) // 1_000, *price.rule.unit_prices.values()]
    return cost + max(others)


def tier_of_price(nano: int | None, tiers: Sequence[tuple[int, int]]) -> int:
    """The tier of a reference price; ``tiers`` are (number, from nano-USD)."""
    if nano is None:
        return HIGHEST_TIER
    return max((number for number, start in tiers if nano >= start), default=1)
