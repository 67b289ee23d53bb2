"""Groups, models, names and prices as they shall be here. No writes."""

from dataclasses import dataclass, field

from migrations_center.rulebook import groups as group_rules
from migrations_center.rulebook.abilities import upstream_name
from migrations_center.rulebook.catalog import provider_of
from migrations_center.rulebook.groups import AUTO
from migrations_center.rulebook.prices import ModelPrice
from migrations_center.services.apply.carry import Carried
from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.portal import KnownRow
from migrations_center.services.apply.tally import CREATED, UNCHANGED, UPDATED
from migrations_center.sources.records import OldChannel
from migrations_center.sources.schema import NEW_API

CHANNELS = "channels"
SAME, ALIAS, RETIRED = "same", "alias", "retired"


@dataclass(frozen=True, slots=True)
class GroupPlan:
    name: str
    code: str
    is_active: bool
    usable_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamePlan:
    """A line of the name map. ``target`` "" for a retired name."""

    old_name: str
    kind: str
    target: str
    bill_as_called: bool
    reason: str


@dataclass(frozen=True)
class CatalogPlan:
    groups: list[GroupPlan]
    # Callable names and the group codes that may call them.
    access: dict[str, frozenset[str]]
    # Callable name -> name at an upstream that serves everything.
    upstream_names: dict[str, str]
    channels: list[OldChannel]
    names: list[NamePlan]
    prices: dict[str, ModelPrice]
    multipliers: dict[tuple[str, str], str] = field(default_factory=dict)


def plan_catalog(context: ImportContext, log_names: set[str]) -> CatalogPlan:
    access = {
        asked: frozenset(context.group_code(group) for group, models in context.matrix.items() if asked in models)
        for asked in context.targets
    }
    names = _names(context, access, log_names)
    aliases = {line.old_name for line in names if line.kind == ALIAS}
    targets = {asked: next(iter(found)) for asked, found in context.targets.items()}
    for asked, found in context.targets.items():
        if len(found) > 1:
            context.tally.differ(CHANNELS, "name_leads_to_several", label=asked, targets=sorted(found), taken=targets[asked])
    callable_names = {asked: codes for asked, codes in access.items() if asked not in aliases}
    return CatalogPlan(
        groups=_groups(context),
        access=callable_names,
        upstream_names={asked: targets[asked] for asked in callable_names},
        channels=_channels(context),
        names=names,
        prices=_prices(context, targets, names),
        multipliers=_multipliers(context),
    )


def _groups(context: ImportContext) -> list[GroupPlan]:
    plans = []
    for name in group_rules.group_names(context.snapshot, context.groups):
        usable = [group for group in context.groups.usable_by(name) if group not in (AUTO, name)]
        # An automatic key tries groups in this order, so the old order comes first.
        order = {group: place for place, group in enumerate(context.groups.auto_order)}
        usable.sort(key=lambda group: order.get(group, len(order)))
        exists = context.groups.exists(name)
        plans.append(GroupPlan(name, context.group_code(name), exists, tuple(context.group_code(group) for group in usable)))
        if not exists:
            served = name in context.matrix
            context.tally.differ("groups", "group_without_ratio", label=name, is_served=served)
    return plans


def _names(context: ImportContext, access: dict[str, frozenset[str]], log_names: set[str]) -> list[NamePlan]:
    """One line for every name found in channels, key lists and log rows: callable as it is, led to another, or retired."""
    named = set(log_names)
    named |= {model for channel in context.snapshot.channels for model in channel.models}
    named |= {model for key in context.snapshot.keys for model in key.models or ()}
    lines = []
    for name in sorted(filter(None, named)):
        targets = context.targets.get(name)
        if context.portal.foreign_names.get(name, name) != name:
            leads = context.portal.foreign_names[name]
            context.tally.differ("name_map", "name_mapped_elsewhere", label=name, target=leads)
        if not targets:
            lines.append(NamePlan(name[:255], RETIRED, "", True, "no enabled channel serves it"))
            continue
        target = next(iter(targets))
        if target == name:
            lines.append(NamePlan(name, SAME, name, True, ""))
        elif len(targets) == 1 and access.get(target) == access[name] and _may_lead(context, name, target):
            bills_called = context.product != NEW_API
            lines.append(NamePlan(name, ALIAS, target, bills_called, "mapped by a channel of the old gateway"))
        else:
            # The two names were open to different groups, so leading one to the other would change who may call what.
            lines.append(NamePlan(name, SAME, name, True, f"the upstream calls it {target}"))
    return lines


def _may_lead(context: ImportContext, name: str, target: str) -> bool:
    """The target is served under its own name, and nobody else here knows ``name`` as a model or an old name of theirs."""
    is_served = target in context.targets.get(target, {})
    return is_served and name not in context.portal.foreign_models and name not in context.portal.foreign_names


def _channels(context: ImportContext) -> list[OldChannel]:
    """Channels that land as upstreams; with an upstream named by the operator they stay outside."""
    tally = context.tally
    tally.table(CHANNELS).read = len(context.snapshot.channels)
    if context.options.upstream:
        tally.leave(CHANNELS, "served_by_named_upstream", count=len(context.snapshot.channels))
        return []
    return list(context.snapshot.channels)


def _prices(context: ImportContext, targets: dict[str, str], names: list[NamePlan]) -> dict[str, ModelPrice]:
    """Prices by the name billed here. One API bills the mapped name: an asked name of its own gets its target's price."""
    found: dict[str, ModelPrice] = dict(context.prices.prices)
    if context.product != NEW_API:
        for asked, target in targets.items():
            if target != asked and target in context.prices.prices:
                found[asked] = context.prices.prices[target]
            elif target != asked:
                found.pop(asked, None)
    served = set(targets)
    for name, reason in context.prices.unpriced.items():
        if name in served and name not in found:
            context.tally.decide("options", reason, label=name)
    for name, price in sorted(found.items()):
        for note in price.notes:
            context.tally.differ("options", note, label=name, figures=dict(price.figures))
    return found


def _multipliers(context: ImportContext) -> dict[tuple[str, str], str]:
    rules = context.groups
    found = {(context.group_code(group), ""): format(ratio, "f") for group, ratio in rules.ratios.items()}
    for (payer, used), ratio in rules.pair_ratios.items():
        found[(context.group_code(used), context.group_code(payer))] = format(ratio, "f")
    return found


def address_of(channel: OldChannel, product: str) -> str:
    """Where the channel calls: its own address, or the one its type is known for."""
    return channel.base_url or provider_of(product, channel.type).default_address


def carried_channel(context: ImportContext, channel: OldChannel) -> Carried:
    """The upstream that a channel becomes. Its credential is not among the carried fields."""
    served = {name: upstream_name(channel, name, context.product) for name in channel.models}
    return Carried(
        {
            "name": (channel.name or f"channel {channel.id}")[:191],
            "base_url": address_of(channel, context.product),
            "group_codes": [context.group_code(group) for group in channel.groups],
            "priority": max(min(channel.priority, 2**31 - 1), -(2**31)),
            "weight": max(min(channel.weight, 2**31 - 1), 0) or 1,
            "is_enabled": channel.is_enabled,
            "served": {name: target for name, target in served.items() if target},
        }
    )


def channel_outcome(context: ImportContext, channel: OldChannel, known: KnownRow | None) -> str:
    if known is None:
        return CREATED
    return UNCHANGED if known.digest == carried_channel(context, channel).digest() else UPDATED
