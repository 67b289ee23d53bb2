"""Traps found in other migration tools, each as a small database of its own, and what the import makes of it."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Group, User
from billing.models import (
    GroupMultiplier,
    KeyBudget,
    LedgerAccount,
    LedgerEntry,
    PriceRule,
    RedemptionCode,
    RequestLog,
)
from billing.services.ledger import CallEvent, ReserveRequest, record_calls, reserve
from config.foundation.ids import uuid7
from keys import secrets
from keys.models import ApiKey, KeySecret
from migrations_center.models import ImportedRow, ImportIssue, ImportRun, Plan, Wave, WaveMember
from migrations_center.services import import_engine
from migrations_center.services.apply import money
from migrations_center.services.errors import ControlTotalsMismatch, UnitChanged
from models_catalog.models import ModelAccess, NameMapEntry, Upstream
from tests.migrations_center.imports.support import do_import
from tests.migrations_center.sources.conftest import Build, channel, key, new_api, one_api, user

__all__ = ["new_api", "one_api"]
pytestmark = pytest.mark.django_db
UNIT_NANO = 2000


def person(row_id: int, table: str = "users") -> User:
    return User.objects.get(pk=ImportedRow.objects.get(table=table, row_id=row_id).target_id)


def issues(reason: str) -> list[tuple[str, str]]:
    return list(ImportIssue.objects.filter(reason=reason).values_list("table", "row_id"))


def test_t1_keys_follow_their_owner_through_new_ids(one_api: Build) -> None:
    User.objects.create(username="already-here")
    do_import(one_api(users=[user(1), user(2)], tokens=[key(7, 2), key(8, 1)]))
    for row_id, owner in ((7, 2), (8, 1)):
        found = KeySecret.objects.get(digest=secrets.digest_of(key(row_id, owner)["key"]).digest).key
        assert found.owner == person(owner)


def test_t2_t25_a_taken_name_is_never_merged(one_api: Build) -> None:
    """The person lands under another name, with the own keys and the own money, and the decision is listed."""
    stranger = User.objects.create(username="USER1", email="one@example.test")
    do_import(one_api(users=[user(1, email="One@example.test")], tokens=[key(1, 1)]))
    landed = person(1)
    assert (landed.username, landed.email) == ("user1.one-api", "")
    assert landed.pk != stranger.pk
    assert ApiKey.objects.get().owner == landed
    assert not LedgerAccount.objects.filter(user=stranger).exists()
    assert issues("username_changed") == issues("email_taken_here") == [("users", "1")]


def test_t2_a_refused_person_takes_the_keys_along(one_api: Build) -> None:
    User.objects.create(username="user1")
    path = one_api(users=[user(1, quota=700), user(2)], tokens=[key(1, 1), key(2, 2)])
    report = do_import(path, name_clash="refuse")
    assert report["refused"] == [
        {"table": "users", "id": "1", "reason": "username_taken"},
        {"table": "tokens", "id": "1", "reason": "owner_refused"},
    ]
    assert report["totals"]["balances"]["refused_quota"] == 700
    assert report["totals"]["balances"]["ties_out"] is True
    assert ApiKey.objects.count() == 1


def test_the_same_address_twice_is_kept_by_the_first_living_person(new_api: Build) -> None:
    rows = [
        user(1, email="a@x.test", deleted_at="2026-01-01"),
        user(2, email="A@x.test"),
        user(3, email="a@x.test"),
        user(4, email="?"),
    ]
    do_import(new_api(users=rows))
    assert [person(n).email for n in (1, 2, 3, 4)] == ["", "A@x.test", "", ""]
    assert sorted(issues("email_twice")) == [("users", "1"), ("users", "3")]
    assert issues("email_unreadable") == [("users", "4")]


def test_t4_t12_control_totals_are_made_from_the_ledger_and_a_gap_moves_nothing(
    one_api: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R021: an account that does not hold what the plan says undoes every posting, and its name is said."""
    path = one_api(users=[user(1), user(2)])
    original = money._posting

    def one_unit_less(work: Any, plan: Any, account: int, equity: int) -> Any:
        posting = original(work, plan, account, equity)
        return (
            posting if plan.old_user_id == 1 else type(posting)(**{**_fields(posting), "amount_nano": posting.amount_nano - 1})
        )

    monkeypatch.setattr(money, "_posting", one_unit_less)
    with pytest.raises(ControlTotalsMismatch) as refused:
        do_import(path)
    assert refused.value.details["accounts"] == ["2/prepaid"]
    assert not LedgerEntry.objects.exists()
    assert ImportRun.objects.get().state == "refused"


def _fields(posting: Any) -> dict[str, Any]:
    return {name: getattr(posting, name) for name in posting.__slots__}


def test_r021_a_row_that_the_records_miss_refuses_the_import(one_api: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over the rows is held against the database's own SUM; one unit apart is refused before anything is written."""
    path = one_api(users=[user(1), user(2)])
    original = import_engine.read_facts

    def other_sum(gateway: Any, now: int) -> Any:
        snapshot, facts, prices = original(gateway, now)
        snapshot.sums["users.quota"] += 1
        return snapshot, facts, prices

    monkeypatch.setattr(import_engine, "read_facts", other_sum)
    with pytest.raises(ControlTotalsMismatch, match="balances"):
        do_import(path)
    assert not User.objects.exists()
    assert not ImportRun.objects.exists()


def test_t7_settings_are_rules_and_are_never_copied(one_api: Build) -> None:
    saved = {
        "ModelRatio": '{"gpt-4o": 1.25}',
        "GroupRatio": '{"default": 1, "vip": 0.8}',
        "SMTPToken": "smtp-canary",
        "RegisterEnabled": "true",
    }
    report = do_import(
        one_api(users=[user(1)], channels=[channel(1)], options=[{"key": k, "value": v} for k, v in saved.items()])
    )
    assert report["tables"]["options"] == {"read": 4, "landed": 0, "created": 0, "updated": 0, "left_out": 4, "refused": 0}
    assert PriceRule.objects.get(model_name="gpt-4o").source_figures == {"model_ratio": "1.25", "completion_ratio": "4"}
    assert GroupMultiplier.objects.get(group_code="one-api/vip").multiplier == Decimal("0.8")


def test_t8_model_lists_keep_their_meaning(one_api: Build, new_api: Build) -> None:
    """Blank allows all in One API; New API's list counts only when switched on, and then an empty one allows nothing."""
    do_import(one_api(users=[user(1)], tokens=[key(1, 1, models=""), key(2, 1, models="a, b,,a")]))
    do_import(
        new_api(
            users=[user(1, username="other")],
            setups=[{"id": 1, "version": "x", "initialized_at": 5}],
            tokens=[
                key(1, 1, key="A" * 48, model_limits_enabled=1, model_limits=""),
                key(2, 1, key="B" * 48, model_limits_enabled=0, model_limits="a"),
                key(3, 1, key="C" * 48, model_limits_enabled=1, model_limits="a,b"),
            ],
        )
    )
    found = list(ApiKey.objects.order_by("id").values_list("model_names", flat=True))
    assert found == [None, ["a", "b"], [], None, ["a", "b"]]


def test_t9_networks_land_as_blocks_and_none_readable_never_means_everywhere(new_api: Build) -> None:
    rows = [key(1, 1, allow_ips="10.0.0.1\n10.0.1.0/24,"), key(2, 1, allow_ips="not an address"), key(3, 1, allow_ips="")]
    do_import(new_api(users=[user(1)], tokens=rows))
    found = [(k.networks, k.state, k.state_reason) for k in ApiKey.objects.order_by("id")]
    assert found == [
        (["10.0.0.1/32", "10.0.1.0/24"], "active", ""),
        ([], "disabled", "networks_unreadable"),
        ([], "active", ""),
    ]


def test_t10_balances_beyond_32_bits_and_debts_land_to_the_unit(one_api: Build) -> None:
    """Not clamped: 2**40 units, a debt, zero."""
    do_import(one_api(users=[user(1, quota=2**40), user(2, quota=-149_600), user(3, quota=0)]))
    assert person(1).purses.get().balance_nano == 2**40 * UNIT_NANO
    assert person(2).purses.get().balance_nano == -149_600 * UNIT_NANO
    assert not person(3).purses.exists()
    debt = LedgerEntry.objects.get(from_account__user=person(2))
    assert (debt.kind, debt.to_account.kind) == ("opening", "opening_equity")
    assert issues("balance_is_debt") == [("users", "2")]


def test_t11_t28_the_effective_state_of_keys_lands(new_api: Build) -> None:
    now = int(timezone.now().timestamp())
    rows = [
        key(1, 1, deleted_at="2026-01-01 00:00:00"),
        key(2, 2),
        key(3, 9),
        key(4, 1, expired_time=now - 60),
        key(5, 1, unlimited_quota=0, remain_quota=0),
        key(6, 1, unlimited_quota=0, remain_quota=-5, status=4),
        key(7, 1, status=2),
        key(8, 3),
        key(9, 1, unlimited_quota=1, remain_quota=-5),
        key(10, 1, status=4, unlimited_quota=0, remain_quota=9),
    ]
    people = [user(1), user(2, deleted_at="2026-01-01"), user(3, status=2)]
    report = do_import(new_api(users=people, tokens=rows))
    ids = dict(ImportedRow.objects.filter(table="tokens").values_list("row_id", "target_id"))
    found = {row_id: ApiKey.objects.get(pk=pk) for row_id, pk in ids.items()}
    assert {row_id: (k.state, k.state_reason) for row_id, k in found.items()} == {
        "1": ("revoked", "deleted_in_old"),
        "2": ("revoked", "owner_deleted"),
        "4": ("active", ""),
        "5": ("disabled", "exhausted"),
        "6": ("disabled", "exhausted"),
        "7": ("disabled", "disabled_in_old"),
        "8": ("active", ""),
        "9": ("active", ""),
        "10": ("disabled", "exhausted"),
    }
    assert found["4"].expires_at is not None
    assert found["4"].expires_at < timezone.now()
    assert person(3).state == "disabled"
    assert report["refused"] == [{"table": "tokens", "id": "3", "reason": "owner_missing"}]
    assert KeySecret.objects.filter(key=found["1"], revoked_at=None).count() == 0
    assert KeyBudget.objects.get(key=found["10"]).limit_nano == 9 * UNIT_NANO
    assert not KeyBudget.objects.filter(key=found["9"]).exists()


def test_t17_rows_without_a_key_id_are_attributed_only_where_the_name_is_unique(one_api: Build) -> None:
    at = int(timezone.now().timestamp()) - 1000
    logs = [
        {
            "id": 1,
            "user_id": 1,
            "created_at": at,
            "type": 2,
            "token_name": "job",
            "model_name": "m",
            "quota": 5,
            "prompt_tokens": 3,
            "completion_tokens": 1,
        },
        {"id": 2, "user_id": 1, "created_at": at, "type": 2, "token_name": "main", "model_name": "m", "quota": 6},
        {"id": 3, "user_id": 8, "created_at": at, "type": 2, "token_name": "job", "model_name": "m", "quota": 7},
    ]
    do_import(
        one_api(users=[user(1)], tokens=[key(1, 1, name="main"), key(2, 1, name="main"), key(3, 1, name="job")], logs=logs)
    )
    found = {log.cost_nano: log for log in RequestLog.objects.all()}
    assert found[10_000].key == ApiKey.objects.get(name="job")
    assert found[10_000].key_tail == key(3, 1)["key"][-4:]
    assert (found[12_000].key_id, found[12_000].key_name, found[12_000].user_id) == (None, "main", person(1).pk)
    assert (found[14_000].key_id, found[14_000].user_id) == (None, None)


def test_t18_wallet_bonus_subscription_and_codes_are_apart(new_api: Build) -> None:
    """R020: each in a purse or liability of its own, all of the source's own unit."""
    later = int(timezone.now().timestamp()) + 86_400
    subscriptions = [
        {"id": 1, "user_id": 1, "amount_total": 900, "amount_used": 200, "end_time": later, "status": "active"},
        {"id": 2, "user_id": 1, "amount_total": 900, "amount_used": 100, "end_time": 5, "status": "active"},
        {"id": 3, "user_id": 1, "amount_total": 0, "amount_used": 100, "end_time": later, "status": "active"},
        {"id": 4, "user_id": 1, "amount_total": 900, "amount_used": 0, "end_time": later, "status": "cancelled"},
    ]
    codes = [
        {"id": 1, "key": "c" * 32, "status": 1, "quota": 11},
        {"id": 2, "key": "d" * 32, "status": 1, "quota": 12, "expired_time": 5},
    ]
    saved = [{"key": "QuotaPerUnit", "value": "1000000"}]
    report = do_import(
        new_api(
            users=[user(1, quota=1_234_567, aff_quota=33)], user_subscriptions=subscriptions, redemptions=codes, options=saved
        )
    )
    held = {purse.kind: (purse.balance_nano, purse.priority) for purse in person(1).purses.all()}
    assert held == {"prepaid": (1_234_567_000, 30), "bonus": (33_000, 10), "subscription": (700_000, 20)}
    assert report["unit"] == "1000000"
    assert [report["totals"][n]["landed_quota"] for n in ("balances", "bonus", "subscriptions", "codes")] == [
        1_234_567,
        33,
        700,
        11,
    ]
    assert RedemptionCode.objects.filter(state="unused").count() == 1
    assert LedgerEntry.objects.get(to_account__kind="code_liability").amount_nano == 11_000


def test_r020_the_default_unit_gives_2_469134_for_1234567(one_api: Build) -> None:
    do_import(one_api(users=[user(1, quota=1_234_567)]))
    assert person(1).purses.get().balance_nano == 2_469_134_000


def test_t19_keys_are_normalised_exactly_and_pins_are_not_imported(one_api: Build) -> None:
    rows = [key(1, 1, key="abc" + " " * 45), key(2, 1, key="with-dash"), key(3, 1, key="")]
    report = do_import(one_api(users=[user(1, role=10)], tokens=rows))
    assert KeySecret.objects.get().digest == secrets.digest_of("abc").digest
    assert ApiKey.objects.get().ignores_channel_pin is True
    assert {(r["id"], r["reason"]) for r in report["refused"]} == {("2", "secret_unusable"), ("3", "secret_empty")}


def test_t24_the_pair_ratio_stands_beside_the_group_ratio(new_api: Build) -> None:
    saved = {
        "GroupRatio": '{"default":1,"vip":0.8}',
        "GroupGroupRatio": '{"vip":{"default":0.95}}',
        "UserUsableGroups": '{"default":""}',
    }
    do_import(new_api(users=[user(1, group="vip")], options=[{"key": k, "value": v} for k, v in saved.items()]))
    found = {(m.group_code, m.payer_group_code): m.multiplier for m in GroupMultiplier.objects.all()}
    assert found == {
        ("new-api/default", ""): 1,
        ("new-api/vip", ""): Decimal("0.8"),
        ("new-api/default", "new-api/vip"): Decimal("0.95"),
    }
    assert Group.objects.get(code="new-api/vip").usable_codes == ["new-api/default"]


def test_t26_roots_gift_is_left_out_and_counted(one_api: Build) -> None:
    report = do_import(
        one_api(users=[user(1, role=100, quota=500_000_000_000_123, used_quota=7), user(2, role=100, quota=600)])
    )
    assert report["totals"]["balances"]["left_out_quota"] == 500_000_000_000_000
    assert person(1).purses.get().balance_nano == 123 * UNIT_NANO
    assert person(2).purses.get().balance_nano == 600 * UNIT_NANO
    assert issues("staff_not_granted") == [("users", "1"), ("users", "2")]
    assert {u.role for u in User.objects.all()} == {"user"}


def test_an_administrator_that_set_roots_balance_anew_leaves_it_as_money(one_api: Build) -> None:
    do_import(one_api(users=[user(1, role=100, quota=5_000)]))
    assert person(1).purses.get().balance_nano == 5_000 * UNIT_NANO


def test_t27_the_text_of_a_log_row_is_never_money(one_api: Build) -> None:
    logs = [
        {
            "id": 1,
            "user_id": 1,
            "created_at": 1_790_000_000,
            "type": 3,
            "content": "额度从 ＄2.000000 额度修改为 ＄0.000000 额度",
            "quota": 0,
        }
    ]
    do_import(one_api(users=[user(1, quota=999_872)], logs=logs))
    assert person(1).purses.get().balance_nano == 999_872 * UNIT_NANO
    assert not RequestLog.objects.exists()


def test_r043_every_old_name_has_a_line(one_api: Build) -> None:
    """Names of channels, mappings, key lists and log rows: callable as they are, led to another, or retired."""
    rows = [
        channel(1, models="gpt-4o,shared"),
        channel(2, models="our-chat,only-vip", model_mapping='{"our-chat": "gpt-4o", "only-vip": "gpt-4o"}', group="default"),
        channel(3, models="gone", status=2),
        channel(4, models="only-vip", model_mapping='{"only-vip": "gpt-4o"}', group="vip"),
        channel(5, models="broken", model_mapping="{not json"),
    ]
    log = {"id": 1, "user_id": 1, "created_at": 1_790_000_000, "type": 2, "model_name": "only-in-logs", "quota": 1}
    saved = {"ModelRatio": '{"gpt-4o": 1}', "GroupRatio": '{"default": 1, "vip": 1}'}
    do_import(
        one_api(
            users=[user(1)],
            tokens=[key(1, 1, models="only-in-list")],
            channels=rows,
            logs=[log],
            options=[{"key": k, "value": v} for k, v in saved.items()],
        )
    )
    found = {
        e.old_name: (e.kind, e.callable_model.name if e.callable_model else "", e.bill_as_called)
        for e in NameMapEntry.objects.all()
    }
    assert found == {
        "gpt-4o": ("same", "gpt-4o", True),
        "shared": ("same", "shared", True),
        "broken": ("same", "broken", True),
        "our-chat": ("alias", "gpt-4o", True),
        # Open to vip too, which gpt-4o is not: leading one name to the other would close it for them.
        "only-vip": ("same", "only-vip", True),
        "gone": ("retired", "", True),
        "only-in-list": ("retired", "", True),
        "only-in-logs": ("retired", "", True),
    }
    assert set(ModelAccess.objects.filter(model__name="only-vip").values_list("group_code", flat=True)) == {
        "one-api/default",
        "one-api/vip",
    }
    assert PriceRule.objects.get(model_name="only-vip").source_figures["model_ratio"] == "1"
    assert set(Upstream.objects.filter(name="ch2").values_list("served__model__name", "served__upstream_name")) == {
        ("only-vip", "gpt-4o")
    }


def test_upstreams_come_without_their_secrets_unless_asked(one_api: Build) -> None:
    rows = [channel(1, key="canary-up-1"), channel(2, key="canary-up-2", status=2), channel(3, key="x", base_url="", type=999)]
    report = do_import(one_api(users=[user(1)], channels=rows))
    assert list(Upstream.objects.order_by("name").values_list("name", "state", "credential_sealed")) == [
        ("ch1", "needs_credential", None),
        ("ch2", "disabled", None),
    ]
    assert {"table": "channels", "id": "3", "reason": "channel_address_unknown"} in report["refused"]


def test_upstream_secrets_are_sealed_when_asked_for(one_api: Build) -> None:
    do_import(one_api(users=[user(1)], channels=[channel(1, key="canary-upstream-credential")]), with_upstream_secrets=True)
    upstream = Upstream.objects.get()
    assert upstream.state == "enabled"
    assert b"canary" not in bytes(upstream.credential_sealed or b"")


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
