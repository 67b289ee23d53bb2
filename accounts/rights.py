"""Who may do what, as one table: a right is a word, a role has a set of them."""

from accounts.models import Role, User
from config.foundation.errors import NotAllowed

RIGHTS: dict[str, frozenset[str]] = {
    "people.manage": frozenset({Role.ADMIN}),
    "people.view": frozenset({Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}),
    "teams.manage": frozenset({Role.ADMIN, Role.OPS}),
    "keys.manage": frozenset({Role.ADMIN, Role.OPS}),
    "keys.view": frozenset({Role.ADMIN, Role.OPS, Role.SUPPORT}),
    "policy.manage": frozenset({Role.ADMIN}),
    "policy.view": frozenset({Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}),
    "fences.manage": frozenset({Role.ADMIN, Role.OPS}),
    "fences.view": frozenset({Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}),
    "catalog.manage": frozenset({Role.ADMIN, Role.OPS}),
    "prices.manage": frozenset({Role.ADMIN, Role.FINANCE}),
    "prices.view": frozenset({Role.ADMIN, Role.OPS, Role.FINANCE}),
    "ledger.view": frozenset({Role.ADMIN, Role.FINANCE}),
    "ledger.adjust": frozenset({Role.ADMIN, Role.FINANCE}),
    "statements.issue": frozenset({Role.ADMIN, Role.FINANCE}),
    # A second person's yes to what somebody else asked for; nobody says it to themselves.
    "ledger.approve": frozenset({Role.ADMIN, Role.FINANCE}),
    "ledger.override": frozenset({Role.ADMIN}),
    "calls.search": frozenset({Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}),
    "calls.inner_route": frozenset({Role.ADMIN, Role.OPS}),
    # Creative tasks whose end nobody knows: what was delivered, or that nothing was.
    "tasks.decide": frozenset({Role.ADMIN, Role.OPS}),
    "fallbacks.view": frozenset({Role.ADMIN, Role.OPS, Role.FINANCE, Role.SUPPORT}),
    "fallbacks.manage": frozenset({Role.ADMIN, Role.OPS}),
    # Nobody approves what they wrote: see gateway.services.fallbacks.
    "fallbacks.approve": frozenset({Role.ADMIN, Role.OPS, Role.FINANCE}),
    "migrations.manage": frozenset({Role.ADMIN, Role.OPS}),
    "migrations.view": frozenset({Role.ADMIN, Role.OPS, Role.FINANCE, Role.SUPPORT}),
    "audit.view": frozenset({Role.ADMIN}),
    "planes.view": frozenset({Role.ADMIN, Role.OPS}),
    "planes.manage": frozenset({Role.ADMIN, Role.OPS}),
    "mail.view": frozenset({Role.ADMIN, Role.OPS}),
    "mail.manage": frozenset({Role.ADMIN, Role.OPS}),
    "alerts.view": frozenset({Role.ADMIN, Role.OPS, Role.FINANCE}),
    "alerts.manage": frozenset({Role.ADMIN, Role.OPS}),
    "reconcile.view": frozenset({Role.ADMIN, Role.FINANCE, Role.OPS}),
    "reconcile.decide": frozenset({Role.ADMIN, Role.FINANCE}),
}


def may(user: User | None, right: str) -> bool:
    return bool(user and user.is_authenticated and user.is_active and user.role in RIGHTS[right])


def require(user: User | None, right: str) -> None:
    if not may(user, right):
        raise NotAllowed
