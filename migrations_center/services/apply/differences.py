"""For every key and model: what the old gateway answered and what follows here. What differs is listed with its reason."""

from collections import defaultdict
from dataclasses import dataclass

from keys.models import ApiKey
from migrations_center.rulebook import rights
from migrations_center.rulebook.keys import is_expired
from migrations_center.services.apply.context import ImportContext
from migrations_center.services.apply.plan_catalog import ALIAS, CatalogPlan
from migrations_center.services.apply.plan_keys import KeyPlan
from migrations_center.sources.records import OldKey
from migrations_center.sources.schema import NEW_API

# Facts about a whole product that hold for each of its keys: they are listed once an import.
_ALWAYS = ("statuses_differ", "more_headers_accepted", "addresses_of_proxies_not_believed")
_PER_PRODUCT = {"one_api": ("small_bearer_accepted",), NEW_API: ("missing_owner_is_401",)}


@dataclass(frozen=True, slots=True)
class PortalRules:
    """What the unified entry will look at, from the plan."""

    access: dict[str, frozenset[str]]
    aliases: dict[str, str]
    billed: dict[str, str]
    priced: frozenset[str]
    # Names that cost nothing: they are served whatever the balance.
    free: frozenset[str]
    usable: dict[str, frozenset[str]]
    active: frozenset[str]


def portal_rules(catalog: CatalogPlan) -> PortalRules:
    aliases = {line.old_name: line.target for line in catalog.names if line.kind == ALIAS}
    return PortalRules(
        access=catalog.access,
        aliases=aliases,
        billed={line.old_name: line.target if line.bill_as_called else line.old_name for line in catalog.names if line.target},
        priced=frozenset(catalog.prices),
        free=frozenset(name for name, price in catalog.prices.items() if price.is_free),
        usable={group.code: frozenset(group.usable_codes) for group in catalog.groups},
        active=frozenset(group.code for group in catalog.groups if group.is_active),
    )


def portal_answer(rules: PortalRules, plan: KeyPlan | None, model: str, now: int, balance_nano: int) -> rights.Answer:
    """What the unified entry answers once the key is served here and its upstream works; networks are left out of account."""
    if plan is None:
        return rights.Answer(401, "unknown_key")
    wanted, owner = plan.carried.wanted, plan.owner.carried.wanted
    if wanted["state"] != ApiKey.State.ACTIVE:
        return rights.Answer(401, wanted["state_reason"] or "disabled")
    if is_expired(plan.old, now):
        return rights.Answer(401, "expired")
    if owner["state"] != "enabled":
        return rights.Answer(403, "owner_disabled")
    groups = _groups(rules, plan)
    if not groups:
        return rights.Answer(403, "group_not_allowed")
    called = rules.aliases.get(model, model)
    names = wanted["model_names"]
    if names is not None and model not in names and called not in names:
        return rights.Answer(403, "model_not_in_key")
    if called not in rules.access:
        return rights.Answer(404, "no_channel")
    served = next((group for group in groups if group in rules.access[called]), None)
    if served is None:
        return rights.Answer(403, "no_channel")
    billed = rules.billed.get(model, model)
    if billed not in rules.priced:
        return rights.Answer(403, "no_price")
    if balance_nano <= 0 and billed not in rules.free:
        return rights.Answer(402, "balance_short")
    return rights.Answer(200, "", served)


def _groups(rules: PortalRules, plan: KeyPlan) -> list[str]:
    payer = plan.owner.carried.wanted["group"]
    wanted = plan.carried.wanted
    pinned = wanted["auto_group_codes"] or ([wanted["group"]] if wanted["group"] else [])
    if not pinned:
        return [payer]
    usable = rules.usable.get(payer, frozenset()) | {payer}
    return [code for code in pinned if code in rules.active and code in usable]


def compare_rights(
    context: ImportContext, keys: dict[int, KeyPlan], catalog: CatalogPlan, old: rights.OldRules, balances: dict[int, int]
) -> None:
    """List every difference, one line per key and reason, with the models it touches."""
    rules = portal_rules(catalog)
    models = sorted(context.targets)
    for key in context.snapshot.keys:
        found = _differences(context, key, keys.get(key.id), rules, old, models, balances)
        for (reason, before, after), names in sorted(found.items()):
            context.tally.differ("tokens", reason, row_id=key.id, label=key.name, models=names, old=before, new=after)
        plan = keys.get(key.id)
        if plan is not None and plan.carried.wanted["ignores_channel_pin"]:
            context.tally.differ("tokens", "channel_pin_ignored", row_id=key.id, label=key.name)
        if key.networks_unreadable:
            unread = len(key.networks_unreadable)
            context.tally.differ("tokens", "networks_unreadable", row_id=key.id, label=key.name, unreadable=unread)
    for reason in (*_ALWAYS, *_PER_PRODUCT[context.product]):
        context.tally.differ("tokens", reason)


def _differences(
    context: ImportContext,
    key: OldKey,
    plan: KeyPlan | None,
    rules: PortalRules,
    old: rights.OldRules,
    models: list[str],
    balances: dict[int, int],
) -> dict[tuple[str, int, int], list[str]]:
    owner = context.snapshot.users_by_id.get(key.user_id)
    found: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for model in models:
        before = rights.old_answer(old, key, owner, model, context.now)
        after = portal_answer(rules, plan, model, context.now, balances.get(key.user_id, 0))
        if before.is_served and not after.is_served:
            found[(f"refused_now_{after.why}", before.status, after.status)].append(model)
        elif after.is_served and not before.is_served:
            found[(f"served_now_{before.why}", before.status, after.status)].append(model)
        elif after.is_served and context.group_code(before.group) != after.group:
            found[("served_in_other_group", before.status, after.status)].append(model)
    return found
