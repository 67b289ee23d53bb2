"""What people had at an old gateway, asked for without knowing imports, which live above and subscribe here."""

from collections.abc import Callable
from dataclasses import dataclass

from accounts.models import User


@dataclass(frozen=True, slots=True)
class OldBalance:
    """One old account of a person: ``units`` as the old gateway counted them, ``units_per_usd`` as it was set there."""

    source: str
    units: int
    units_per_usd: str


Reader = Callable[[User], list[OldBalance]]
_readers: list[Reader] = []


def subscribe(reader: Reader) -> None:
    if reader not in _readers:
        _readers.append(reader)


def old_balances(user: User) -> list[OldBalance]:
    """Every old account of the person; empty for who never had one."""
    return [balance for reader in _readers for balance in reader(user)]
