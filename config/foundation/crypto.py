"""Encryption of credentials at rest: Fernet with keys from ``FIELD_KEYS`` (newest first, so keys can be rotated)."""

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])


def seal(clear: str) -> bytes:
    return _cipher(tuple(settings.FIELD_KEYS)).encrypt(clear.encode())


def unseal(sealed: bytes) -> str:
    """The clear text; raises ``cryptography.fernet.InvalidToken`` when no configured key fits."""
    return _cipher(tuple(settings.FIELD_KEYS)).decrypt(bytes(sealed)).decode()
