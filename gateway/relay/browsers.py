"""Clients that run as a page of another site: the browser asks first, and hides answers that do not allow it (CORS).

Every site may: a call is let in by its key, which the page has to send itself, never by a cookie.
"""

import re

from gateway.relay.client import Headers
from gateway.relay.exchange import Exchange, HeaderList

ANY_SITE: HeaderList = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*")]
METHODS = b"GET, POST, DELETE, OPTIONS"
A_DAY = b"86400"
# Names of headers as a browser lists them.
_NAMES = re.compile(rb"[-\w!#$%&'*+.^`|~, ]{1,2000}")


def headers_for(headers: Headers) -> HeaderList:
    """What every answer to a page of another site carries."""
    return list(ANY_SITE) if b"origin" in headers else []


def asks_first(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


async def allow(exchange: Exchange) -> None:
    """The answer to a browser that asks whether it may send a call."""
    # A star would leave out the header with the key.
    wanted = exchange.headers.get(b"access-control-request-headers", b"")
    named = wanted if _NAMES.fullmatch(wanted) else b"authorization, content-type, *"
    extra = [(b"access-control-allow-methods", METHODS), (b"access-control-allow-headers", named)]
    await exchange.start(204, b"text/plain", [*extra, (b"access-control-max-age", A_DAY)])
    await exchange.write(b"", more=False)
