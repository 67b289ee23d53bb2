"""One lease as a relay counts it, in memory."""

import time
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

IDLE_SECONDS = 5.0

# The payer's number (a team's is negative), and whether it is test money.
Payer: TypeAlias = tuple[int, bool]


@dataclass(slots=True, eq=False)
class Loan:
    """One lease as the relay counts it: granted = spent + promised to calls that run + free."""

    id: UUID
    payer: Payer
    granted: int
    draw_until: float
    renew_at: float
    spent: int = 0
    promised: int = 0
    calls: int = 0
    # Calls that ended and whose end PostgreSQL does not have yet.
    unwritten: int = 0
    is_stopped: bool = False
    used_at: float = field(default_factory=time.monotonic)
    spent_at_renewal: int = 0
    # How far calls may go by what is on the disk (gateway.relay.lease_file).
    kept: int = 0

    @property
    def free(self) -> int:
        return self.granted - self.spent - self.promised

    @property
    def is_idle(self) -> bool:
        return not self.calls and time.monotonic() - self.used_at > IDLE_SECONDS

    def take(self, amount: int) -> None:
        self.promised += amount
        self.calls += 1
        self.used_at = time.monotonic()

    def end(self, amount: int, cost: int) -> None:
        """A call that was promised ``amount`` is over; the rest of it serves others."""
        self.promised -= amount
        self.spent += min(cost, amount)
        self.calls -= 1
        self.unwritten += 1
        self.used_at = time.monotonic()

    def undo(self, amount: int) -> None:
        """A call that was promised ``amount`` did not begin."""
        self.promised -= amount
        self.calls -= 1

    @classmethod
    def taken_up(cls, lease: str, payer: Payer, part: int, until: float) -> "Loan":
        """A part of a lease that another process was lent."""
        return cls(UUID(lease), payer, part, until, until)
