"""Groups of an old gateway: which exist, what they cost, and which a person may choose for a key."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from migrations_center.rulebook.figures import decimal_map
from migrations_center.sources.gateway import Snapshot
from migrations_center.sources.schema import NEW_API
from migrations_center.sources.values import as_list, as_object, as_text

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class GroupRules:
    """``ratios`` also says which groups exist; a group that is missing there counts as 1 where it is still served."""

    product: str
    ratios: dict[str, Decimal]
    pair_ratios: dict[tuple[str, str], Decimal]
    choosable: tuple[str, ...]
    special: dict[str, dict[str, str]]
    auto_order: tuple[str, ...]

    def usable_by(self, group: str) -> tuple[str, ...]:
        """Groups a person of ``group`` may pick for a key: the common list with the group's exceptions, and its own."""
        if self.product != NEW_API:
            return (group,)
        usable = dict.fromkeys(self.choosable)
        for rule, _text in self.special.get(group, {}).items():
            if rule.startswith("-:"):
                usable.pop(rule[2:], None)
            else:
                usable[rule.removeprefix("+:")] = None
        usable.setdefault(group, None)
        return tuple(usable)

    def auto_of(self, group: str, own: Iterable[str] = ()) -> tuple[str, ...]:
        """Groups that an automatic key of a person of ``group`` tries, in order."""
        usable = set(self.usable_by(group))
        return tuple(name for name in (tuple(own) or self.auto_order) if name in usable and name != AUTO)

    def exists(self, group: str) -> bool:
        return group in self.ratios

    def ratio(self, used: str, payer: str) -> tuple[Decimal, str]:
        """The factor for a call in group ``used`` by a person of ``payer``, and which rule gave it."""
        if (payer, used) in self.pair_ratios:
            return self.pair_ratios[(payer, used)], "pair"
        if used in self.ratios:
            return self.ratios[used], "group"
        return Decimal(1), "missing"


def group_rules(product: str, options: dict[str, str]) -> GroupRules:
    ratios = decimal_map(options.get("GroupRatio") or options.get("group_ratio_setting.group_ratio") or "")
    if not ratios:
        # Neither product saves a row until an administrator changes it; these three are in both products' code.
        ratios = {"default": Decimal(1), "vip": Decimal(1), "svip": Decimal(1)}
    if product != NEW_API:
        return GroupRules(product, ratios, {}, (), {}, ())
    pairs = {}
    raw = as_object(options.get("GroupGroupRatio") or options.get("group_ratio_setting.group_group_ratio"))
    for payer, row in raw.items():
        for used, ratio in (row if isinstance(row, dict) else {}).items():
            try:
                pairs[(payer, used)] = Decimal(str(ratio))
            except InvalidOperation:
                continue
    special = as_object(options.get("group_ratio_setting.group_special_usable_group"))
    choosable = as_object(options.get("UserUsableGroups")) or {"default": "", "vip": ""}
    auto = tuple(as_text(name) for name in as_list(options.get("AutoGroups"))) or ("default",)
    return GroupRules(
        product,
        ratios,
        pairs,
        tuple(choosable),
        {group: {as_text(k): as_text(v) for k, v in rule.items()} for group, rule in special.items() if isinstance(rule, dict)},
        auto,
    )


def group_names(snapshot: Snapshot, rules: GroupRules) -> list[str]:
    """Every group that is named anywhere: there is no table of groups."""
    names: dict[str, None] = dict.fromkeys(rules.ratios)
    names.update(dict.fromkeys(user.group for user in snapshot.users))
    names.update(dict.fromkeys(key.group for key in snapshot.keys))
    names.update(dict.fromkeys(group for channel in snapshot.channels for group in channel.groups))
    names.update(dict.fromkeys(rules.choosable))
    names.update(dict.fromkeys(group for pair in rules.pair_ratios for group in pair))
    return sorted(name for name in names if name and name != AUTO)
