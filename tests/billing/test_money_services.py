"""Top-ups, corrections, reversals, codes and allowances."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent, Role
from billing.models import LedgerAccount, LedgerEntry, RedemptionCode
from billing.services import budgets, codes, ledger, money
from billing.services.errors import AlreadyReversed, CodeNotUsable, EntryMismatch, InsufficientBalance, PostingRefused
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from keys.secrets import digest_of
from tests.billing.helpers import broken, end, figures, hold, key_of, person, rich

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


def make_code(bare: str, amount: int, **more: object) -> RedemptionCode:
    owed, equity = ledger.house_account("code_liability", "import:one"), ledger.house_account("opening_equity", "import:one")
    ledger.post_entries([ledger.Posting(uuid7(), "opening", equity.pk, owed.pk, amount)])
    found = digest_of(bare)
    return RedemptionCode.objects.create(
        digest=found.digest,
        pepper_number=found.pepper_number,
        tail=found.tail,
        amount_nano=amount,
        origin="import:one",
        **more,
    )


def test_finance_tops_up_once_per_act_and_the_trail_says_so() -> None:
    finance, user, act = person("finance", Role.FINANCE), person("ada"), uuid7()
    for _time in range(2):
        money.top_up(actor=finance, user=user, amount_nano=5 * USD, reason="invoice 17", transaction_id=act)
    purse = LedgerAccount.objects.get(user=user)
    assert figures(purse) == (5 * USD, 0)
    with pytest.raises(EntryMismatch):
        money.top_up(actor=finance, user=user, amount_nano=6 * USD, reason="invoice 17", transaction_id=act)
    event = AuditEvent.objects.get(action="ledger.top_up")
    assert (event.actor, event.reason, event.after) == (finance, "invoice 17", {"amount_nano": 5 * USD})
    entry = LedgerEntry.objects.get()
    assert (entry.actor, entry.reason, entry.from_account.kind) == (finance, "invoice 17", "cash")


@pytest.mark.parametrize("role", [Role.USER, Role.OPS, Role.SUPPORT, Role.DEVELOPER])
def test_others_cannot_move_money(role: str) -> None:
    actor, (user, purse) = person("actor", role), rich()
    with pytest.raises(NotAllowed):
        money.top_up(actor=actor, user=user, amount_nano=1, reason="gift")
    with pytest.raises(NotAllowed):
        money.adjust(actor=actor, purse=purse, amount_nano=1, reason="gift")
    with pytest.raises(NotAllowed):
        money.reverse_entry(actor=actor, entry=LedgerEntry.objects.get(), reason="gift")
    with pytest.raises(NotAllowed):
        money.set_credit_limit(actor=actor, purse=purse, limit_nano=1, reason="gift")
    assert figures(purse) == (1000, 0)
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize(("amount", "reason"), [(0, "x"), (-5, "x"), (5, "  ")])
def test_a_top_up_needs_an_amount_and_a_reason(amount: int, reason: str) -> None:
    with pytest.raises(InvalidInput):
        money.top_up(actor=person("finance", Role.FINANCE), user=person(), amount_nano=amount, reason=reason)


@pytest.fixture
def alone(settings: Any) -> None:
    """One person may do everything: what these tests are about is the money, not who says yes."""
    settings.ADJUST_ALONE_USD = settings.TOP_UP_ALONE_USD = 1_000_000


@pytest.mark.usefixtures("alone")
def test_corrections_and_reversals() -> None:
    finance, (_user, purse) = person("finance", Role.FINANCE), rich(amount=100)
    money.adjust(actor=finance, purse=purse, amount_nano=-30, reason="typed wrong")
    assert figures(purse) == (70, 0)
    with pytest.raises(InsufficientBalance):
        money.adjust(actor=finance, purse=purse, amount_nano=-71, reason="typed wrong")
    first = LedgerEntry.objects.get(kind="top_up")
    with pytest.raises(InsufficientBalance):
        money.reverse_entry(actor=finance, entry=first, reason="cheque bounced")
    money.reverse_entry(actor=finance, entry=first, reason="cheque bounced", allow_debt=True)
    assert figures(purse) == (-30, 0)
    with pytest.raises(AlreadyReversed):
        money.reverse_entry(actor=finance, entry=first, reason="cheque bounced", allow_debt=True)
    assert broken() == {}


@pytest.mark.usefixtures("alone")
def test_a_charge_is_refunded_and_not_reversed_so_that_it_cannot_come_back_twice() -> None:
    finance, (user, purse) = person("finance", Role.FINANCE), rich(amount=100)
    end(hold(user, 50).request_id, 40)
    with pytest.raises(PostingRefused, match="Calls are refunded"):
        money.reverse_entry(actor=finance, entry=LedgerEntry.objects.get(kind="charge"), reason="outage")
    assert figures(purse) == (60, 0)
    assert broken() == {}


@pytest.mark.usefixtures("alone")
def test_a_credit_limit_follows_holds_and_debt() -> None:
    finance, (user, purse) = person("finance", Role.FINANCE), rich(amount=100)
    money.set_credit_limit(actor=finance, purse=purse, limit_nano=50, reason="contract")
    call = hold(user, 150).request_id
    money.set_credit_limit(actor=finance, purse=purse, limit_nano=0, reason="contract ended")
    assert hold(user, 1).status == "no_balance"
    end(call, 150)
    assert figures(purse) == (-50, 0)
    assert broken() == {}


def test_the_owner_sets_the_allowance_of_a_key() -> None:
    user, stranger = person(), person("eve")
    key = key_of(user)
    assert budgets.set_key_limit(actor=user, key=key, limit_nano=5).limit_nano == 5
    assert AuditEvent.objects.get(action="key.limit_changed").after == {"span": "total", "limit_nano": 5, "time_zone": "UTC"}
    with pytest.raises(NotAllowed):
        budgets.set_key_limit(actor=stranger, key=key, limit_nano=None)
    with pytest.raises(InvalidInput):
        budgets.set_key_limit(actor=user, key=key, limit_nano=-1)


def test_a_code_is_worth_its_amount_once() -> None:
    user, other = person(), person("bob")
    make_code("ab-12-cd", 700)
    assert codes.redeem_code(actor=user, presented="  ab-12-cd\n").amount_nano == 700
    for who in (user, other):
        with pytest.raises(CodeNotUsable):
            codes.redeem_code(actor=who, presented="ab-12-cd")
    assert figures(LedgerAccount.objects.get(user=user)) == (700, 0)
    assert not LedgerAccount.objects.filter(user=other).exists()
    assert RedemptionCode.objects.values_list("state", "used_by").get() == ("used", user.pk)
    assert "ab-12-cd" not in str(list(AuditEvent.objects.values()))
    assert broken() == {}


@pytest.mark.parametrize("more", [{"state": "disabled"}, {"expires_at": now() - timedelta(seconds=1)}])
def test_a_code_that_was_withdrawn_or_ran_out_gives_nothing(more: dict[str, object]) -> None:
    user = person()
    make_code("ab12", 700, **more)
    with pytest.raises(CodeNotUsable):
        codes.redeem_code(actor=user, presented="ab12")
    assert not LedgerAccount.objects.filter(user=user).exists()


@pytest.mark.parametrize("text", ["", "   ", "unknown", "x" * 500])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(CodeNotUsable):
        codes.redeem_code(actor=person(), presented=text)
