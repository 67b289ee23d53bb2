"""Masks whatever looks like a secret in text that leaves for a log, an error or a page."""

import logging
import re

_KEY = re.compile(r"\b(sk|pk|rk)-[A-Za-z0-9_\-]{12,}")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9_\-.=]{12,}")
_HEADER = re.compile(r"(?i)((?:x-api-key|api-key|x-goog-api-key|authorization)['\"]?\s*[:=]\s*['\"]?)[^\s'\",;]{8,}")
_DSN = re.compile(r"(?i)\b([a-z][a-z0-9+]*://[^\s:/@]*):[^\s@]*@")
_PASSWORD = re.compile(r"(?i)\b((?:password|passwd|pwd|secret|token)\s*[=:]\s*['\"]?)[^\s'\",;&]{3,}")
_LONG = re.compile(r"\b(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{48}\b")


def mask(text: str) -> str:
    """The text with keys, bearer values, DSN passwords and named passwords replaced; the last four of a key stay."""
    text = _DSN.sub(r"\1:***@", text)
    text = _KEY.sub(lambda found: f"{found.group(1)}-...{found.group(0)[-4:]}", text)
    text = _BEARER.sub(r"\1***", text)
    text = _HEADER.sub(r"\1***", text)
    text = _PASSWORD.sub(r"\1***", text)
    return _LONG.sub(lambda found: f"...{found.group(0)[-4:]}", text)


def looks_like_key(text: str) -> bool:
    """True for what could be a whole API key, so that a page can refuse it before it is stored or logged."""
    bare = text.strip()
    return bool(_KEY.fullmatch(bare) or _LONG.fullmatch(bare))


class MaskSecrets(logging.Filter):
    """A logging filter that masks the finished message and the text of an exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        return True
