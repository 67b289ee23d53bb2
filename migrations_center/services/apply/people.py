"""Groups and people."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.models import Group, User
from config.foundation.clock import now
from migrations_center.services.apply.carry import mark
from migrations_center.services.apply.plan_people import TABLE, PersonPlan
from migrations_center.services.apply.steps import Apply, batches
from migrations_center.services.apply.tally import CREATED, UPDATED

GROUPS = "groups"


@transaction.atomic
def apply_groups(work: Apply) -> None:
    """Price classes of the source; an existing one follows the source in what its members may choose and whether it is open."""
    plans = work.plan.catalog.groups
    existing = {group.code: group for group in Group.objects.filter(code__in=[plan.code for plan in plans])}
    fresh = [
        Group(
            code=plan.code,
            name=plan.name,
            kind=Group.Kind.PRICE_CLASS,
            is_active=plan.is_active,
            usable_codes=list(plan.usable_codes),
        )
        for plan in plans
        if plan.code not in existing
    ]
    Group.objects.bulk_create(fresh)
    for plan in plans:
        group = existing.get(plan.code)
        wanted = (plan.is_active, list(plan.usable_codes))
        if group and (group.is_active, group.usable_codes) != wanted:
            group.is_active, group.usable_codes = wanted
            group.save(update_fields=["is_active", "usable_codes"])
    ids = dict(Group.objects.filter(code__in=[plan.code for plan in plans]).values_list("code", "pk"))
    work.group_ids = ids
    codes = {group.code for group in fresh}
    work.remember(GROUPS, [(plan.name, "accounts.group", ids[plan.code], "", {}) for plan in plans if plan.code in codes])


def apply_people(work: Apply) -> None:
    """New people in batches, changed ones one by one; each batch with its mapping in one transaction."""
    plans = list(work.plan.people.values())
    for plan in plans:
        if plan.known:
            work.user_ids[plan.old.id] = int(plan.known.target_id)
    done, total = len(plans), len(plans)
    fresh = [plan for plan in plans if plan.outcome == CREATED]
    done -= len(fresh)
    work.report(TABLE, done, total)
    for part in batches(fresh):
        _create(work, part)
        done += len(part)
        work.report(TABLE, done, total)
    for plan in plans:
        if plan.outcome == UPDATED:
            _update(work, plan)
    for row_id, known in work.plan.gone.people.items():
        with transaction.atomic():
            User.objects.filter(pk=known.target_id).update(state=User.State.DELETED, is_active=False)
            work.update_row(known, "gone", known.figures)
        work.report(f"{TABLE}:{row_id}", done, total)


@transaction.atomic
def _create(work: Apply, plans: list[PersonPlan]) -> None:
    people = []
    for plan in plans:
        fields = _columns(work, plan.carried.wanted)
        people.append(User(date_joined=_joined(plan.joined_time), **fields))
    created = User.objects.bulk_create(people)
    work.remember(
        TABLE,
        [
            (plan.old.id, "accounts.user", person.pk, plan.carried.digest(), _figures(plan, _written(person, plan)))
            for plan, person in zip(plans, created, strict=True)
        ],
    )
    for plan, person in zip(plans, created, strict=True):
        work.user_ids[plan.old.id] = person.pk


@transaction.atomic
def _update(work: Apply, plan: PersonPlan) -> None:
    assert plan.known is not None
    before = plan.known.figures.get("fields", {})
    person = User.objects.select_related("billing_group").get(pk=plan.known.target_id)
    changes = plan.carried.changes(_current(person), before)
    if changes:
        for name, value in _columns(work, changes).items():
            setattr(person, name, value)
        # State and role have flags beside them that a constraint ties to them.
        person.is_active = person.state == User.State.ENABLED
        person.save()
    figures = {**plan.known.figures, **plan.marks, "fields": plan.carried.stored(changes, before)}
    for name in changes:
        figures["fields"][name][1] = _mark_of(person, name)
    work.update_row(plan.known, plan.carried.digest(), figures)


def _columns(work: Apply, wanted: dict[str, Any]) -> dict[str, Any]:
    fields = dict(wanted)
    if "group" in fields:
        fields["billing_group_id"] = work.group_ids.get(fields.pop("group"))
    if "password" in fields:
        fields["password"] = fields["password"] or make_password(None)
    return fields


def _current(person: User) -> dict[str, Any]:
    names = ("username", "email", "password", "display_name", "role", "is_staff", "state", "is_active", "language")
    return {name: getattr(person, name) for name in names} | {
        "group": person.billing_group.code if person.billing_group else ""
    }


def _written(person: User, plan: PersonPlan) -> dict[str, Any]:
    return {"password": person.password, "group": plan.carried.wanted["group"]}


def _figures(plan: PersonPlan, written: dict[str, Any]) -> dict[str, Any]:
    fields = plan.carried.stored()
    fields["password"][1] = mark(written["password"])
    return {**plan.marks, "fields": fields}


def _mark_of(person: User, name: str) -> str:
    return mark(_current(person)[name])


def _joined(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC) if 0 < seconds < 4_000_000_000 else now()
