"""Reading: recognised by columns, versions tolerated, engines told apart by nothing but the address, sources never written."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from migrations_center.sources import errors, logs
from migrations_center.sources.address import parse_source
from migrations_center.sources.database import Database
from migrations_center.sources.gateway import OldGateway, quota_per_unit
from migrations_center.sources.identity import fingerprint
from migrations_center.sources.values import as_flag, as_int, as_networks, as_object, as_text, split_names
from tests.migrations_center.imports.support import sample
from tests.migrations_center.sources.conftest import Build, channel, key, user, write


def read(path: Path, product: str = "") -> tuple[str, object]:
    with OldGateway(parse_source(str(path)), product=product) as gateway:
        return gateway.product, gateway.read()


def test_r059_the_file_is_read_and_never_written(tmp_path: Path) -> None:
    """T7, R059: opened read-only, byte for byte the same afterwards; a write through the same connection is refused."""
    path = sample("new-api")
    before = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, sorted(os.listdir(path.parent)))
    with OldGateway(parse_source(str(path))) as gateway:
        gateway.read()
        assert sum(len(rows) for _n, rows in logs.stream(gateway)) == 6207
        with pytest.raises(errors.SourceDamaged):
            gateway.main.all(__import__("sqlalchemy").text("DELETE FROM users"))  # type: ignore[arg-type]
        gateway.verify_unchanged()
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns, sorted(os.listdir(path.parent))) == before


def test_a_file_that_changes_while_it_is_read_is_refused(one_api: Build) -> None:
    path = one_api(users=[user(1)])
    with OldGateway(parse_source(str(path))) as gateway:
        with sqlite3.connect(path) as db:
            db.execute("UPDATE users SET quota = 1001")
        with pytest.raises(errors.SourceChanged):
            gateway.verify_unchanged()


def test_rows_in_a_write_ahead_log_are_read_and_the_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "wal.db"
    write(path, __import__("tests.migrations_center.sources.conftest", fromlist=["ONE_API"]).ONE_API, {})
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO users (id, username, password, quota) VALUES (7, 'late', '', 5)")
    writer.commit()
    before = path.read_bytes()
    _product, snapshot = read(path)
    assert [person.username for person in snapshot.users] == ["late"]  # type: ignore[attr-defined]
    assert path.read_bytes() == before
    writer.close()


@pytest.mark.parametrize(("name", "product"), [("one-api", "one_api"), ("new-api", "new_api")])
def test_the_product_is_told_by_columns(name: str, product: str, tmp_path: Path) -> None:
    """Both products call their file one-api.db, so the name says nothing."""
    renamed = tmp_path / "one-api.db"
    renamed.write_bytes(sample(name).read_bytes())
    assert read(renamed)[0] == product


def test_a_database_of_both_products_needs_a_word(one_api: Build) -> None:
    path = one_api(users=[user(1)])
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE users ADD COLUMN aff_quota integer")
        db.execute("ALTER TABLE tokens ADD COLUMN model_limits text")
    with pytest.raises(errors.SourceAmbiguous):
        read(path)
    assert read(path, "new_api")[0] == "new_api"


def test_another_products_file_is_refused(tmp_path: Path) -> None:
    """T3: the columns are looked at first; a missing one is not read as an empty list."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (id integer, name text)")
        db.execute("CREATE TABLE tokens (id integer, token text)")
    with pytest.raises(errors.SourceOfAnotherProduct):
        read(path)


def test_t5_a_missing_column_gets_its_own_typed_default_and_is_listed(one_api: Build) -> None:
    path = one_api(drop=("tokens.models", "tokens.subnet", "users.display_name", "logs"), users=[user(1)], tokens=[key(1, 1)])
    _product, snapshot = read(path)
    assert {(m.table, m.column, m.default) for m in snapshot.missing} == {  # type: ignore[attr-defined]
        ("tokens", "models", None),
        ("tokens", "subnet", ""),
        ("users", "display_name", ""),
    }
    assert (snapshot.keys[0].models, snapshot.keys[0].networks) == (None, ())  # type: ignore[attr-defined]


def test_nulls_everywhere_are_read(new_api: Build) -> None:
    path = new_api(
        users=[{"id": 1, "username": None, "password": "", "quota": None}],
        tokens=[{"id": 1, "user_id": None, "key": None, "status": None}],
        channels=[{"id": 1, "type": None, "key": "", "models": None}],
        redemptions=[{"id": 1}],
        logs=[{"id": 1}],
    )
    _product, snapshot = read(path)
    person, found = snapshot.users[0], snapshot.keys[0]  # type: ignore[attr-defined]
    assert (person.username, person.quota, person.group, person.status) == ("", 0, "default", 1)
    assert (found.user_id, found.key, found.expired_time, found.is_unlimited) == (0, "", -1, False)


def test_an_amount_beyond_64_bits_is_an_error_and_not_a_wrapped_number() -> None:
    """T10."""
    assert as_int(2**63 - 1) == 2**63 - 1
    with pytest.raises(errors.SourceNumberTooLarge):
        as_int(2**63)


def test_values_of_three_engines_become_one() -> None:
    assert as_text("abc   ") == as_text(b"abc  ") == "abc"
    assert as_text("  abc") == "  abc"
    assert as_text("a\x00b") == "ab"
    assert [as_flag(v) for v in (1, "1", "true", b"1", True, 0, "0", "false", None, "")] == [True] * 5 + [False] * 5
    assert as_object(b'{"a": 1}') == as_object('{"a": 1}') == {"a": 1}
    assert as_object("null") == as_object("{broken") == as_object(None) == as_object("[1]") == {}
    assert split_names(" gpt-4o , ,gpt-4o,o3 ") == ("gpt-4o", "o3")


def test_t9_networks_are_parsed_by_the_product_that_wrote_them() -> None:
    """Commas separate in One API; New API separates by lines and drops commas, which would fuse two blocks into one."""
    assert as_networks("10.0.0.0/8, 192.168.0.0/16", ",") == (("10.0.0.0/8", "192.168.0.0/16"), ())
    assert as_networks("10.0.0.1\n 10.0.1.0/24,\n", "\n\r") == (("10.0.0.1/32", "10.0.1.0/24"), ())
    assert as_networks("10.0.0.1\nnonsense", "\n") == (("10.0.0.1/32",), ("nonsense",))


def test_t21_management_tokens_never_enter_the_process(one_api: Build) -> None:
    path = one_api(users=[user(1, access_token="canary-management-token")])
    with OldGateway(parse_source(str(path))) as gateway:
        snapshot = gateway.read()
    assert snapshot.access_token_count == 1
    assert "canary" not in repr(snapshot.__dict__) + repr([u.__getstate__() for u in snapshot.users])


def test_no_secret_is_in_a_repr(new_api: Build) -> None:
    path = new_api(
        users=[user(1, password="$2a$10$canary")], tokens=[key(1, 1, key="canarykey")], channels=[channel(1, key="canaryup")]
    )
    _product, snapshot = read(path)
    assert "canary" not in repr(snapshot)


def test_the_fingerprint_is_of_the_installation() -> None:
    """Equal for a later copy, different for another installation of the same product and people."""
    marks = {name: fingerprint(read(sample(name))[1]) for name in ("one-api", "one-api.later", "new-api", "new-api.later")}  # type: ignore[arg-type]
    assert marks["one-api"] == marks["one-api.later"]
    assert marks["new-api"] == marks["new-api.later"]
    assert len(set(marks.values())) == 2


@pytest.mark.parametrize(
    ("saved", "unit", "is_said"),
    [
        ({}, "500000", False),
        ({"QuotaPerUnit": "1000000"}, "1000000", True),
        ({"QuotaPerUnit": "abc"}, "500000", False),
        ({"QuotaPerUnit": "0"}, "500000", False),
    ],
)
def test_the_unit_is_the_sources_own(saved: dict[str, str], unit: str, is_said: bool) -> None:
    assert quota_per_unit(saved) == (unit, is_said)


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("postgresql://ann:p%40ss@db.example:5433/gate", "postgresql://db.example:5433/gate"),
        ("postgres://ann:pw@db/gate?sslmode=require", "postgresql://db/gate"),
        ("postgresql://ann@/gate?host=/run/pg&port=5433", "postgresql:///run/pg/gate"),
        ("mysql://ann:pw@db:3306/gate", "mysql://db:3306/gate"),
        ("ann:p@ss:word@tcp(db:3306)/gate?charset=utf8mb4", "mysql://db:3306/gate"),
        ("ann:pw@unix(/run/my.sock)/gate", "mysql:///run/my.sock/gate"),
        ("/data/one-api.db", "one-api.db"),
        ("sqlite:///data/one-api.db", "one-api.db"),
    ],
)
def test_t13_an_address_is_shown_without_its_login(text: str, public: str) -> None:
    address = parse_source(text)
    assert address.public == str(address) == public
    assert not {"ann", "pw", "p@ss", "p@ss:word", "p%40ss"} & set(repr(address).replace("'", " ").split())
    assert "ss:word" not in repr(address)


def test_passwords_are_read_whole() -> None:
    assert parse_source("postgresql://ann:p%40ss@db/gate").password == "p@ss"
    assert parse_source("ann:p@ss:word@tcp(db:3306)/gate").password == "p@ss:word"


@pytest.mark.parametrize(
    "text", ["", "   ", "oracle://a:canary-pw@b/c", "postgresql://a:canary-pw@b", "mysql://a:canary-pw@b:port/c"]
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(errors.SourceAddressWrong) as refused:
        parse_source(text)
    assert "canary" not in str(refused.value)


def test_nobody_answers_at_the_address() -> None:
    for text in ("postgresql://a:canary-pw@127.0.0.1:9/x", "mysql://a:canary-pw@127.0.0.1:9/x"):
        with pytest.raises(errors.SourceUnreachable) as refused, Database(parse_source(text)):
            pass
        assert "canary" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ is True


def test_damage_in_the_middle_is_found_before_anything_is_decided(tmp_path: Path) -> None:
    path = tmp_path / "holed.db"
    content = bytearray(sample("one-api").read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\x00" * 8192
    path.write_bytes(bytes(content))
    with pytest.raises(errors.SourceDamaged):
        read(path)
