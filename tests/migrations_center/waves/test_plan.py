"""Making a plan parks the people of a source on the old entry."""

import pytest

from accounts.models import AuditEvent, Role
from accounts.services.people import create_person
from config.foundation.errors import InvalidInput, NotAllowed
from gateway.models import KeyOldEntry
from keys.models import ApiKey
from migrations_center.models import Plan
from migrations_center.services import plans
from migrations_center.services.wave_errors import PlanExists
from tests.migrations_center.waves.town import Town


def test_keys_go_to_the_old_entry_and_the_brought_balance_waits(town: Town) -> None:
    native = ApiKey.objects.create(name="issued here", owner=town.people["ann"])
    result = plans.create_plan(actor=town.ops, source=town.source, name="Town moves", old_entry=town.old_entry)
    assert (result.routed_key_count, result.closed_purse_count, result.already_here) == (3, 3, [])
    assert town.routes() == {"ann": "old", "ben": "old", "cid": "old"}
    native.refresh_from_db()
    assert native.route == "new"
    assert not town.purse("ann").is_spendable
    town.source.refresh_from_db()
    assert town.source.old_entry == town.old_entry
    assert set(KeyOldEntry.objects.values_list("key_id", flat=True)) == {key.pk for key in town.keys.values()}
    event = AuditEvent.objects.get(action="plan.create")
    assert event.after == {
        "old_entry": town.old_entry.name,
        "keys_on_old_entry": 3,
        "purses_waiting": 3,
        "already_here": 0,
    }


def test_people_who_paid_here_already_stay_and_are_listed(town: Town) -> None:
    town.spend("ben", 1_000)
    result = plans.create_plan(actor=town.ops, source=town.source, name="Town moves", old_entry=town.old_entry)
    assert [person.username for person in result.already_here] == ["ben"]
    assert town.routes() == {"ann": "old", "ben": "new", "cid": "old"}
    assert town.purse("ben").is_spendable


def test_a_source_has_one_plan(town: Town) -> None:
    town.plan()
    with pytest.raises(PlanExists):
        town.plan()
    assert Plan.objects.count() == 1


def test_no_old_entry_no_plan(town: Town) -> None:
    with pytest.raises(InvalidInput):
        plans.create_plan(actor=town.ops, source=town.source, name="Town moves", old_entry=None)
    assert Plan.objects.count() == 0
    assert town.routes() == {"ann": "new", "ben": "new", "cid": "new"}


@pytest.mark.parametrize("role", [Role.USER, Role.DEVELOPER, Role.SUPPORT, Role.FINANCE, Role.CONTENT_LEAD])
def test_only_those_who_manage_migrations_plan(town: Town, role: str) -> None:
    other = create_person(actor=None, username="other", role=role)
    with pytest.raises(NotAllowed):
        plans.create_plan(actor=other, source=town.source, name="Town moves", old_entry=town.old_entry)
    assert Plan.objects.count() == 0
