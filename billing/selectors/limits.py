"""What may still be spent under each limit, and when the next window begins."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from accounts.models import Group, User
from accounts.rights import may
from billing.models import SpendLimit
from billing.services.budgets import may_limit
from config.foundation.clock import now
from config.foundation.errors import NotFound
from keys.models import ApiKey


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit in its running window. Nano-USD; ``resets_at`` is on the clock of ``time_zone``, None for a total."""

    limit_id: int
    scope: str
    span: str
    key_id: int | None
    user_id: int | None
    group_id: int | None
    limit_nano: int
    spent_nano: int
    held_nano: int
    resets_at: datetime | None
    time_zone: str

    @property
    def left_nano(self) -> int:
        return max(0, self.limit_nano - self.spent_nano - self.held_nano)

    @property
    def used_percent(self) -> int:
        """0 to 100, for a bar; 100 for a limit of nothing."""
        return max(0, min(100, self.spent_nano * 100 // self.limit_nano)) if self.limit_nano else 100


def limits_of(
    actor: User | None,
    *,
    key: ApiKey | None = None,
    user: User | None = None,
    group: Group | None = None,
    at: datetime | None = None,
) -> list[LimitState]:
    """The limits set on a key, a person, a team, or (``group`` and ``user``) a member; total, month, day.

    For whom it is about, who may set it, and staff who see keys or the ledger; anybody else gets NotFound.
    """
    if not _may_see(actor, key, user, group):
        raise NotFound
    where = "l.key_id IS NOT DISTINCT FROM %s AND l.user_id IS NOT DISTINCT FROM %s AND l.group_id IS NOT DISTINCT FROM %s"
    return _states(where, [key and key.pk, user and user.pk, group and group.pk], at)


def member_limits(actor: User | None, group: Group, at: datetime | None = None) -> list[LimitState]:
    """The limits of every member of a team, by member; for its owners and staff."""
    if not (may_limit(actor, user=actor, group=group) or may(actor, "keys.view") or may(actor, "ledger.view")):
        raise NotFound
    return _states("l.scope = 'member' AND l.group_id = %s", [group.pk], at)


def limits_of_call(key: ApiKey, at: datetime | None = None) -> list[LimitState]:
    """Every limit a call of this key has to fit in, whoever set it. No rights are looked at: ask for keys the actor may see."""
    where = "l.id IN (SELECT x.id FROM billing_limits_on(%s, %s, %s, %s) x)"
    payer = None if key.team_id is not None else key.owner_id
    return _states(where, [key.pk, key.member_id, key.team_id, payer], at)


def states_at_home(person: User) -> list[LimitState]:
    """Limits on a person and on the person as a member of teams."""
    return _states("l.user_id = %s AND l.key_id IS NULL", [person.pk], None)


def key_totals(key_ids: Collection[int]) -> dict[int, LimitState]:
    """The limit in all of each key that has one. No rights are looked at."""
    states = _states("l.key_id = ANY(%s) AND l.span = 'total'", [list(key_ids)], None)
    return {state.key_id: state for state in states if state.key_id is not None}


def state_of(limit: SpendLimit) -> LimitState:
    """One limit as it stands now. No rights are looked at."""
    return _states("l.id = %s", [limit.pk], None)[0]


def spent_by_keys(key_ids: Collection[int]) -> dict[int, int]:
    """What keys have spent here in all, by id: the daily counts and what is not folded into them yet."""
    with connection.cursor() as cursor:
        cursor.execute(_SPENT, {"ids": list(key_ids)})
        return {key_id: int(spent) for key_id, spent in cursor.fetchall()}


_SPENT = """
SELECT key_id, sum(cost_nano) FROM (
    SELECT key_id, cost_nano FROM billing_usagekeydaily WHERE key_id = ANY(%(ids)s) AND origin = 'relay'
    UNION ALL
    SELECT key_id, cost_nano FROM billing_usagedelta WHERE key_id = ANY(%(ids)s) AND origin = 'relay'
) both_parts GROUP BY key_id
"""

# A window nobody has called in yet has no row: nothing is spent in it.
_STATES = """
SELECT l.id, l.scope, l.span, l.key_id, l.user_id, l.group_id, l.limit_nano, coalesce(w.spent_nano, 0),
    coalesce(w.held_nano, 0), billing_window_end(l.span, l.time_zone, %s), l.time_zone
FROM billing_spendlimit l
LEFT JOIN billing_spendwindow w ON w.limit_id = l.id AND w.starts_at = billing_window_start(l.span, l.time_zone, %s)
WHERE {where}
ORDER BY array_position('{{key,member,group,person}}', l.scope::text), l.user_id,
    array_position('{{total,monthly,daily}}', l.span::text), l.id
"""


def _states(where: str, values: list[Any], at: datetime | None) -> list[LimitState]:
    moment = at or now()
    with connection.cursor() as cursor:
        cursor.execute(_STATES.format(where=where), [moment, moment, *values])
        return [_state(*row) for row in cursor.fetchall()]


def _state(
    limit_id: int,
    scope: str,
    span: str,
    key_id: int | None,
    user_id: int | None,
    group_id: int | None,
    limit_nano: int,
    spent_nano: int,
    held_nano: int,
    resets_at: datetime | None,
    zone: str,
) -> LimitState:
    begins = resets_at.astimezone(ZoneInfo(zone)) if resets_at else None
    return LimitState(limit_id, scope, span, key_id, user_id, group_id, limit_nano, spent_nano, held_nano, begins, zone)


def _may_see(actor: User | None, key: ApiKey | None, user: User | None, group: Group | None) -> bool:
    if may_limit(actor, key=key, user=user, group=group) or may(actor, "keys.view") or may(actor, "ledger.view"):
        return True
    if actor is None:
        return False
    if user is not None:
        return user.pk == actor.pk
    return group is not None and group.memberships.filter(user=actor).exists()
