"""What a key may spend, asked for and set without knowing billing, which lives one floor up and installs itself here."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from accounts.models import User
from keys.models import ApiKey


@dataclass(frozen=True, slots=True)
class Allowance:
    """Nano-USD. ``limit_nano`` None: as much as the payer's balance."""

    limit_nano: int | None = None
    spent_nano: int = 0
    held_nano: int = 0

    @property
    def left_nano(self) -> int | None:
        return None if self.limit_nano is None else max(0, self.limit_nano - self.spent_nano - self.held_nano)

    @property
    def used_percent(self) -> int:
        """0 to 100, for a bar; 100 for a limit of nothing."""
        if not self.limit_nano:
            return 100 if self.limit_nano == 0 else 0
        return max(0, min(100, self.spent_nano * 100 // self.limit_nano))


class Desk(Protocol):
    """Reads allowances of many keys at once and sets one."""

    def read(self, key_ids: Collection[int]) -> dict[int, Allowance]: ...

    def set_limit(self, *, actor: User | None, key: ApiKey, limit_nano: int | None) -> None: ...


_desks: list[Desk] = []


def install(desk: Desk) -> None:
    """Make ``desk`` the one that answers."""
    _desks[:] = [desk]


def read(key_ids: Collection[int]) -> dict[int, Allowance]:
    """Allowances by key id; a key without one is missing."""
    return _desks[0].read(key_ids) if _desks and key_ids else {}


def set_limit(*, actor: User | None, key: ApiKey, limit_nano: int | None) -> None:
    """Set what the key may spend in all, None for no limit of its own."""
    if _desks:
        _desks[0].set_limit(actor=actor, key=key, limit_nano=limit_nano)
