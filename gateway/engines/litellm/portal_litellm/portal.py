"""Calls to the portal over HTTP. Errors never hold a key or the token."""

import gzip
import json
from typing import Any

import aiohttp

from .options import Options

Answer = dict[str, Any]
PACK_BYTES = 2_000


class PortalGone(Exception):
    """No answer, or a 5xx: the same request may be sent again."""


class PortalRefused(Exception):
    """The portal understood and says no; ``status`` and its stable ``code`` tell why."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Portal:
    """One connection pool; made inside the running loop."""

    def __init__(self, options: Options) -> None:
        self._url = options.url
        self._headers = {"Authorization": f"Bearer {options.token}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=options.timeout_seconds, connect=3)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, longer: float = 0.0, **query: str) -> Answer | None:
        """The answer, None for "nothing changed"."""
        timeout = aiohttp.ClientTimeout(total=(self._timeout.total or 10.0) + longer, connect=3)
        return await self._ask("GET", path, params=query, timeout=timeout)

    async def post(self, path: str, body: Answer) -> Answer:
        data = json.dumps(body).encode()
        headers = {}
        if len(data) > PACK_BYTES:
            data, headers = gzip.compress(data, 1), {"Content-Encoding": "gzip"}
        found = await self._ask("POST", path, data=data, headers=headers, timeout=self._timeout)
        return found or {}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, path: str, **named: Any) -> Answer | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            async with self._session.request(method, f"{self._url}/dp/v1/{path}", **named) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PortalGone(type(error).__name__) from None
        if response.status == 304:
            return None
        if response.status >= 500 or response.status == 429:
            raise PortalGone(str(response.status))
        try:
            value = json.loads(raw)
        except ValueError:
            raise PortalGone("the answer is no JSON") from None
        if response.status >= 400:
            told = value.get("error") if isinstance(value, dict) else None
            raise PortalRefused(response.status, str(told.get("code", "")) if isinstance(told, dict) else "")
        return value if isinstance(value, dict) else {}
