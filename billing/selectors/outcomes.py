"""The billing rules by outcome: everybody's own, and for staff all of them."""

from accounts.models import User
from accounts.rights import require
from billing.models import OutcomeRuleSet
from billing.outcome_rules import OutcomeRules, OutcomeTable
from billing.services.outcomes import load_outcome_table

RIGHT = "prices.view"


def outcome_rules_for(person: User) -> OutcomeRules:
    """The table that the person's own calls are charged by."""
    group = person.billing_group
    return load_outcome_table().rules_for(group.code if group else "")


def outcome_table(actor: User) -> OutcomeTable:
    """The tables of everybody and of every group."""
    require(actor, RIGHT)
    return load_outcome_table()


def history_of(actor: User, group_code: str, limit: int = 20) -> list[OutcomeRuleSet]:
    """Versions of one table, the newest first."""
    require(actor, RIGHT)
    return list(OutcomeRuleSet.objects.filter(group_code=group_code).order_by("-number")[:limit])
