"""``ledger_check`` holds on sound data and sees each kind of damage. The damage is done past triggers, as a superuser would."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings

from accounts.models import Role, User
from billing.invariants import check_all
from billing.models import DeskItem, LedgerEntry, PriceVersion, RedemptionCode
from billing.pricing import RuleFigures
from billing.services import budgets, codes, desk, leases, ledger, money, prices, refunds, seals, usage
from billing.services.payments import unmatched
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.secrets import digest_of
from tests.billing.helpers import broken, converted, end, give, hold, key_of, person, rich

pytestmark = pytest.mark.django_db


@pytest.fixture
def busy_ledger() -> None:
    """A ledger in which everything has happened once."""
    finance = person("finance", Role.FINANCE)
    user, purse = rich("ada", 10_000)
    give(ledger.purse_for(user=user, kind="bonus"), 50)
    key = key_of(user)
    budgets.set_key_limit(actor=None, key=key, limit_nano=10_000)
    log = {"user_id": user.pk, "key_id": key.pk, "billed_model": "m", "group_code": "g", "input_tokens": 3}
    end(hold(user, 100, key=key).request_id, 90, **log, price_detail={"cost_nano": 90})
    usage.fold_usage()
    end(hold(user, 100, key=key).request_id, 110, **log, price_detail={"cost_nano": 110})
    end(hold(user, 10, key=key).request_id, 0, **{**log, "outcome": "timeout"})
    hold(user, 20, key=key)
    hold(user, 20, seconds=-1000)
    ledger.expire_holds()
    hold(user, 500, key=key)
    end(uuid7(), 0, has_hold=False, outcome="bad_key")
    lend()
    money.top_up(actor=finance, user=user, amount_nano=500, reason="bank transfer")
    opening = ledger.house_account("opening_equity", "import:one").pk
    old = ledger.purse_for(user=user, origin="import:one", is_spendable=False)
    owed = ledger.house_account("code_liability", "import:one").pk
    ledger.post_entries(
        [
            ledger.Posting(uuid7(), "opening", opening, old.pk, 700),
            ledger.Posting(uuid7(), "opening", opening, owed, 30),
        ]
    )
    for number in (1, 2):
        digest = digest_of(f"spring-{number}")
        RedemptionCode.objects.create(
            digest=digest.digest, pepper_number=digest.pepper_number, tail=digest.tail, amount_nano=15, origin="import:one"
        )
    codes.redeem_code(actor=user, presented=" spring-1 ")
    unmatched.enter_transfer(actor=finance, transfer=unmatched.Transfer("RE-1", 500, "USD", "somebody", now()))
    (mistake,) = ledger.post_entries([ledger.Posting(uuid7(), "top_up", ledger.house_account("cash").pk, purse.pk, 9)])
    with override_settings(ADJUST_ALONE_USD=1):
        money.reverse_entry(actor=finance, entry=purse.entries_in.get(pk=mistake.entry_id), reason="typed twice")
    book = prices.create_book(actor=None, code="house", name="House", formula="portal", is_default=True)
    rule = RuleFigures(input_nano=2_500_000_000, output_nano=10_000_000_000)
    prices.publish_version(
        actor=None,
        book=book,
        rules={"m": rule, "small": RuleFigures(input_nano=1_000_000)},
        multipliers={("g", ""): Decimal("0.8")},
    )
    at_a_price(user)
    for cost in (70, 80):
        too_late(user, cost)
    desk.settle_desk_item(actor=finance, item=DeskItem.objects.get(amount_nano=80), reason="the upstream's bill has it")
    euros = give_euros(user, 5_000_000_000)
    converted(
        finance,
        user=user,
        from_currency="EUR",
        to_currency="USD",
        amount_nano=euros,
        rate_numerator=108_517,
        rate_denominator=100_000,
        reason="asked",
    )
    with override_settings(ADJUST_ALONE_USD=1):
        refunds.refund_call(
            actor=finance, request_id=LedgerEntry.objects.filter(kind="charge")[0].transaction_id, reason="slow"
        )
    assert seals.seal_entries() > 0


def lend() -> None:
    """A lease with a call on it."""
    user, _purse = rich("lena", 10_000)
    key, lease = key_of(user), uuid7()
    leases.open_leases([leases.LeaseRequest(lease, "relay", key.pk, 500, 100)])
    log = {"key_id": key.pk, "user_id": user.pk, "outcome": "ok"}
    assert ledger.record_calls([ledger.CallEvent(uuid7(), 40, True, "", log, lease, 100)])[0].status == "recorded"


def give_euros(user: User, amount: int) -> int:
    purse = ledger.purse_for(user=user, currency="EUR")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", ledger.house_account("cash", currency="EUR").pk, purse.pk, amount)])
    return amount


def at_a_price(user: User) -> None:
    """A call of 50 tokens at 0.001 a million times 0.8."""
    (version,) = book_versions()
    detail = {"formula": "portal", "multiplier": "0.8", "cost_nano": 40, "rule": {"event": "complete", "charged": "all"}}
    log = {"billed_model": "small", "price_version_id": version, "input_tokens": 50, "price_detail": detail}
    end(hold(user, 100).request_id, 40, **log)


def book_versions() -> list[int]:
    return list(PriceVersion.objects.values_list("pk", flat=True))


def too_late(user: User, cost: int) -> None:
    """A call whose end is reported a month after its hold ran out."""
    call = hold(user, 100, seconds=-31 * 86400).request_id
    ledger.expire_holds()
    assert end(call, cost).status == "parked"


DAMAGE = {
    "balance": "UPDATE billing_ledgeraccount SET balance_nano = balance_nano + 1 WHERE kind = 'prepaid' AND origin = ''",
    "sequence": "UPDATE billing_ledgeraccount SET seq = seq + 1 WHERE kind = 'bonus'",
    "chain": "UPDATE billing_ledgerentry SET to_balance_nano = to_balance_nano + 1 WHERE kind = 'top_up' AND amount_nano = 500",
    "floor": "UPDATE billing_ledgeraccount SET floor_nano = -1000000 WHERE kind = 'bonus'",
    "house": "UPDATE billing_ledgeraccount SET seq = 1 WHERE kind = 'revenue'",
    "accounts": "UPDATE billing_hold SET key_id = -1 WHERE state = 'open'",
    "held": """UPDATE billing_ledgeraccount SET held_nano = held_nano + 1
        WHERE kind = 'prepaid' AND origin = '' AND currency = 'USD'""",
    "hold_parts": "UPDATE billing_hold SET amount_nano = amount_nano + 1 WHERE state = 'expired'",
    "hold_overdue": "UPDATE billing_hold SET expires_at = now() - interval '6 minutes' WHERE state = 'open'",
    "leases": "UPDATE billing_lease SET spent_nano = spent_nano - 1, granted_nano = granted_nano - 1",
    "hold_logged": "UPDATE billing_hold SET settled_nano = settled_nano + 1 WHERE state = 'settled'",
    "limits": "UPDATE billing_spendwindow SET spent_nano = spent_nano + 1",
    "limited_purses": "UPDATE billing_ledgeraccount SET has_limits = false",
    "test_money": "UPDATE billing_hold SET is_test = true WHERE state = 'open'",
    "charges": "UPDATE billing_requestlog SET cost_nano = cost_nano + 1 WHERE cost_nano > 0",
    "charge_payer": """UPDATE billing_ledgerentry SET to_account_id =
        (SELECT id FROM billing_ledgeraccount WHERE kind = 'cash' AND currency = 'USD') WHERE kind = 'charge'""",
    "arithmetic": """UPDATE billing_requestlog SET price_detail = '{"cost_nano": 1}' WHERE cost_nano > 0""",
    "formula": "UPDATE billing_requestlog SET input_tokens = 51 WHERE billed_model = 'small'",
    "imported_free": "UPDATE billing_requestlog SET origin = 'imported' WHERE cost_nano > 0",
    "usage_house": "DELETE FROM billing_usagehouse WHERE cut = 'modality'",
    "usage_accounts": "UPDATE billing_usageaccount SET call_count = call_count + 1",
    "usage_spans": "UPDATE billing_usageaccount SET call_count = call_count + 1 WHERE minutes = 14400",
    "usage_keys": "DELETE FROM billing_usagekeydaily",
    "usage_cube": "UPDATE billing_usagecube SET cost_nano = cost_nano + 1",
    "codes": "UPDATE billing_redemptioncode SET state = 'unused' WHERE state = 'used'",
    "opening": "UPDATE billing_ledgerentry SET kind = 'top_up' WHERE kind = 'opening'",
    "reversals": "UPDATE billing_ledgerentry SET amount_nano = amount_nano + 1 WHERE kind = 'reversal'",
    "guards": "ALTER TABLE billing_ledgerentry DISABLE TRIGGER entry_append_only",
    "suspense": """UPDATE billing_ledgerentry SET from_account_id =
        (SELECT id FROM billing_ledgeraccount WHERE kind = 'cash' AND currency = 'USD') WHERE kind = 'late'""",
    "payments": "UPDATE billing_incomingpayment SET booked_nano = booked_nano + 1",
    "cash": "UPDATE billing_ledgerentry SET kind = 'paid_back' WHERE kind = 'unmatched'",
    "disputes": "UPDATE billing_ledgerentry SET kind = 'dispute' WHERE kind = 'reversal'",
    "desk": "UPDATE billing_deskitem SET amount_nano = amount_nano + 1 WHERE state <> 'open'",
    "currency": """UPDATE billing_ledgerentry SET to_account_id =
        (SELECT id FROM billing_ledgeraccount WHERE kind = 'cash' AND currency = 'USD') WHERE kind = 'conversion' AND n = 0""",
    "conversions": "UPDATE billing_currencyconversion SET rate_numerator = rate_numerator + 1",
    "refunds": "UPDATE billing_callrefund SET amount_nano = amount_nano - 1",
    "seal_entry": "UPDATE billing_ledgerentry SET reason = 'mine' WHERE kind = 'top_up' AND amount_nano = 500",
    "seal_chain": "DELETE FROM billing_ledgerseal WHERE id = (SELECT max(id) FROM billing_ledgerseal)",
    "prices": "UPDATE billing_pricerule SET input_nano = 1",
}


def test_everything_holds_on_a_busy_ledger(busy_ledger: None) -> None:
    assert broken() == {}
    assert [finding.code for finding in check_all()] == list(DAMAGE)


@pytest.mark.parametrize("code", DAMAGE)
def test_damage_is_seen(busy_ledger: None, code: str) -> None:
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(DAMAGE[code])
        assert cursor.rowcount != 0
        cursor.execute("SET LOCAL session_replication_role = origin")
    found = broken()
    assert code in found
    assert found[code][0][0]
    if code == "guards":
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE billing_ledgerentry ENABLE TRIGGER entry_append_only")


def test_a_missing_entry_is_seen_from_every_side(busy_ledger: None) -> None:
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "DELETE FROM billing_ledgerentry WHERE id = (SELECT min(id) FROM billing_ledgerentry WHERE kind = 'charge')"
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert set(broken()) >= {"balance", "sequence", "charges"}


def test_an_hour_later_the_open_holds_are_overdue(busy_ledger: None) -> None:
    assert set(broken(now() + timedelta(hours=1))) == {"hold_overdue", "leases"}


def test_the_command_prints_a_table_and_exits_with_one_on_damage(busy_ledger: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ledger_check")
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"{len(DAMAGE)} invariants, all hold."
    assert sum(" ok " in line for line in said.splitlines()) == len(DAMAGE)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_spendwindow SET spent_nano = spent_nano + 1")
    with pytest.raises(SystemExit) as stopped:
        call_command("ledger_check", "--json")
    assert stopped.value.code == 1
    body = json.loads(capsys.readouterr().out)
    assert body["ok"] is False
    assert {x["code"]: x["breaches"] for x in body["invariants"] if x["breaches"]} == {"limits": 1}
