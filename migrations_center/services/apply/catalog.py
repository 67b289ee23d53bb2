"""Models, who may call them, upstreams, the name map and the price book."""

from collections.abc import Container
from decimal import Decimal

from django.db import transaction

from accounts.models import Group, User
from billing.models import PriceBook
from billing.pricing import RuleFigures
from billing.services import prices
from migrations_center.rulebook.catalog import modality_of, provider_of
from migrations_center.rulebook.prices import ModelPrice
from migrations_center.services.apply.carry import mark
from migrations_center.services.apply.plan_catalog import (
    CHANNELS,
    RETIRED,
    SAME,
    NamePlan,
    address_of,
    carried_channel,
    channel_outcome,
)
from migrations_center.services.apply.steps import Apply
from migrations_center.services.apply.tally import CREATED, UPDATED
from migrations_center.services.errors import UpstreamUnknown
from migrations_center.sources.records import OldChannel
from models_catalog import services as catalog
from models_catalog.models import AIModel, ModelAccess, NameMapEntry, Upstream

NAME_MAP = "name_map"
# The old products wait this long by default; longer calls would be cut here that were not cut there.
TIMEOUT_SECONDS = 600


def find_upstream(name: str) -> Upstream:
    """The upstream the operator named; raises UpstreamUnknown."""
    found = list(Upstream.objects.filter(name__iexact=name)[:2]) or list(Upstream.objects.filter(provider__code=name)[:2])
    if len(found) != 1:
        raise UpstreamUnknown(f"There is no upstream named {name}." if not found else f"Several upstreams are named {name}.")
    return found[0]


def apply_models(work: Apply) -> None:
    """Every served name becomes callable for the groups that could call it there, and for no other group of the source."""
    plan, reason = work.plan.catalog, _reason(work)
    who = _who(work)
    with transaction.atomic():
        catalog.ensure_models(
            actor_name=who,
            models=[catalog.ModelFigures(name=name, modality=modality_of(name)) for name in sorted(plan.access)],
            reason=reason,
        )
        prefix = f"{work.plan.context.code}/"
        before: dict[str, set[str]] = {}
        for name, code in ModelAccess.objects.filter(group_code__startswith=prefix).values_list("model__name", "group_code"):
            before.setdefault(name, set()).add(code)
        for model in AIModel.objects.filter(name__in=sorted({*before, *plan.access})):
            wanted = plan.access.get(model.name, frozenset())
            if before.get(model.name, set()) != set(wanted):
                others = set(model.access.exclude(group_code__startswith=prefix).values_list("group_code", flat=True))
                catalog.set_access(actor_name=who, model=model, group_codes=sorted(others | wanted), reason=reason)


def apply_upstreams(work: Apply) -> None:
    context = work.plan.context
    if context.options.upstream:
        upstream = find_upstream(context.options.upstream)
        catalog.serve_models(
            actor_name=_who(work), upstream=upstream, served=work.plan.catalog.upstream_names, reason=_reason(work)
        )
    total = len(work.plan.catalog.channels)
    for done, channel in enumerate(work.plan.catalog.channels, 1):
        known = context.portal.row(CHANNELS, channel.id)
        if not address_of(channel, context.product):
            continue
        outcome = channel_outcome(context, channel, known)
        if outcome == CREATED:
            _create_upstream(work, channel)
        elif outcome == UPDATED:
            _update_upstream(work, channel)
        work.report(CHANNELS, done, total)
    for known in work.plan.gone.channels.values():
        upstream_gone = Upstream.objects.filter(pk=known.target_id).exclude(state=Upstream.State.NEEDS_CREDENTIAL).first()
        with transaction.atomic():
            if upstream_gone:
                catalog.set_upstream_state(actor_name=_who(work), upstream=upstream_gone, state=Upstream.State.DISABLED)
            work.update_row(known, "gone", known.figures)


@transaction.atomic
def _create_upstream(work: Apply, channel: OldChannel) -> None:
    context = work.plan.context
    facts = provider_of(context.product, channel.type)
    provider = catalog.ensure_provider(actor_name=_who(work), code=facts.code, name=facts.name, protocol=facts.protocol)
    carried = carried_channel(context, channel)
    wanted = carried.wanted
    # A channel may hold several credentials, one a line; the first one is taken.
    credential = channel.key.strip().split("\n")[0].strip() if context.options.with_upstream_secrets else ""
    state = None if channel.is_enabled else Upstream.State.DISABLED
    upstream = catalog.create_upstream(
        actor_name=_who(work),
        name=wanted["name"],
        provider=provider,
        base_url=wanted["base_url"],
        credential=credential,
        state=state,
        group_codes=wanted["group_codes"],
        priority=wanted["priority"],
        weight=wanted["weight"],
        timeout_seconds=TIMEOUT_SECONDS,
        note=f"{context.source.name}: channel {channel.id}",
        reason=_reason(work),
    )
    _serve(work, upstream, wanted["served"])
    figures = {"fields": carried.stored()}
    work.remember(CHANNELS, [(channel.id, "models_catalog.upstream", upstream.pk, carried.digest(), figures)])


@transaction.atomic
def _update_upstream(work: Apply, channel: OldChannel) -> None:
    known = work.plan.context.portal.row(CHANNELS, channel.id)
    assert known is not None
    carried, before = carried_channel(work.plan.context, channel), known.figures.get("fields", {})
    upstream = Upstream.objects.get(pk=known.target_id)
    served = dict(upstream.served.values_list("model__name", "upstream_name"))
    current = {
        "name": upstream.name,
        "base_url": upstream.base_url,
        "group_codes": list(upstream.group_codes),
        "priority": upstream.priority,
        "weight": upstream.weight,
        "is_enabled": upstream.state in (Upstream.State.ENABLED, Upstream.State.NEEDS_CREDENTIAL),
        "served": served,
    }
    changes = carried.changes(current, before)
    fields = {name: value for name, value in changes.items() if name not in ("is_enabled", "served")}
    if fields:
        catalog.update_upstream(actor_name=_who(work), upstream=upstream, reason=_reason(work), **fields)
    if "served" in changes:
        _serve(work, upstream, changes["served"])
    if "is_enabled" in changes and upstream.state != Upstream.State.NEEDS_CREDENTIAL:
        state = Upstream.State.ENABLED if channel.is_enabled and upstream.credential_sealed else Upstream.State.DISABLED
        catalog.set_upstream_state(actor_name=_who(work), upstream=upstream, state=state, reason=_reason(work))
    work.update_row(known, carried.digest(), {"fields": carried.stored(changes, before)})


def _serve(work: Apply, upstream: Upstream, served: dict[str, str]) -> None:
    """Names that nobody may call any more are no models here, so they are not served either."""
    known = set(AIModel.objects.filter(name__in=list(served)).values_list("name", flat=True))
    wanted = {name: target for name, target in served.items() if name in known}
    catalog.serve_models(actor_name=_who(work), upstream=upstream, served=wanted, replace=True, reason=_reason(work))


def apply_names(work: Apply) -> None:
    """Publish the source's names, unless another source or a person here says otherwise about one."""
    current = {entry.old_name: entry for entry in NameMapEntry.objects.filter(until_version=None)}
    ours = work.plan.context.portal.rows_of(NAME_MAP)
    callable_names = set(AIModel.objects.filter(is_active=True, access__isnull=False).values_list("name", flat=True))
    wanted = [line for line in work.plan.catalog.names if _may_publish(line, current.get(line.old_name), ours, callable_names)]
    leads = {line.old_name: line.target for line in wanted}
    changes = [
        catalog.NameChange(line.old_name, line.kind, line.target, line.bill_as_called, line.reason)
        for line in wanted
        # A map has one step: where a target itself leads elsewhere, the name stays its own.
        if not line.target or line.target == line.old_name or leads.get(line.target, line.target) == line.target
    ]
    with transaction.atomic():
        catalog.publish_name_map(actor_name=_who(work), changes=changes, reason=_reason(work))
        fresh = [row_id_of(change.old_name) for change in changes if row_id_of(change.old_name) not in ours]
        work.remember(NAME_MAP, [(row_id, "models_catalog.namemapentry", "", "", {}) for row_id in fresh])


def row_id_of(name: str) -> str:
    """A name as a row id; one that is too long by its mark."""
    return name if len(name) <= 64 else mark(name)


def _may_publish(line: NamePlan, entry: NameMapEntry | None, ours: Container[str], callable_names: set[str]) -> bool:
    if entry is None:
        # A name that is called here by others is not retired because one source no longer has it.
        return line.kind != RETIRED or line.old_name not in callable_names
    if row_id_of(line.old_name) in ours:
        return line.kind != RETIRED or line.old_name not in callable_names
    return entry.kind == RETIRED and line.kind == SAME


def apply_prices(work: Apply) -> None:
    """The old price rules as a version of the source's own book; nothing new when they are as before."""
    context, plan = work.plan.context, work.plan.catalog
    book = prices.create_book(
        actor=None, code=context.code, name=context.source.name, formula=context.product, quota_per_unit=Decimal(context.unit)
    )
    prices.publish_version(
        actor=None,
        book=book,
        rules={name: _figures(price, context.unit) for name, price in plan.prices.items()},
        multipliers={codes: Decimal(ratio) for codes, ratio in plan.multipliers.items()},
        note=_reason(work),
    )
    _assign(work, book)


def _figures(price: ModelPrice, unit: str) -> RuleFigures:
    shown = price.display(unit)
    return RuleFigures(
        basis=price.basis,
        input_nano=shown["input_nano"] or 0,
        cached_nano=shown["cached_nano"],
        cache_write_nano=shown["cache_write_nano"],
        output_nano=shown["output_nano"] or 0,
        call_nano=shown["call_nano"] or 0,
        source_figures=price.figures,
    )


def _assign(work: Apply, book: PriceBook) -> None:
    """Groups of the source without a book pay by this one; a book chosen here since then stays."""
    for group in Group.objects.filter(code__in=list(work.group_ids), book__isnull=True):
        prices.assign_book(actor=None, group=group, book=book)


def _who(work: Apply) -> str:
    person: User | None = work.run.started_by
    return person.username if person else "system"


def _reason(work: Apply) -> str:
    return f"import of {work.plan.context.source.name}"
