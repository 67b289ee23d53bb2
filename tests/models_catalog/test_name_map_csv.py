"""R043: the name map as CSV, out and in."""

import pytest

from accounts.models import User
from models_catalog.name_map_csv import MOST_LINES, UnreadableCsv, from_csv, to_csv
from models_catalog.selectors import current_name_map, newest_name_map_version
from models_catalog.services import ModelFigures, NameChange, ensure_models, publish_name_map

CHANGES = [
    NameChange("旧模型", "alias", "new-1", reason='with "quotes", commas\nand a second line'),
    NameChange("new-1", "same", "new-1", bill_as_called=False),
    NameChange("=cmd()", "retired", reason="+1"),
    NameChange("'quoted", "replacement", "new-1", reason="'=already guarded"),
    NameChange("@at", "retired", approved_by="-minus"),
]


@pytest.fixture
def published(ops: User) -> None:
    ensure_models(actor_name=ops.username, models=[ModelFigures("new-1")])
    publish_name_map(actor_name=ops.username, changes=CHANGES)


def test_out_and_in_are_equal(published: None) -> None:
    exported = to_csv(current_name_map())
    changes = from_csv(exported.encode())
    assert {change.old_name for change in changes} == {change.old_name for change in CHANGES}
    assert publish_name_map(actor_name="ops-one", changes=changes) is None
    assert newest_name_map_version() == 1
    assert to_csv(current_name_map()) == exported


def test_an_edit_raises_the_version_by_one(published: None) -> None:
    changes = from_csv(to_csv(current_name_map()).replace("旧模型,alias,new-1", "旧模型,retired,").encode())
    version = publish_name_map(actor_name="ops-one", changes=changes)
    assert version is not None
    assert version.number == 2
    assert list(version.entries.values_list("old_name", "kind")) == [("旧模型", "retired")]


def test_no_cell_starts_a_formula(published: None) -> None:
    lines = to_csv(current_name_map()).removeprefix("\ufeff").splitlines()
    assert not [line for line in lines if line.startswith(("=", "+", "-", "@"))]
    assert any(line.startswith("'=cmd()") for line in lines)


def test_a_file_without_the_last_columns_is_enough(published: None) -> None:
    assert from_csv(b"old_name,kind,callable_name\r\na,alias,new-1\r\n") == [NameChange("a", "alias", "new-1")]


def test_a_line_can_take_a_name_out(published: None) -> None:
    publish_name_map(actor_name="ops-one", changes=from_csv(b"old_name,kind,callable_name\n@at,remove,\n"))
    assert "@at" not in {entry.old_name for entry in current_name_map()}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a name map"),
        (b"\xff\xfe", "not UTF-8"),
        (b"name,kind\na,b\n", "not a name map"),
        (b"old_name,kind,callable_name,price\na,alias,b,1\n", "not a name map"),
        (b"old_name,kind,callable_name\na,alias\n", "Line 2 has another number of cells"),
        (b"old_name,kind,callable_name\na,alias,b,c\n", "Line 2 has another number of cells"),
        (b"old_name,kind,callable_name,bill_as_called\na,alias,b,maybe\n", "Line 2: bill_as_called is yes or no"),
        (b'old_name,kind,callable_name\n"a,alias,b\n', "After line 1: unexpected end of data"),
        (b"old_name,kind,callable_name\na\x00,alias,b\n", "not a name map"),
        (b"old_name,kind,callable_name\n" + b"a,retired,\n" * (MOST_LINES + 1), "more than 20000 lines"),
        (b"x" * (4 * 1024 * 1024 + 1), "larger than 4 MB"),
    ],
)
def test_what_is_no_name_map_is_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableCsv, match=said):
        from_csv(data)
