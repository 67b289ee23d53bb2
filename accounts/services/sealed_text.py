"""Secrets inside a stored mail text (an invitation link, a reset link) are sealed, so that the outbox holds none in clear."""

import html
import re

from config.foundation.crypto import seal, unseal

_MARK = re.compile(r"\[\[sealed:([A-Za-z0-9_\-=]+)\]\]")


def sealed(clear: str) -> str:
    """A marker that stands for ``clear`` in a stored text until the mail is handed to the server."""
    return f"[[sealed:{seal(clear).decode()}]]"


def opened(text: str, *, for_html: bool = False) -> str:
    """The text with every marker replaced by what it stands for."""

    def replace(found: re.Match[str]) -> str:
        clear = unseal(found.group(1).encode())
        return html.escape(clear) if for_html else clear

    return _MARK.sub(replace, text)


def hidden(text: str, word: str) -> str:
    """The text with every marker replaced by ``word``, for pages that show the mail."""
    return _MARK.sub(word, text)
