"""Keys: only the digest of a secret lands; a dead key lands dead."""

from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from billing.selectors.limits import key_totals, spent_by_keys
from billing.services.budgets import limit_new_keys, set_key_limit
from config.foundation.clock import now
from gateway.models import KeyOldEntry, OldEntry
from gateway.services import remember_old_entry
from keys.models import ApiKey, KeySecret
from migrations_center.services.apply.plan_keys import TABLE, KeyPlan
from migrations_center.services.apply.steps import Apply, batches
from migrations_center.services.apply.tally import CREATED, UPDATED

_CREATED_SQL = """
UPDATE keys_apikey k SET created_at = to_timestamp(v.created) FROM unnest(%s::bigint[], %s::bigint[]) v(id, created)
WHERE k.id = v.id
"""
_LIMIT = "limit_nano"


def apply_old_entry(work: Apply) -> None:
    """Remember the old gateway's address for the source and every key of it, so that a batch can go back there."""
    source, address = work.plan.context.source, work.plan.context.options.old_entry
    if address and source.old_entry_id is None:
        with transaction.atomic():
            entry = OldEntry.objects.filter(base_url=address, is_active=True).first()
            if entry is None:
                is_taken = OldEntry.objects.filter(name=source.name).exists()
                name = f"{source.name[:80]} ({source.code})" if is_taken else source.name
                entry = remember_old_entry(actor=None, name=name, base_url=address)
            source.old_entry = entry
            source.save(update_fields=["old_entry"])
    if source.old_entry_id:
        known = [int(row.target_id) for row in work.plan.context.portal.rows_of(TABLE).values()]
        _link(known, source.old_entry_id)


def apply_keys(work: Apply) -> None:
    plans = list(work.plan.keys.values())
    for plan in plans:
        if plan.known:
            work.key_ids[plan.old.id] = int(plan.known.target_id)
    fresh = [plan for plan in plans if plan.outcome == CREATED]
    done, total = len(plans) - len(fresh), len(plans)
    work.report(TABLE, done, total)
    for part in batches(fresh):
        _create(work, part)
        done += len(part)
        work.report(TABLE, done, total)
    for plan in plans:
        if plan.outcome == UPDATED:
            _update(work, plan)
    for row_id, known in work.plan.gone.keys.items():
        with transaction.atomic():
            _end(int(known.target_id), "deleted_in_old")
            work.update_row(known, "gone", known.figures)
        work.report(f"{TABLE}:{row_id}", done, total)


@transaction.atomic
def _create(work: Apply, plans: list[KeyPlan]) -> None:
    for plan in plans:
        if plan.replaces is not None:
            _end(plan.replaces, "deleted_in_old")
    old_entry_id = work.plan.context.source.old_entry_id
    route = ApiKey.Route.OLD if old_entry_id else ApiKey.Route.NEW
    keys = ApiKey.objects.bulk_create(
        [
            ApiKey(
                owner_id=work.user_ids[plan.old.user_id],
                purpose=ApiKey.Purpose.PRODUCTION,
                route=route,
                last_used_at=_moment(plan.old.accessed_time),
                **_columns(work, plan.carried.wanted),
            )
            for plan in plans
        ]
    )
    pairs = list(zip(plans, keys, strict=True))
    KeySecret.objects.bulk_create(
        [
            KeySecret(
                key=key,
                digest=plan.digest.digest,
                pepper_number=plan.digest.pepper_number,
                tail=plan.digest.tail,
                origin=KeySecret.Origin.IMPORTED,
                revoked_at=now() if key.state == ApiKey.State.REVOKED else None,
            )
            for plan, key in pairs
        ]
    )
    limit_new_keys({key: plan.carried.wanted[_LIMIT] for plan, key in pairs if plan.carried.wanted[_LIMIT] is not None})
    if old_entry_id:
        _link([key.pk for key in keys], old_entry_id)
    with connection.cursor() as cursor:
        dated = [(key.pk, plan.old.created_time) for plan, key in pairs if 0 < plan.old.created_time < 4_000_000_000]
        cursor.execute(_CREATED_SQL, [[pk for pk, _ in dated], [seconds for _, seconds in dated]])
    work.remember(
        TABLE, [(plan.old.id, "keys.apikey", key.pk, plan.carried.digest(), _figures(work, plan)) for plan, key in pairs]
    )
    work.key_ids.update({plan.old.id: key.pk for plan, key in pairs})


@transaction.atomic
def _update(work: Apply, plan: KeyPlan) -> None:
    """Follow the source in what nobody changed here. The route is never touched: where a key is served is decided here."""
    assert plan.known is not None
    before = plan.known.figures.get("fields", {})
    key = ApiKey.objects.select_related("group").get(pk=plan.known.target_id)
    limit = key_totals([key.pk]).get(key.pk)
    current = _current(key, limit.limit_nano if limit else None)
    changes = plan.carried.changes(current, before)
    if key.profile_id is not None:
        # Bound to a use profile here: its models are the profile's, whatever list the old gateway has by now.
        changes.pop("model_names", None)
    if "state" in changes:
        changes["state_reason"] = plan.carried.wanted["state_reason"]
    if _LIMIT in changes and not spent_by_keys([key.pk]).get(key.pk):
        set_key_limit(actor=None, key=key, limit_nano=changes[_LIMIT])
    columns = _columns(work, changes)
    for name, value in columns.items():
        setattr(key, name, value)
    if columns:
        key.save(update_fields=list(columns))
    if changes.get("state") == ApiKey.State.REVOKED:
        KeySecret.objects.filter(key=key, revoked_at=None).update(revoked_at=now())
    figures = {**plan.known.figures, **_figures(work, plan), "fields": plan.carried.stored(changes, before)}
    work.update_row(plan.known, plan.carried.digest(), figures)


def _end(key_id: int, reason: str) -> None:
    ApiKey.objects.filter(pk=key_id).exclude(state=ApiKey.State.REVOKED).update(state=ApiKey.State.REVOKED, state_reason=reason)
    KeySecret.objects.filter(key_id=key_id, revoked_at=None).update(revoked_at=now())


def _link(key_ids: list[int], old_entry_id: int) -> None:
    KeyOldEntry.objects.bulk_create(
        [KeyOldEntry(key_id=key_id, old_entry_id=old_entry_id) for key_id in key_ids], ignore_conflicts=True, batch_size=1000
    )


def _columns(work: Apply, wanted: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in wanted.items() if name != _LIMIT}
    if "group" in fields:
        fields["group_id"] = work.group_ids.get(fields.pop("group"))
    return fields


def _current(key: ApiKey, limit_nano: int | None) -> dict[str, Any]:
    names = (
        "name",
        "state",
        "state_reason",
        "model_names",
        "networks",
        "auto_group_codes",
        "ignores_channel_pin",
        "expires_at",
    )
    return {
        **{name: getattr(key, name) for name in names},
        "group": key.group.code if key.group else "",
        _LIMIT: limit_nano,
    }


def _figures(work: Apply, plan: KeyPlan) -> dict[str, Any]:
    return {**plan.marks, "owner": work.user_ids[plan.old.user_id], "fields": plan.carried.stored()}


def _moment(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if 0 < seconds < 4_000_000_000 else None
