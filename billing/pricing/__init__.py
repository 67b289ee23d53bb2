"""What a call costs: pure functions of a price rule, a multiplier and the usage.

``quote`` gives the price and its arithmetic, ``most`` what to hold before the call, ``PriceTable`` finds the rule.
"""

from billing.expressions import ExpressionError
from billing.pricing.calculate import estimate, most, quote
from billing.pricing.figures import (
    ANY,
    AUDIO_KEY,
    HALF_EVEN,
    HALF_UP,
    NEW_API,
    ONE_API,
    PORTAL,
    ROUNDINGS,
    UNIT_KEY,
    UP,
    Line,
    NoPrice,
    Quote,
    RuleFigures,
    Usage,
    image_key,
    video_key,
)
from billing.pricing.table import BookPrices, Price, PriceTable, VersionPrices
from billing.pricing.units import usage_columns, usage_of

__all__ = [
    "ANY",
    "AUDIO_KEY",
    "HALF_EVEN",
    "HALF_UP",
    "NEW_API",
    "ONE_API",
    "PORTAL",
    "ROUNDINGS",
    "UNIT_KEY",
    "UP",
    "BookPrices",
    "ExpressionError",
    "Line",
    "NoPrice",
    "Price",
    "PriceTable",
    "Quote",
    "RuleFigures",
    "Usage",
    "VersionPrices",
    "estimate",
    "image_key",
    "most",
    "quote",
    "usage_columns",
    "usage_of",
    "video_key",
]
