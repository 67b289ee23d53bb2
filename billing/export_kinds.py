"""Which lists a worker can make: the same rows as their pages, for the person who asked."""

from billing.services.exports import register
from billing.views import calls, finance, money, prices, usage

register("calls", calls.table_of)
register("ledger", money.table_of)
register("house-ledger", finance.table_of)
register("usage", usage.table_of)
register("prices", prices.table_of)
register("price-comparison", prices.comparison_of)
