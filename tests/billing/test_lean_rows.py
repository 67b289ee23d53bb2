"""What the rows of every call no longer check for themselves is checked when it is set, and held by other means."""

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Group
from billing.models import Hold, LedgerAccount, LedgerEntry, RequestLog
from billing.services import ledger
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import broken, end, figures, give, hold, key_of, person, rich

pytestmark = pytest.mark.django_db

WRONG_ACCOUNTS = {
    "account_one_owner": {"kind": "prepaid", "is_purse": True, "user": True, "group": True},
    "account_purse_or_house": {"kind": "revenue", "is_purse": True, "user": True},
    "account_house_is_empty": {"kind": "cash", "is_purse": False, "is_spendable": False, "balance_nano": 1},
    "account_spent_in_usd": {"kind": "prepaid", "is_purse": True, "user": True, "currency": "EUR"},
}


def attempt(fields: dict[str, object]) -> None:
    owners = {"user": person("eve") if fields.get("user") else None, "group": None}
    if fields.get("group"):
        owners["group"] = Group.objects.create(code="crew", name="Crew")
    LedgerAccount.objects.create(**{**fields, **owners})


@pytest.mark.parametrize("rule", WRONG_ACCOUNTS)
def test_an_account_that_cannot_be_is_refused_by_the_name_of_its_rule(rule: str) -> None:
    before = LedgerAccount.objects.count()
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        attempt(WRONG_ACCOUNTS[rule])
    assert refused.value.__cause__.diag.constraint_name == rule  # type: ignore[union-attr]
    assert LedgerAccount.objects.count() == before


def test_an_account_cannot_become_what_it_may_not_be() -> None:
    _user, purse = rich()
    for change in ({"kind": "revenue"}, {"is_purse": False}, {"currency": "EUR"}, {"group_id": 1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            LedgerAccount.objects.filter(pk=purse.pk).update(**change)
    house = ledger.house_account("cash")
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerAccount.objects.filter(pk=house.pk).update(user=person("eve"))


def test_an_account_with_a_history_stays_and_keeps_its_number() -> None:
    _user, purse = rich()
    for account in (purse, ledger.house_account("revenue")):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM billing_ledgeraccount WHERE id = %s", [account.pk])
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE billing_ledgeraccount SET id = id + 1000000 WHERE id = %s", [account.pk])
    unused = ledger.purse_for(user=person("eve"))
    unused.delete()
    assert not LedgerAccount.objects.filter(pk=unused.pk).exists()


@pytest.mark.parametrize("side", ["from_account_id", "to_account_id"])
def test_an_entry_to_an_account_that_is_not_there_is_refused(side: str) -> None:
    _user, purse = rich()
    accounts = {"from_account_id": ledger.house_account("cash").pk, "to_account_id": purse.pk, side: 0}
    before = LedgerEntry.objects.count(), figures(purse)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.post_entries([ledger.Posting(transaction_id=uuid7(), kind="top_up", amount_nano=5, **accounts)])
    assert (LedgerEntry.objects.count(), figures(purse)) == before


def test_a_closed_hold_stays_as_it_closed() -> None:
    user, purse = rich()
    call = hold(user, 100, key=key_of(user)).request_id
    for change in ({"amount_nano": 1}, {"user_id": None}, {"key_id": None}, {"part_amounts": [1]}, {"account_ids": [0]}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.filter(pk=call).update(**change)
    for half in ({"state": "settled"}, {"settled_nano": 5}, {"closed_at": uuid7_time(call)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.filter(pk=call).update(**half)
    end(call, 60)
    for change in ({"state": "open"}, {"settled_nano": 61}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.filter(pk=call).update(**change)
    assert figures(purse) == (940, 0)


def test_a_call_that_is_logged_while_its_hold_is_open_is_charged_nothing_and_stays_open() -> None:
    user, purse = rich()
    call = uuid7()
    end(call, 0, has_hold=False, outcome="bad_key")
    assert hold(user, 100, call=call).status == "held"
    assert end(call, 60).status == "repeated"
    assert RequestLog.objects.get(pk=call).cost_nano == 0
    assert not LedgerEntry.objects.filter(transaction_id=call).exists()
    assert figures(purse) == (1000, 100)


def test_the_first_call_of_a_house_without_accounts_is_charged() -> None:
    user = person()
    purse = ledger.purse_for(user=user)
    LedgerAccount.objects.filter(pk=purse.pk).update(credit_limit_nano=1000, floor_nano=-1000)
    call = hold(user, 100).request_id
    assert not LedgerAccount.objects.filter(kind="revenue").exists()
    assert end(call, 60).status == "recorded"
    assert figures(purse) == (-60, 0)
    assert LedgerEntry.objects.get(transaction_id=call).to_account.kind == "revenue"
    give(purse, 100)
    assert broken() == {}
