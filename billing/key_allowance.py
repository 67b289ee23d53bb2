"""Tells the key pages what keys may spend and have spent; installed when the apps are ready."""

from collections.abc import Collection

from accounts.models import User
from billing.models import KeyBudget
from billing.services.budgets import set_key_limit
from keys.allowance import Allowance
from keys.models import ApiKey


class AllowanceDesk:
    """Reads and sets the allowances of ``KeyBudget``."""

    def read(self, key_ids: Collection[int]) -> dict[int, Allowance]:
        rows = KeyBudget.objects.filter(key_id__in=key_ids).values_list("key_id", "limit_nano", "spent_nano", "held_nano")
        return {key_id: Allowance(limit, spent, held) for key_id, limit, spent, held in rows}

    def set_limit(self, *, actor: User | None, key: ApiKey, limit_nano: int | None) -> None:
        set_key_limit(actor=actor, key=key, limit_nano=limit_nano)
