"""R043: the name map is versioned, superseded and never edited; what cannot be is refused whole."""

import threading

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from models_catalog.errors import NameMapMoved, NameMapRefused
from models_catalog.models import NameMapEntry, NameMapVersion
from models_catalog.selectors import current_name_map, name_map_at, newest_name_map_version
from models_catalog.services import ModelFigures, NameChange, create_model, ensure_models, publish_name_map


@pytest.fixture
def catalogue(ops: User) -> None:
    ensure_models(
        actor_name=ops.username, models=[ModelFigures("new-1"), ModelFigures("new-2"), ModelFigures("off", is_active=False)]
    )


def lines(entries: list[NameMapEntry]) -> list[tuple[str, str, str]]:
    return [(entry.old_name, entry.kind, entry.callable_model.name if entry.callable_model else "") for entry in entries]


def problems(caught: pytest.ExceptionInfo[NameMapRefused]) -> dict[str, str]:
    return {line["old_name"]: line["problem"] for line in caught.value.details["lines"]}


def test_several_changes_are_one_version(catalogue: None, ops: User) -> None:
    version = publish_name_map(
        actor_name="ops-one",
        changes=[
            NameChange("old-1", "alias", "new-1", reason="same thing"),
            NameChange("new-2", "same", "new-2"),
            NameChange("gone", "retired"),
        ],
        reason="first map",
    )
    assert version is not None
    assert (version.number, version.created_by) == (1, "ops-one")
    assert lines(list(current_name_map())) == [("gone", "retired", ""), ("new-2", "same", "new-2"), ("old-1", "alias", "new-1")]
    event = AuditEvent.objects.get(action="catalog.name_map.published")
    assert (event.actor, event.reason) == (ops, "first map")
    assert event.before == {"lines": {"old-1": None, "new-2": None, "gone": None}}
    assert event.after["lines"]["old-1"] == {"kind": "alias", "target": "new-1", "bill_as_called": True, "reason": "same thing"}


def test_an_edit_raises_the_version_and_the_old_line_stays_as_it_was(catalogue: None) -> None:
    publish_name_map(actor_name="ops-one", changes=[NameChange("old-1", "alias", "new-1"), NameChange("x", "retired")])
    first = NameMapEntry.objects.get(old_name="old-1")
    publish_name_map(actor_name="ops-one", changes=[NameChange("old-1", "replacement", "new-2")])
    assert newest_name_map_version() == 2
    first.refresh_from_db()
    assert (first.kind, first.from_version_id, first.until_version_id) == ("alias", 1, 2)
    assert lines(list(name_map_at(1))) == [("old-1", "alias", "new-1"), ("x", "retired", "")]
    assert lines(list(name_map_at(2))) == [("old-1", "replacement", "new-2"), ("x", "retired", "")]


def test_publishing_what_is_already_there_makes_no_version(catalogue: None) -> None:
    change = NameChange("old-1", "alias", "new-1")
    assert publish_name_map(actor_name="ops-one", changes=[change]) is not None
    assert publish_name_map(actor_name="ops-one", changes=[change]) is None
    assert publish_name_map(actor_name="ops-one", changes=[]) is None
    assert NameMapVersion.objects.count() == 1


def test_a_line_can_be_taken_out(catalogue: None) -> None:
    publish_name_map(actor_name="ops-one", changes=[NameChange("old-1", "alias", "new-1")])
    publish_name_map(actor_name="ops-one", changes=[NameChange("old-1", "")])
    assert list(current_name_map()) == []
    assert lines(list(name_map_at(1))) == [("old-1", "alias", "new-1")]


def test_every_line_that_cannot_be_is_named_and_nothing_is_published(catalogue: None) -> None:
    with pytest.raises(NameMapRefused) as caught:
        publish_name_map(
            actor_name="ops-one",
            changes=[
                NameChange("fine", "alias", "new-1"),
                NameChange("retired-with", "retired", "new-1"),
                NameChange("no-target", "alias"),
                NameChange("not-there", "alias", "nowhere"),
                NameChange("switched-off", "replacement", "off"),
                NameChange("self", "same", "new-1"),
                NameChange("new-1", "alias", "new-1"),
                NameChange("odd", "nickname", "new-1"),
            ],
        )
    assert problems(caught) == {
        "retired-with": "retired_has_target",
        "no-target": "no_target",
        "not-there": "target_not_callable",
        "switched-off": "target_not_callable",
        "self": "same_means_same_name",
        "new-1": "same_means_same_name",
        "odd": "unknown_kind",
    }
    assert not NameMapVersion.objects.exists()
    assert not NameMapEntry.objects.exists()
    assert not AuditEvent.objects.filter(action="catalog.name_map.published").exists()


def test_one_name_cannot_be_published_twice_at_once(catalogue: None) -> None:
    with pytest.raises(NameMapRefused) as caught:
        publish_name_map(actor_name="x", changes=[NameChange("a", "alias", "new-1"), NameChange("a", "alias", "new-2")])
    assert problems(caught) == {"a": "named_twice"}


def test_a_cycle_cannot_be_published_at_once(catalogue: None) -> None:
    with pytest.raises(NameMapRefused) as caught:
        publish_name_map(actor_name="x", changes=[NameChange("new-1", "alias", "new-2"), NameChange("new-2", "alias", "new-1")])
    assert problems(caught) == {"new-1": "target_is_mapped_elsewhere", "new-2": "target_is_mapped_elsewhere"}


def test_a_chain_cannot_grow_from_either_end(catalogue: None) -> None:
    create_model(actor_name="ops-one", figures=ModelFigures("new-3"))
    publish_name_map(actor_name="ops-one", changes=[NameChange("new-1", "replacement", "new-2")])
    with pytest.raises(NameMapRefused) as caught:
        publish_name_map(actor_name="ops-one", changes=[NameChange("old", "alias", "new-1")])
    assert problems(caught) == {"old": "target_is_mapped_elsewhere"}
    with pytest.raises(NameMapRefused) as caught:
        publish_name_map(actor_name="ops-one", changes=[NameChange("new-2", "retired")])
    assert problems(caught) == {"new-1": "target_is_mapped_elsewhere"}
    # Both ends moved in one version is what is meant.
    publish_name_map(
        actor_name="ops-one", changes=[NameChange("new-1", "replacement", "new-3"), NameChange("new-2", "retired")]
    )
    assert lines(list(current_name_map())) == [("new-1", "replacement", "new-3"), ("new-2", "retired", "")]


def test_a_publisher_who_looked_at_an_older_version_is_told(catalogue: None) -> None:
    publish_name_map(actor_name="x", changes=[NameChange("a", "alias", "new-1")], expected_version=0)
    with pytest.raises(NameMapMoved):
        publish_name_map(actor_name="x", changes=[NameChange("b", "alias", "new-1")], expected_version=0)
    assert newest_name_map_version() == 1


@pytest.mark.django_db(transaction=True)
def test_two_publishers_at_the_same_moment_make_two_versions_or_one_is_refused(catalogue: None) -> None:
    """The number is a primary key: nobody's lines are lost and none is doubled."""
    results: list[str] = []
    start = threading.Barrier(4)

    def publish(n: int) -> None:
        try:
            start.wait()
            publish_name_map(actor_name="x", changes=[NameChange(f"old-{n}", "alias", "new-1"), NameChange("one", "retired")])
            results.append(f"old-{n}")
        except NameMapMoved:
            results.append("moved")
        finally:
            connection.close()

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = sorted(name for name in results if name != "moved")
    assert len(results) == 4
    assert published
    current = [entry.old_name for entry in current_name_map()]
    assert current == [*published, "one"]
    assert newest_name_map_version() == len(published)
