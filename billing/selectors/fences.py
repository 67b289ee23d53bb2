"""Price tiers of models and fences of groups, as staff see them."""

from dataclasses import dataclass

from accounts.models import Group, User
from accounts.rights import require
from billing.models import GroupFence, ModelTier, PriceTier
from billing.pricing.tiers import reference_nano, tier_of_price
from billing.services.prices import load_table
from config.foundation.clock import now
from config.foundation.errors import NotFound
from models_catalog.models import AIModel


@dataclass(frozen=True, slots=True)
class TieredModel:
    """``nano``: the price of a reference call in the dearest price book, None when none has one that can be computed."""

    model: AIModel
    nano: int | None
    tier: int
    is_said: bool


@dataclass(frozen=True, slots=True)
class FencedGroup:
    """A group with its fence, if any, and how many of the models open to it the fence stops."""

    group: Group
    fence: GroupFence | None
    open_count: int
    stopped: tuple[str, ...]


def price_tiers(actor: User) -> list[tuple[int, int]]:
    """(number, nano-USD from which it begins), the lowest first."""
    require(actor, "fences.view")
    return list(PriceTier.objects.values_list("number", "from_nano"))


class _Tiers:
    """Tiers as the relay works them out: by the price book of the payer's group, unless one is said outright."""

    def __init__(self, actor: User) -> None:
        self.tiers = price_tiers(actor)
        self.said = dict(ModelTier.objects.values_list("model_id", "number"))
        self.table, self.moment = load_table(), now()
        self._known: dict[tuple[int, str], int | None] = {}

    def nano(self, model: AIModel, group_code: str) -> int | None:
        price = self.table.price_for(
            model_name=model.name, payer_group_code=group_code, used_group_code=group_code, at=self.moment
        )
        if price is None:
            return None
        key = (price.version_id, model.name)
        if key not in self._known:
            self._known[key] = reference_nano(price)
        return self._known[key]

    def of(self, model: AIModel, group_code: str) -> int:
        said = self.said.get(model.pk)
        return said if said is not None else tier_of_price(self.nano(model, group_code), self.tiers)

    def dearest(self, model: AIModel) -> int | None:
        found = [self.nano(model, code) for code in ("", *self.table.group_books)]
        return max((nano for nano in found if nano is not None), default=None)


def tiered_models(actor: User) -> list[TieredModel]:
    """Every active model with its tier by its dearest price, the dearest first."""
    tiers = _Tiers(actor)
    found = []
    for model in AIModel.objects.filter(is_active=True).order_by("name"):
        nano = tiers.dearest(model)
        said = tiers.said.get(model.pk)
        found.append(TieredModel(model, nano, said or tier_of_price(nano, tiers.tiers), said is not None))
    return sorted(found, key=lambda one: (-one.tier, -(one.nano or 0), one.model.name))


def fenced_groups(actor: User) -> list[FencedGroup]:
    """Every group with what its fence stops of the models that are open to it, those with a fence first."""
    tiers = _Tiers(actor)
    fences = {fence.group_id: fence for fence in GroupFence.objects.all()}
    models = list(AIModel.objects.filter(is_active=True).prefetch_related("access").order_by("name"))
    access = {model.pk: {row.group_code for row in model.access.all()} for model in models}
    found = []
    for group in Group.objects.filter(is_active=True):
        fence = fences.get(group.pk)
        opened = [model for model in models if access[model.pk] & {group.code, "*"}]
        stopped = [
            model.name
            for model in opened
            if fence and model.name not in fence.also_allowed and tiers.of(model, group.code) > fence.highest_tier
        ]
        found.append(FencedGroup(group, fence, len(opened), tuple(stopped)))
    return sorted(found, key=lambda one: (one.fence is None, one.group.code))


def group_to_fence(actor: User, group_id: int) -> tuple[Group, GroupFence | None]:
    require(actor, "fences.manage")
    group = Group.objects.filter(pk=group_id).first()
    if group is None:
        raise NotFound
    return group, GroupFence.objects.filter(group=group).first()


def model_to_tier(actor: User, model_id: int) -> tuple[AIModel, int | None]:
    require(actor, "fences.manage")
    model = AIModel.objects.filter(pk=model_id).first()
    if model is None:
        raise NotFound
    return model, ModelTier.objects.filter(model=model).values_list("number", flat=True).first()
