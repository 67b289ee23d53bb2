"""What the three engines give for a column, made one: integers, flags, text, JSON, network lists."""

import json
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network
from typing import Any

import orjson

from migrations_center.sources.errors import SourceNumberTooLarge

LARGEST = 2**63 - 1


def as_int(value: Any, default: int = 0) -> int:
    """A whole number; NULL and what is no number give the default. Beyond 64 bits is an error, never a wrapped number."""
    if value is None:
        return default
    if isinstance(value, int):
        # A flag is a number too; exact integers, nearly all values, take no further step.
        number = value if type(value) is int else int(value)
    else:
        try:
            number = int(Decimal(as_text(value) if isinstance(value, bytes | str) else str(value)))
        except (InvalidOperation, ValueError, OverflowError):
            return default
    if abs(number) > LARGEST:
        raise SourceNumberTooLarge
    return number


def as_flag(value: Any) -> bool:
    """A boolean as SQLite (0/1 or text), MySQL (tinyint) and PostgreSQL give it; NULL is false."""
    if isinstance(value, bytes | str):
        return as_text(value).strip().lower() in ("1", "true", "t")
    return bool(value)


def as_text(value: Any) -> str:
    """Text without the blanks that ``char(n)`` pads with; BLOBs are read as UTF-8, NUL bytes are dropped."""
    if type(value) is str and value[-1:] != " " and "\x00" not in value:
        return value
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "replace")
    return str(value).replace("\x00", "").rstrip(" ")


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object from text, BLOB or a JSON column; empty for NULL, ``null``, broken text and anything but an object."""
    if isinstance(value, dict):
        return value
    text = as_text(value).strip()
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A JSON array, or an empty list."""
    if isinstance(value, list):
        return value
    try:
        found = json.loads(as_text(value) or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def split_names(value: Any) -> tuple[str, ...]:
    """Names from a comma-separated list: trimmed, empty ones dropped, each once, order kept."""
    return tuple(dict.fromkeys(name for part in as_text(value).split(",") if (name := part.strip())))


def as_networks(value: Any, separators: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Address lists as CIDR blocks, and the parts that are none. One address becomes a block of one.

    One API separates by commas, New API by lines and drops commas and blanks: with the wrong separator two blocks would
    fuse into nonsense, so the product's own rule is applied.
    """
    text = as_text(value)
    for separator in separators:
        text = text.replace(separator, "\n")
    good: dict[str, None] = {}
    bad: list[str] = []
    for line in text.split("\n"):
        part = line.replace(",", "").replace(" ", "").strip()
        if not part:
            continue
        try:
            good[str(ip_network(part, strict=False))] = None
        except ValueError:
            bad.append(part)
    return tuple(good), tuple(bad)
