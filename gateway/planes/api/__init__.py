"""``/dp/v1``: the contract of data planes as HTTP."""
