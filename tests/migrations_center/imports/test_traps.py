"""Traps found in other migration tools, each as a small database of its own, and what the import makes of it."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Group, User
from billing.models import (
    GroupMultiplier,
    LedgerAccount,
    LedgerEntry,
    PriceRule,
    RedemptionCode,
    RequestLog,
    SpendLimit,
)
from keys import secrets
from keys.models import ApiKey, KeySecret
from migrations_center.models import ImportedRow, ImportIssue, ImportRun
from migrations_center.services import import_engine
from migrations_center.services.apply import money
from migrations_center.services.errors import ControlTotalsMismatch
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
    assert SpendLimit.objects.get(key=found["10"]).limit_nano == 9 * UNIT_NANO
    assert not SpendLimit.objects.filter(key=found["9"]).exists()


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
    access = ModelAccess.objects.filter(model__name="only-vip").values_list("group_code", flat=True)
    assert set(access) == {"one-api/default", "one-api/vip"}
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
