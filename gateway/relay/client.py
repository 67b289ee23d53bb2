"""What the request says about the client: its key, its program, its address."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from config.foundation.http import cut_network
from gateway.relay.options import options

Headers = dict[bytes, bytes]

KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")

# Words in the User-Agent and the family they stand for, the more telling ones first.
FAMILIES = (
    ("claude-cli", "Claude Code"),
    ("codex", "Codex CLI"),
    ("cursor", "Cursor"),
    ("cherrystudio", "Cherry Studio"),
    ("cherry studio", "Cherry Studio"),
    ("lobechat", "LobeChat"),
    ("chatbox", "Chatbox"),
    ("nextchat", "NextChat"),
    ("open-webui", "Open WebUI"),
    ("dify", "Dify"),
    ("cline", "Cline"),
    ("openai/python", "openai-python"),
    ("asyncopenai/python", "openai-python"),
    ("openai/js", "openai-node"),
    ("openai/go", "openai-go"),
    ("openai/java", "openai-java"),
    ("anthropic", "anthropic-sdk"),
    ("langchain", "LangChain"),
    ("litellm", "LiteLLM"),
    ("python-requests", "python-requests"),
    ("python-httpx", "python-httpx"),
    ("aiohttp", "aiohttp"),
    ("okhttp", "okhttp"),
    ("axios", "axios"),
    ("node-fetch", "node-fetch"),
    ("undici", "node"),
    ("go-http-client", "Go"),
    ("java", "Java"),
    ("curl", "curl"),
    ("mozilla", "browser"),
)


def headers_of(scope: Mapping[str, Any]) -> Headers:
    """Header names, which every server gives in lower case, to values; of a repeated header the first counts."""
    pairs: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return dict(reversed(pairs))


def presented_key(headers: Headers) -> str:
    """The key as it was sent, without the word Bearer; "" when there is none."""
    value = headers.get(b"authorization", b"").decode("latin-1").strip()
    if value[:6].lower() == "bearer" and (len(value) == 6 or value[6] in " \t"):
        value = value[6:].strip()
    if value:
        return value
    for name in KEY_HEADERS:
        value = headers.get(name, b"").decode("latin-1").strip()
        if value:
            return value
    return ""


def address_of(scope: Mapping[str, Any], headers: Headers) -> str:
    """The client's address. What a proxy says of it counts only behind a proxy of ours, and then its last word."""
    if options().is_behind_proxy:
        forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    client = scope.get("client")
    return str(client[0]) if client else ""


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    return cut_network(address)


@lru_cache(maxsize=1024)
def family_of(user_agent: bytes) -> str:
    """A name from a closed list for the calling program; "other" for the rest, "" when it does not say."""
    text = user_agent.decode("latin-1").lower()
    if not text:
        return ""
    return next((family for word, family in FAMILIES if word in text), "other")
