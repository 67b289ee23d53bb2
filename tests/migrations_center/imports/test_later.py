"""A later import on top of an earlier one: what follows the source, what is decided here by now, and what stands beside it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.models import Group, User
from billing.models import (
    LedgerAccount,
    LedgerEntry,
    RedemptionCode,
    RequestLog,
)
from billing.services.ledger import CallEvent, ReserveRequest, record_calls, reserve
from config.foundation.ids import uuid7
from keys import secrets
from keys.models import ApiKey, KeySecret
from migrations_center.models import ImportedRow, ImportIssue, ImportRun, Plan, Wave, WaveMember
from migrations_center.services.apply import money
from migrations_center.services.errors import UnitChanged
from models_catalog.errors import UnusableAddress
from tests.migrations_center.imports.support import do_import
from tests.migrations_center.sources.conftest import Build, key, new_api, one_api, user

__all__ = ["new_api", "one_api"]
pytestmark = pytest.mark.django_db
UNIT_NANO = 2000


def person(row_id: int, table: str = "users") -> User:
    return User.objects.get(pk=ImportedRow.objects.get(table=table, row_id=row_id).target_id)


def issues(reason: str) -> list[tuple[str, str]]:
    return list(ImportIssue.objects.filter(reason=reason).values_list("table", "row_id"))


def test_a_changed_unit_is_refused_instead_of_revaluing_everybody(one_api: Build) -> None:
    do_import(one_api(users=[user(1)]))
    with pytest.raises(UnitChanged):
        do_import(one_api(name="two.db", users=[user(1)], options=[{"key": "QuotaPerUnit", "value": "1000000"}]))
    assert person(1).purses.get().balance_nano == 1000 * UNIT_NANO


def test_a_later_import_leaves_alone_what_was_changed_here(one_api: Build) -> None:
    """A new password, a new name of a key and a revoked key stay; what nobody touched follows the source."""
    rows = [key(1, 1), key(2, 1, name="old name"), key(3, 1)]
    do_import(one_api(users=[user(1, password="$2a$10$" + "a" * 53, display_name="Old")], tokens=rows))
    landed = person(1)
    landed.set_password("chosen here 123")
    landed.save()
    ApiKey.objects.filter(name="old name").update(name="named here")
    ApiKey.objects.filter(name="key3").update(state="revoked", state_reason="lost")
    changed = [key(1, 1, status=2), key(2, 1, name="new name"), key(3, 1, name="key three")]
    do_import(
        one_api(name="b.db", users=[user(1, password="$2a$10$" + "b" * 53, display_name="New", group="vip")], tokens=changed)
    )
    landed.refresh_from_db()
    assert landed.check_password("chosen here 123")
    assert (landed.display_name, landed.billing_group.code) == ("New", "one-api/vip")
    assert [(k.name, k.state) for k in ApiKey.objects.order_by("id")] == [
        ("key1", "disabled"),
        ("named here", "active"),
        ("key three", "revoked"),
    ]


def test_a_balance_that_is_spent_here_is_no_longer_the_sources(one_api: Build) -> None:
    """Two people; one calls here. The later copy corrects the other, and lists the first with its reason."""
    do_import(one_api(users=[user(1), user(2)], tokens=[key(1, 1)]))
    spend(person(1), 10)
    report = do_import(one_api(name="b.db", users=[user(1, quota=5000), user(2, quota=700)], tokens=[key(1, 1)]))
    assert person(1).purses.get().balance_nano == 1000 * UNIT_NANO - 10
    assert person(2).purses.get().balance_nano == 700 * UNIT_NANO
    assert report["totals"]["balances"] == {
        "source_quota": 5700,
        "landed_quota": 1700,
        "left_out_quota": 4000,
        "refused_quota": 0,
        "landed_nano_usd": 1700 * UNIT_NANO,
        "ties_out": True,
    }
    assert issues("balance_owned_here") == [("users.quota", "1"), ("users", "1")]
    corrected = LedgerEntry.objects.get(kind="opening_correction")
    assert (corrected.amount_nano, corrected.from_account.user, corrected.to_account.kind) == (
        300 * UNIT_NANO,
        person(2),
        "opening_equity",
    )
    again = do_import(one_api(name="c.db", users=[user(1, quota=5000), user(2, quota=700)], tokens=[key(1, 1)]))
    assert again["totals"] == report["totals"]
    assert LedgerEntry.objects.filter(kind="opening_correction").count() == 1


def spend(who: User, nano: int) -> None:
    request_id, owner_key = uuid7(), who.api_keys.get()
    until = timezone.now() + timedelta(minutes=5)
    assert reserve([ReserveRequest(request_id, who.pk, None, owner_key.pk, nano, until)])[0].status == "held"
    log = {"user_id": who.pk, "key_id": owner_key.pk, "outcome": "ok", "http_status": 200}
    assert record_calls([CallEvent(request_id, nano, True, "", log)])[0].status == "recorded"


def test_people_whom_a_batch_has_switched_keep_their_keys_and_balance(one_api: Build) -> None:
    do_import(one_api(users=[user(1)], tokens=[key(1, 1), key(2, 1)]), old_entry="http://old.test")
    source = ImportRun.objects.get().source
    wave = Wave.objects.create(plan=Plan.objects.create(name="p", source=source), number=1, name="w")
    WaveMember.objects.create(wave=wave, user=person(1), state="switched")
    ApiKey.objects.update(route="new")
    do_import(one_api(name="b.db", users=[user(1, quota=9)], tokens=[key(1, 1)]), old_entry="http://old.test")
    assert person(1).purses.get().balance_nano == 1000 * UNIT_NANO
    assert set(ApiKey.objects.values_list("state", "route")) == {("active", "new")}
    assert issues("gone_but_switched") == [("tokens", "2")]


@pytest.mark.parametrize("address", ["not an address", "ftp://old.test", "http://ann:pw@old.test"])
def test_an_old_entry_that_is_no_address_is_refused_before_anything(one_api: Build, address: str) -> None:
    with pytest.raises(UnusableAddress):
        do_import(one_api(users=[user(1)]), old_entry=address)
    assert not User.objects.exists()


def test_what_was_deleted_in_the_source_ends_here(one_api: Build) -> None:
    code = {"id": 1, "key": "c" * 32, "status": 1, "quota": 11}
    do_import(one_api(users=[user(1), user(2)], tokens=[key(1, 1), key(2, 2)], redemptions=[code]))
    report = do_import(one_api(name="b.db", users=[user(1)], tokens=[key(1, 1)]))
    assert User.objects.get(username="user2").state == "deleted"
    assert User.objects.get(username="user2").purses.get().balance_nano == 0
    assert set(ApiKey.objects.values_list("name", "state")) == {("key1", "active"), ("key2", "revoked")}
    assert RedemptionCode.objects.get().state == "disabled"
    assert money.liability_of(LedgerAccount.objects.get(kind="code_liability").pk) == 0
    assert report["totals"]["balances"]["landed_quota"] == 1000
    do_import(one_api(name="c.db", users=[user(1)], tokens=[key(1, 1)]))
    assert LedgerEntry.objects.count() == 5


def test_a_row_number_that_is_used_again_is_another_row(new_api: Build) -> None:
    """SQLite gives a deleted row's number to the next one: no merge of two people, and the old key ends."""
    setups = [{"id": 1, "version": "x", "initialized_at": 5}]
    do_import(new_api(users=[user(1), user(2)], tokens=[key(5, 1, key="A" * 48)], setups=setups))
    rows = [user(1), user(2, username="somebody-else", aff_code="zzzz", quota=55)]
    report = do_import(new_api(name="b.db", users=rows, tokens=[key(5, 1, key="B" * 48)], setups=setups))
    assert {"table": "users", "id": "2", "reason": "id_reused"} in report["refused"]
    assert report["totals"]["balances"]["refused_quota"] == 55
    states = {s.digest: s.key.state for s in KeySecret.objects.select_related("key")}
    assert states == {secrets.digest_of("A" * 48).digest: "revoked", secrets.digest_of("B" * 48).digest: "active"}


def test_a_second_source_of_the_same_product_stands_beside_the_first(one_api: Build) -> None:
    first = one_api(users=[user(1)], tokens=[key(1, 1)], redemptions=[{"id": 1, "key": "c" * 32, "status": 1, "quota": 1}])
    second = one_api(
        name="b.db",
        users=[user(1, aff_code="other")],
        tokens=[key(1, 1), key(2, 1)],
        redemptions=[{"id": 1, "key": "c" * 32, "status": 1, "quota": 1}],
    )
    do_import(first)
    report = do_import(second)
    assert {(r["table"], r["id"], r["reason"]) for r in report["refused"]} == {
        ("tokens", "1", "secret_taken"),
        ("redemptions", "1", "secret_taken"),
    }
    assert Group.objects.filter(code="one-api-2/default").exists()
    assert LedgerAccount.objects.filter(origin="import:one-api-2", is_purse=True).count() == 1


def test_log_rows_that_cannot_be_are_refused_one_by_one(one_api: Build) -> None:
    at = int(timezone.now().timestamp())
    rows = [(1, at, 5), (2, 0, 5), (3, None, 5), (4, at * 1000, 5), (5, at, -5), (6, 1000, 7)]
    logs = [{"id": n, "user_id": 1, "created_at": t, "type": 2, "model_name": "m", "quota": q} for n, t, q in rows]
    report = do_import(one_api(users=[user(1)], logs=logs))
    assert {r["id"] for r in report["refused"]} == {"2", "3", "4", "5", "6"}
    assert report["totals"]["history"] == {
        "source_quota": 22,
        "landed_quota": 5,
        "left_out_quota": 0,
        "refused_quota": 17,
        "landed_nano_usd": 10_000,
        "ties_out": True,
    }
    assert RequestLog.objects.count() == 1


def test_the_log_database_and_the_old_log_table_are_both_read(one_api: Build, tmp_path: Path) -> None:
    """Rows that were copied over count once, rows that only share a number count both."""
    at = int(timezone.now().timestamp()) - 60
    row = {"user_id": 1, "created_at": at, "type": 2, "model_name": "m"}
    main = one_api(users=[user(1)], logs=[{"id": 1, "quota": 5, **row}, {"id": 2, "quota": 6, **row}])
    split = one_api(
        name="logs.db",
        drop=("users", "tokens", "channels", "options", "redemptions"),
        logs=[{"id": 2, "quota": 6, **row}, {"id": 1, "quota": 9, **row}],
    )
    do_import(main, split)
    assert sorted(RequestLog.objects.values_list("cost_nano", flat=True)) == [10_000, 12_000, 18_000]
