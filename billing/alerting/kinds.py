"""What each kind of alert is like: direction, first thresholds, whether its end is told, and whom it concerns by role."""

from dataclasses import dataclass

from accounts.models import Role
from billing.alerting.crossing import Direction
from billing.models import AlertChoice, AlertKind

USD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KindFacts:
    """``tells_end``: a recovery is worth a message. ``roles``: staff who get it by mail unless they choose otherwise."""

    direction: Direction
    thresholds: tuple[int, ...]
    tells_end: bool = False
    roles: frozenset[str] = frozenset()


FACTS: dict[str, KindFacts] = {
    AlertKind.BALANCE_LOW: KindFacts("down", (USD,), tells_end=True),
    AlertKind.LIMIT_USE: KindFacts("up", (80, 100)),
    # Times the usual.
    AlertKind.ODD_SPEND: KindFacts("up", (4,)),
    AlertKind.UNPRICED_MODEL: KindFacts("up", (1,), roles=frozenset({Role.ADMIN, Role.OPS, Role.FINANCE})),
    AlertKind.OLD_HOLDS: KindFacts("up", (1,), tells_end=True, roles=frozenset({Role.ADMIN, Role.OPS})),
    AlertKind.DELIVERY_FAILING: KindFacts("up", (1,), tells_end=True, roles=frozenset({Role.ADMIN, Role.OPS})),
    AlertKind.DIFFERENCE: KindFacts("up", (1,), tells_end=True, roles=frozenset({Role.ADMIN, Role.FINANCE})),
}
DIGEST_ROLES = frozenset({Role.ADMIN})


def wants_by_role(kind: str, role: str) -> bool:
    """Whether a member of staff gets mails of this kind without having chosen. Owners of a team get those of the team."""
    if kind == AlertChoice.DIGEST:
        return role in DIGEST_ROLES
    return role in FACTS[kind].roles
