"""Which lists a worker can make: the same rows as their pages, for the person who asked."""

from billing.services.exports import register
from billing.views import calls, finance, money

register("calls", calls.table_of)
register("ledger", money.table_of)
register("house-ledger", finance.table_of)
