"""The only file that touches a clear key. A secret is kept as HMAC-SHA256 under a numbered pepper.

One normalisation serves old and new keys, the one of One API and New API: a leading ``Bearer`` and one leading ``sk-`` are
dropped, the first part up to ``-`` is the key, what follows was a channel pin for administrators (sources: their
authentication middleware). Keys issued here have no ``-`` after ``sk-``, so the same rule reads them.
"""

import hmac
import secrets
import string
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 48


@dataclass(slots=True)
class Presented:
    """A key as a client sent it, normalised; ``pin`` is the suffix after the first ``-`` or None."""

    bare: str
    pin: str | None

    def __repr__(self) -> str:
        return f"Presented(sk-...{self.bare[-4:]})"


@dataclass(frozen=True, slots=True)
class Digest:
    digest: bytes
    pepper_number: int
    tail: str


@lru_cache(maxsize=8)
def _peppers(raw: str) -> dict[int, bytes]:
    peppers = {}
    for pair in filter(None, (part.strip() for part in raw.split(","))):
        number, _, pepper = pair.partition(":")
        if not number.isdigit() or len(pepper) < 32:
            raise ImproperlyConfigured("KEY_PEPPERS must be number:secret pairs, each secret of 32 characters or more")
        peppers[int(number)] = pepper.encode()
    if not peppers:
        raise ImproperlyConfigured("KEY_PEPPERS is empty")
    return peppers


@lru_cache(maxsize=8)
def _newest_first(raw: str) -> tuple[bytes, ...]:
    return tuple(pepper for _number, pepper in sorted(_peppers(raw).items(), reverse=True))


def generate() -> str:
    """A new clear key, ``sk-`` and 48 characters (285 bits)."""
    return "sk-" + "".join(secrets.choice(ALPHABET) for _ in range(KEY_LENGTH))


def normalise(presented: str) -> Presented | None:
    """The key inside a header value (without the scheme word), or None when there is none."""
    bare, dash, pin = presented.strip().removeprefix("sk-").partition("-")
    if not bare or len(bare) > 128:
        return None
    return Presented(bare, pin if dash else None)


def digest_of(bare: str) -> Digest:
    """Digest under the newest pepper, for storing."""
    peppers = _peppers(settings.KEY_PEPPERS)
    number = max(peppers)
    return Digest(_hmac(peppers[number], bare), number, bare[-4:])


def candidate_digests(bare: str) -> list[bytes]:
    """Digests under every pepper, newest first, for looking up."""
    return [_hmac(pepper, bare) for pepper in _newest_first(settings.KEY_PEPPERS)]


def pepper_numbers() -> frozenset[int]:
    """The peppers this process has: secrets kept under another one are unknown to it."""
    return frozenset(_peppers(settings.KEY_PEPPERS))


def _hmac(pepper: bytes, bare: str) -> bytes:
    return hmac.digest(pepper, bare.encode(), "sha256")
