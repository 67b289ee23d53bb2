"""The effective state of a key. Its ``status`` column lags behind: time, allowance and the owner decide with it."""

from migrations_center.sources.records import (
    KEY_EXHAUSTED,
    KEY_EXPIRED,
    ROLE_ADMIN,
    STATUS_ENABLED,
    OldKey,
    OldUser,
)

# Reasons why a key is dead, in the order in which they are looked at. "" means that it works.
DELETED = "deleted_in_old"
OWNER_MISSING = "owner_missing"
OWNER_DELETED = "owner_deleted"
OWNER_DISABLED = "owner_disabled"
DISABLED = "disabled_in_old"
EXPIRED = "expired"
EXHAUSTED = "exhausted"


def is_expired(key: OldKey, now: int) -> bool:
    """-1 is never; 0 was stored by an update and means long ago."""
    return key.expired_time != -1 and key.expired_time < now


def is_exhausted(key: OldKey) -> bool:
    """A limited key without allowance. An unlimited key's remainder is meaningless, often negative."""
    return not key.is_unlimited and key.remain_quota <= 0


def dead_because(key: OldKey, owner: OldUser | None, now: int) -> str:
    """Why the key answers nothing, "" when it works."""
    if key.is_deleted:
        return DELETED
    if owner is None:
        return OWNER_MISSING
    if owner.is_deleted:
        return OWNER_DELETED
    if key.status == KEY_EXHAUSTED or (key.status == STATUS_ENABLED and is_exhausted(key)):
        return EXHAUSTED
    if key.status == KEY_EXPIRED or is_expired(key, now):
        return EXPIRED
    if key.status != STATUS_ENABLED:
        return DISABLED
    if not owner.is_enabled:
        return OWNER_DISABLED
    return ""


def may_pin(owner: OldUser | None) -> bool:
    """Only administrators could append a channel to their key; for everybody else such a suffix was refused."""
    return owner is not None and owner.role >= ROLE_ADMIN
