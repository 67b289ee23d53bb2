"""People with money, and calls, for the tests of the ledger."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import Role, User
from billing.invariants import check_all
from billing.models import AdjustmentRequest, CurrencyConversion, LedgerAccount
from billing.selectors.limits import limits_of
from billing.services import ledger
from billing.services.conversions import convert
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey


def person(name: str = "ada", role: str = Role.USER, **more: Any) -> User:
    staff = role in {Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE}
    return User.objects.create_user(username=name, role=role, is_staff=staff, **more)


def key_of(user: User, name: str = "key") -> ApiKey:
    return ApiKey.objects.create(name=name, owner=user)


def counted(**target: Any) -> tuple[int, int]:
    """(spent, held) in the running window of the only limit on a key, person or team."""
    (state,) = limits_of(None, **target)
    return state.spent_nano, state.held_nano


def give(purse: LedgerAccount, amount: int) -> LedgerAccount:
    cash = ledger.house_account("cash")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, amount)])
    purse.refresh_from_db()
    return purse


def converted(actor: User, **wanted: Any) -> CurrencyConversion:
    """A conversion that a second person approved."""
    second, _made = User.objects.get_or_create(username="second", defaults={"role": Role.FINANCE, "is_staff": True})
    approval = AdjustmentRequest.objects.create(
        kind="conversion",
        state="done",
        amount_nano=wanted["amount_nano"],
        reason="asked",
        requested_by=actor,
        decided_by=second,
        decided_at=now(),
    )
    return convert(actor=actor, approval=approval, **wanted)


def rich(name: str = "ada", amount: int = 1000) -> tuple[User, LedgerAccount]:
    user = person(name)
    return user, give(ledger.purse_for(user=user), amount)


def wants(user: User, amount: int, *, key: ApiKey | None = None, call: UUID | None = None, seconds: int = 300, **context: Any):
    expires = now() + timedelta(seconds=seconds)
    return ledger.ReserveRequest(call or uuid7(), user.pk, None, key.pk if key else None, amount, expires, context)


def hold(user: User, amount: int, **more: Any) -> ledger.ReserveResult:
    (answer,) = ledger.reserve([wants(user, amount, **more)])
    return answer


def end(call: UUID, cost: int, *, has_hold: bool = True, **log: Any) -> ledger.CallResult:
    (answer,) = ledger.record_calls([ledger.CallEvent(call, cost, has_hold, "", {"outcome": "ok", **log})])
    return answer


def figures(purse: LedgerAccount) -> tuple[int, int]:
    """(balance, held) as the database has them now."""
    return LedgerAccount.objects.values_list("balance_nano", "held_nano").get(pk=purse.pk)


def broken(at: datetime | None = None) -> dict[str, list[tuple[str, str]]]:
    """The invariants that do not hold."""
    return {finding.code: finding.examples for finding in check_all(at) if finding.breaches}


def plan_without(*ways: str) -> None:
    """From here to the end of this transaction the database joins and reads without these ("nestloop", "hashjoin"): which plan
    it takes depends on statistics that are nobody's to choose, and no sum may depend on the plan."""
    with connection.cursor() as cursor:
        # Functions of this connection have plans of their own already.
        cursor.execute("DISCARD PLANS")
        for way in ways:
            cursor.execute(f"SET LOCAL enable_{way} = off")
