"""Price tiers, tiers of single models, and fences of groups: every write to them."""

from collections.abc import Iterable, Mapping

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Group, User
from accounts.rights import require
from accounts.services import audit
from billing.models import GroupFence, ModelTier, PriceTier
from billing.pricing.tiers import HIGHEST_TIER
from config.foundation.errors import InvalidInput
from models_catalog.models import AIModel

RIGHT = "fences.manage"
MOST_NANO = 10**15


@transaction.atomic
def set_price_tiers(*, actor: User | None, starts: Mapping[int, int]) -> None:
    """Replace where tiers 2 and up begin: number -> nano-USD of a reference call. A higher tier begins higher."""
    if actor is not None:
        require(actor, RIGHT)
    ordered = sorted(starts.items())
    for number, nano in ordered:
        if not 2 <= number <= HIGHEST_TIER or not 0 < nano <= MOST_NANO:
            raise InvalidInput(_("A tier has a number from 2 to 9 and begins above nothing."), field=f"tier_{number}")
    for (_lower, low), (number, high) in zip(ordered, ordered[1:], strict=False):
        if high <= low:
            raise InvalidInput(_("A higher tier must begin at a higher price than the one below it."), field=f"tier_{number}")
    before = dict(PriceTier.objects.values_list("number", "from_nano"))
    if before == dict(ordered):
        return
    PriceTier.objects.all().delete()
    made = PriceTier.objects.bulk_create([PriceTier(number=number, from_nano=nano) for number, nano in ordered])
    audit.record(
        actor=actor,
        action="price_tiers.set",
        target=made[0] if made else PriceTier(number=0),
        before={str(number): nano for number, nano in before.items()},
        after={str(number): nano for number, nano in ordered},
        label="price tiers",
    )


@transaction.atomic
def set_model_tier(*, actor: User | None, model: AIModel, number: int | None) -> None:
    """Say the tier of a model outright; None: by its price."""
    if actor is not None:
        require(actor, RIGHT)
    if number is not None and not 1 <= number <= HIGHEST_TIER:
        raise InvalidInput(_("A tier has a number from 1 to 9."), field="number")
    before = ModelTier.objects.filter(model=model).values_list("number", flat=True).first()
    if before == number:
        return
    if number is None:
        ModelTier.objects.filter(model=model).delete()
    else:
        ModelTier.objects.update_or_create(model=model, defaults={"number": number})
    audit.record(actor=actor, action="model.tier", target=model, before={"tier": before}, after={"tier": number})


@transaction.atomic
def set_group_fence(
    *, actor: User | None, group: Group, highest_tier: int | None, also_allowed: Iterable[str] = ()
) -> GroupFence | None:
    """The highest tier a group may call and models it may call beyond it; None takes the fence away.

    Raises InvalidInput for a tier out of range or a model that does not exist. Relays obey within a second.
    """
    if actor is not None:
        require(actor, RIGHT)
    names = sorted({name.strip() for name in also_allowed if name.strip()})
    if highest_tier is not None and not 1 <= highest_tier <= HIGHEST_TIER:
        raise InvalidInput(_("A tier has a number from 1 to 9."), field="highest_tier")
    known = set(AIModel.objects.filter(name__in=names).values_list("name", flat=True))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInput(_("There is no model “%(name)s”.") % {"name": unknown[0][:100]}, field="also_allowed")
    old = GroupFence.objects.filter(group=group).first()
    before = {"highest_tier": old.highest_tier, "also_allowed": old.also_allowed} if old else {}
    after = {} if highest_tier is None else {"highest_tier": highest_tier, "also_allowed": names}
    if before == after:
        return old
    fence: GroupFence | None = None
    if highest_tier is None:
        GroupFence.objects.filter(group=group).delete()
    else:
        fence, _is_new = GroupFence.objects.update_or_create(group=group, defaults=after)
    audit.record(actor=actor, action="group.fence", target=group, before=before, after=after)
    return fence
