"""Rules beside rights: which price tiers a group may call, and which money a team may spend. Pure functions of values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from billing.pricing import Price
from billing.pricing.tiers import reference_nano, tier_of_price
from gateway.contract import denials
from gateway.contract.types import Denial, KeyView

TEST = "test"
PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Fence:
    """The highest tier of a group, and models it may call beyond it."""

    highest_tier: int
    also_allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessRules:
    """``tiers`` are (number, from nano-USD); ``team_money`` by the id of a team, ``other_teams`` for those not in it."""

    tiers: tuple[tuple[int, int], ...] = ()
    model_tiers: Mapping[str, int] = field(default_factory=dict)
    fences: Mapping[str, Fence] = field(default_factory=dict)
    team_money: Mapping[int, str] = field(default_factory=dict)
    other_teams: str = "any"
    # Tiers that were worked out, by price version and model: a rules value lives as long as its snapshot.
    _known: dict[tuple[int, str], int] = field(default_factory=dict, repr=False, compare=False)

    def tier_of(self, model_name: str, price: Price) -> int:
        """The tier said outright, or the one of the model's price."""
        said = self.model_tiers.get(model_name)
        if said is not None:
            return said
        known = self._known.get((price.version_id, price.model_name))
        if known is None:
            known = self._known[(price.version_id, price.model_name)] = tier_of_price(reference_nano(price), self.tiers)
        return known

    def refused_tier(self, group_codes: Iterable[str], model_name: str, asked: str, price: Price) -> Denial | None:
        """The refusal of a model that is dearer than one of these groups may call."""
        for code in group_codes:
            fence = self.fences.get(code)
            if fence is not None and model_name not in fence.also_allowed:
                tier = self.tier_of(model_name, price)
                if tier > fence.highest_tier:
                    return denials.tier_not_allowed(asked, tier, fence.highest_tier)
        return None

    def refused_money(self, key: KeyView) -> Denial | None:
        """The refusal of a key whose purpose spends what its team may not."""
        if key.team_id is None:
            return None
        money = self.team_money.get(key.team_id, self.other_teams)
        if money == TEST and key.purpose != TEST:
            return denials.PRODUCTION_NOT_ALLOWED
        if money == PRODUCTION and key.purpose == TEST:
            return denials.TEST_KEY_NOT_ALLOWED
        return None
