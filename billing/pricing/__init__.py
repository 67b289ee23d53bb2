"""What a call costs: pure functions of a price rule, a multiplier and the usage.

``quote`` gives the price and its arithmetic, ``estimate`` what to hold before the call, ``PriceTable`` finds the rule.
"""

from billing.expressions import ExpressionError
from billing.pricing.calculate import estimate, quote
from billing.pricing.figures import NEW_API, ONE_API, PORTAL, Line, NoPrice, Quote, RuleFigures, Usage
from billing.pricing.table import BookPrices, Price, PriceTable, VersionPrices

__all__ = [
    "NEW_API",
    "ONE_API",
    "PORTAL",
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
    "quote",
]
