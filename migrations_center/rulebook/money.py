"""What of a person's amounts is money of theirs. All amounts are units of the old gateway, signed."""

from dataclasses import dataclass

from migrations_center.sources.records import CODE_UNUSED, CODE_USED, ROLE_ROOT, OldCode, OldSubscription, OldUser
from migrations_center.sources.schema import NEW_API

# What the products give their first administrator at the start; nobody paid for it.
PRESET_GRANTS = {"one_api": 500_000_000_000_000, "new_api": 100_000_000}


@dataclass(frozen=True, slots=True)
class Purses:
    """One person's amounts by purse, and what stays outside by name."""

    balance: int
    bonus: int
    subscription: int
    preset_grant: int


def preset_grant(user: OldUser, product: str, first_root_id: int | None) -> int:
    """The part of the first administrator's balance that is the product's own gift; never more than what is left of it."""
    grant = PRESET_GRANTS[product]
    if user.id != first_root_id or user.role < ROLE_ROOT or user.quota <= 0:
        return 0
    # He who holds and has used less than the gift did not get it: an administrator set his balance anew.
    if user.quota + user.used_quota < grant:
        return 0
    return min(user.quota, grant)


def first_root(users: list[OldUser]) -> int | None:
    return min((user.id for user in users if user.role >= ROLE_ROOT), default=None)


def subscription_rest(subscription: OldSubscription, now: int) -> tuple[int, str]:
    """Units left of a running subscription, or 0 and why nothing is carried."""
    if subscription.status != "active":
        return 0, "subscription_ended"
    if subscription.end_time and subscription.end_time < now:
        return 0, "subscription_over"
    if subscription.amount_total == 0:
        return 0, "subscription_unlimited"
    return max(subscription.amount_total - subscription.amount_used, 0), ""


def code_promise(code: OldCode, now: int) -> tuple[int, str]:
    """Units promised to whoever holds the code, or 0 and why it is no promise any more."""
    if code.is_deleted:
        return 0, "code_deleted"
    if code.status != CODE_UNUSED:
        return 0, "code_used" if code.status == CODE_USED else "code_disabled"
    if code.expired_time and code.expired_time < now:
        return 0, "code_expired"
    return max(code.quota, 0), ""


def has_subscriptions(product: str) -> bool:
    return product == NEW_API
