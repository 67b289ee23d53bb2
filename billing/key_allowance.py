"""Tells the key pages what keys may spend and have spent; installed when the apps are ready."""

from collections.abc import Collection

from accounts.models import User
from billing.selectors.limits import key_totals, spent_by_keys
from billing.services.budgets import set_key_limit
from keys.allowance import Allowance
from keys.models import ApiKey


class AllowanceDesk:
    """Reads and sets what keys may spend in all."""

    def read(self, key_ids: Collection[int]) -> dict[int, Allowance]:
        found = {key_id: Allowance(None, spent) for key_id, spent in spent_by_keys(key_ids).items()}
        for key_id, state in key_totals(key_ids).items():
            found[key_id] = Allowance(state.limit_nano, state.spent_nano, state.held_nano)
        return found

    def set_limit(self, *, actor: User | None, key: ApiKey, limit_nano: int | None) -> None:
        set_key_limit(actor=actor, key=key, limit_nano=limit_nano)
