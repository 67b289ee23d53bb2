"""Walks every page and every answer of the API that a person can reach by links, over real HTTP."""

import html
import re
from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

HREF = re.compile(r"""(?:href|hx-get|action)="([^"#]+)""")
NUMBERS = re.compile(r"\b(?:\d+|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
OF_A_PAGE = 2
LEFT_ALONE = ("/static/", "/accounts/logout/", "/api/portal/schema/")


def sign_in(base: str, name: str, password: str) -> httpx.Client:
    """A browser's cookies after the page of signing in; fails when the door stays shut."""
    client = httpx.Client(base_url=base, timeout=60, follow_redirects=True)
    client.get("/accounts/login/")
    answer = post(client, "/accounts/login/", {"login": name, "password": password})
    assert answer.url.path != "/accounts/login/", f"{name} cannot sign in"
    return client


def post(client: httpx.Client, path: str, data: dict[str, Any], **more: Any) -> httpx.Response:
    token = client.cookies.get("csrftoken", "")
    return client.post(path, data={**data, "csrfmiddlewaretoken": token}, headers={"Referer": str(client.base_url)}, **more)


def walk(client: httpx.Client, start: list[str]) -> dict[str, str]:
    """Address and text of each page reached: of those that differ in ids only ``OF_A_PAGE``, whatever is asked of them."""
    seen: set[str] = set()
    taken: Counter[str] = Counter()
    waiting = deque(start)
    pages: dict[str, str] = {}
    while waiting:
        address = waiting.popleft()
        kinds = (_shape(address), _page(address))
        if address in seen or taken[kinds[0]] >= 1 + ("?" not in address) or taken[kinds[1]] >= OF_A_PAGE:
            continue
        seen.add(address)
        taken.update(kinds)
        answer = client.get(address)
        assert answer.status_code < 500, f"{address}: {answer.status_code}"
        # The headers belong to the answer: a redirect or a file name must hold nothing either.
        pages[address] = f"{answer.headers}\n{answer.text}"
        if answer.headers.get("content-type", "").startswith("text/html"):
            waiting.extend(_links(answer))
    return pages


def _links(answer: httpx.Response) -> list[str]:
    found = []
    for target in HREF.findall(answer.text):
        parts = urlsplit(urljoin(str(answer.url), html.unescape(target)))
        if parts.netloc == answer.url.netloc.decode() and not parts.path.startswith(LEFT_ALONE):
            found.append(parts.path + (f"?{parts.query}" if parts.query else ""))
    return found


def _page(address: str) -> str:
    """The address without ids and parameters."""
    return NUMBERS.sub("*", address.partition("?")[0])


def _shape(address: str) -> str:
    """The address without ids, and with the names of its parameters only."""
    query = address.partition("?")[2]
    return _page(address) + "?" + "&".join(sorted({name for name, _value in parse_qsl(query)}))


def api_answers(client: httpx.Client, schema: dict[str, Any]) -> dict[str, str]:
    """Every GET of the API: lists as they are, and the first objects that each list names."""
    found: dict[str, str] = {}
    ids: dict[str, list[str]] = {}
    for path in sorted(schema["paths"], key=lambda path: path.count("{")):
        if "get" not in schema["paths"][path] or path.count("{") > 1:
            continue
        parent = path.partition("{")[0]
        for address in [path] if parent == path else [path.replace("{id}", one) for one in ids.get(parent, [])]:
            answer = client.get(address)
            assert answer.status_code < 500, f"{address}: {answer.status_code}"
            found[address] = f"{answer.headers}\n{answer.text}"
            if parent == path and answer.headers.get("content-type", "").startswith("application/json"):
                ids[path] = _first_ids(answer.json())
    return found


def _first_ids(body: Any) -> list[str]:
    rows = body.get("results", []) if isinstance(body, dict) else body
    return [str(row["id"]) for row in rows[:2] if isinstance(row, dict) and "id" in row]
