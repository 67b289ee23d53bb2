"""The whole plan of an import, made from the records and from what is here: a preview is exactly this and nothing else."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from migrations_center.models import Source
from migrations_center.rulebook import abilities, prices_new_api, prices_one_api, rights
from migrations_center.rulebook.groups import group_rules
from migrations_center.rulebook.prices import PriceList
from migrations_center.services.apply import differences, plan_catalog, plan_history, plan_keys, plan_money, plan_people
from migrations_center.services.apply.context import ImportContext, ImportOptions
from migrations_center.services.apply.gone import GonePlan, plan_gone
from migrations_center.services.apply.plan_history import LogFacts
from migrations_center.services.apply.portal import load_portal
from migrations_center.services.errors import ControlTotalsMismatch
from migrations_center.sources import logs
from migrations_center.sources.gateway import OldGateway, Snapshot, quota_per_unit
from migrations_center.sources.records import LogFact, OldChannel
from migrations_center.sources.schema import NEW_API

# Tables that have a place of their own above; every other one is left out by name.
CARRIED = {"users", "tokens", "channels", "redemptions", "user_subscriptions", "logs"}
LEFT_OUT_REASONS = {
    "abilities": "derived_from_channels",
    "options": "settings_read_as_rules",
    "top_ups": "payment_record",
    "subscription_orders": "payment_record",
    "subscription_plans": "plan_not_carried",
    "subscription_pre_consume_records": "working_data",
    "quota_data": "sums_made_anew",
    "perf_metrics": "sums_made_anew",
    "tasks": "jobs_not_carried",
    "midjourneys": "jobs_not_carried",
    "two_fas": "second_factor_not_carried",
    "two_fa_backup_codes": "second_factor_not_carried",
    "passkey_credentials": "second_factor_not_carried",
    "checkins": "already_in_balance",
    "models": "descriptions_not_carried",
    "vendors": "descriptions_not_carried",
    "prefill_groups": "descriptions_not_carried",
    "custom_oauth_providers": "login_provider_not_carried",
    "user_oauth_bindings": "login_provider_not_carried",
}


@dataclass
class ImportPlan:
    context: ImportContext
    people: dict[int, plan_people.PersonPlan]
    keys: dict[int, plan_keys.KeyPlan]
    purses: list[plan_money.PursePlan]
    codes: list[plan_money.CodePlan]
    catalog: plan_catalog.CatalogPlan
    gone: GonePlan
    log_facts: LogFacts
    log_rows: int


def read_facts(gateway: OldGateway, now: int) -> tuple[Snapshot, LogFacts, list[LogFact]]:
    """Everything a plan needs from the source, before anything is decided."""
    snapshot = gateway.read()
    facts = LogFacts(logs.sums(gateway), logs.unusable(gateway, now), logs.span(gateway, now))
    return snapshot, facts, logs.price_facts(gateway)


def make_plan(
    source: Source,
    snapshot: Snapshot,
    facts: LogFacts,
    price_facts: list[LogFact],
    options: ImportOptions,
    now: int,
    run_id: uuid.UUID | None = None,
) -> ImportPlan:
    """Plan the import of ``snapshot``; raises ControlTotalsMismatch when the records do not add up to the source's own sums."""
    groups = group_rules(snapshot.product, snapshot.options)
    targets = abilities.name_targets(snapshot.channels, snapshot.product)
    log_names = {fact.model_name for fact in price_facts}
    context = ImportContext(
        source=source,
        snapshot=snapshot,
        snapshot_digest=snapshot_digest(snapshot, facts),
        options=options,
        groups=groups,
        matrix=abilities.ability_matrix(snapshot.channels),
        targets=targets,
        prices=_prices(snapshot, targets, log_names, price_facts),
        portal=load_portal(
            source,
            usernames=[user.username.strip() for user in snapshot.users],
            emails=[user.email for user in snapshot.users],
        ),
        now=now,
        unit=quota_per_unit(snapshot.options)[0],
        log_span=facts.span,
        run_id=run_id,
    )
    people = plan_people.plan_people(context)
    keys = plan_keys.plan_keys(context, people)
    catalog = plan_catalog.plan_catalog(context, log_names)
    purses = plan_money.plan_purses(context, people)
    codes = plan_money.plan_codes(context)
    rows = plan_history.plan_history(context, facts, set(people))
    gone = plan_gone(context)
    _count_channels(context, catalog)
    _leave_the_rest(context)
    _warn(context)
    priced = context.prices.names if snapshot.product == NEW_API else None
    old = rights.OldRules(snapshot.product, groups, context.matrix, priced)
    balances: dict[int, int] = {}
    for purse in purses:
        balances[purse.old_user_id] = balances.get(purse.old_user_id, 0) + purse.nano
    differences.compare_rights(context, keys, catalog, old, balances)
    _check_sums(context)
    return ImportPlan(context, people, keys, purses, codes, catalog, gone, facts, rows)


def snapshot_digest(snapshot: Snapshot, facts: LogFacts) -> str:
    """SHA-256 over everything that is carried; secrets enter through their digests and cannot be read back."""
    whole = hashlib.sha256()
    for table in (snapshot.users, snapshot.keys, snapshot.channels, snapshot.codes, snapshot.subscriptions):
        rows: list[Any] = sorted(table, key=lambda record: record.id)
        for record in rows:
            values = [getattr(record, name) for name in record.__slots__]
            whole.update(json.dumps(values, sort_keys=True, default=str).encode())
    whole.update(json.dumps(sorted(snapshot.options.items())).encode())
    whole.update(json.dumps([facts.sums, facts.span]).encode())
    return whole.hexdigest()


def _prices(
    snapshot: Snapshot, targets: dict[str, dict[str, list[OldChannel]]], log_names: set[str], facts: list[LogFact]
) -> PriceList:
    names = set(targets) | log_names | {model for channel in snapshot.channels for model in channel.models}
    if snapshot.product == NEW_API:
        return prices_new_api.price_list(snapshot.options, names, facts)
    names |= {target for found in targets.values() for target in found}
    return prices_one_api.price_list(snapshot.options, snapshot.channels, names, facts)


def _count_channels(context: ImportContext, catalog: plan_catalog.CatalogPlan) -> None:
    """Channels land as upstreams; one without any address cannot."""
    for channel in catalog.channels:
        known = context.portal.row(plan_catalog.CHANNELS, channel.id)
        if not plan_catalog.address_of(channel, context.product):
            context.tally.refuse(plan_catalog.CHANNELS, channel.id, "channel_address_unknown", label=channel.name)
            continue
        context.land(plan_catalog.CHANNELS, plan_catalog.channel_outcome(context, channel, known), known)


def _leave_the_rest(context: ImportContext) -> None:
    for table, rows in context.snapshot.counts.items():
        if table in CARRIED:
            continue
        context.tally.table(table).read = rows
        context.tally.leave(table, LEFT_OUT_REASONS.get(table, "table_not_carried"), count=rows)


def _warn(context: ImportContext) -> None:
    """Facts about the whole source that a person should know before applying."""
    _unit, is_said = quota_per_unit(context.snapshot.options)
    if not is_said:
        context.tally.differ("options", "unit_is_default", unit=context.unit)
    for column in context.snapshot.missing:
        context.tally.differ(column.table, "column_missing", label=column.column, default=str(column.default))
    if not context.options.upstream and not context.options.with_upstream_secrets and context.snapshot.channels:
        context.tally.decide("channels", "upstreams_need_credentials", count=len(context.snapshot.channels))


def _check_sums(context: ImportContext) -> None:
    """The sums over the records against those the database made itself, and every table and purse against itself."""
    wanted = {"balances": "users.quota", "bonus": "users.aff_quota", "codes": "redemptions.quota"}
    wrong = [
        name
        for name, column in wanted.items()
        if column in context.snapshot.sums and context.tally.purse(name).source != context.snapshot.sums[column]
    ]
    if wrong:
        raise ControlTotalsMismatch(f"The rows read do not add up to the source's own sum: {', '.join(wrong)}.", accounts=wrong)
    context.tally.check()
