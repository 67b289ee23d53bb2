"""Purses in their stated order, and test keys that touch no other money than test money."""

from typing import Any

import pytest

from accounts.models import User
from billing.models import Hold, LedgerAccount, LedgerEntry
from billing.selectors import balance_of
from billing.services import ledger, money
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, end, figures, give, hold, key_of, person, rich, wants

pytestmark = pytest.mark.django_db


def purse(user: User, kind: str, amount: int) -> LedgerAccount:
    made = ledger.purse_for(user=user, kind=kind)
    return give(made, amount) if amount else made


def drawn(call: Any) -> list[tuple[str, int, str]]:
    """(kind of purse, amount, why) of the charges of a call, in their order."""
    entries = LedgerEntry.objects.filter(transaction_id=call, kind="charge").order_by("n")
    return list(entries.values_list("from_account__kind", "amount_nano", "draw"))


def test_bonus_subscription_prepaid_and_postpaid_are_drawn_in_this_order() -> None:
    """X1 and the order of purses: every charge says which purse and why."""
    user = person()
    order = ("bonus", "subscription", "prepaid", "postpaid")
    purses = {kind: purse(user, kind, amount) for kind, amount in zip(order, (100, 200, 300, 0), strict=True)}
    purse(user, "test", 5000)
    LedgerAccount.objects.filter(pk=purses["postpaid"].pk).update(credit_limit_nano=400, floor_nano=-400)
    assert [x.kind for x in balance_of(user).purses] == ["test", *order]
    call = hold(user, 900)
    assert (call.status, call.available_nano) == ("held", 100)
    end(call.request_id, 900)
    assert drawn(call.request_id) == [
        ("bonus", 100, "held"),
        ("subscription", 200, "held"),
        ("prepaid", 300, "held"),
        ("postpaid", 300, "held"),
    ]
    assert [figures(purses[kind]) for kind in order] == [(0, 0), (0, 0), (0, 0), (-300, 0)]
    assert hold(user, 101).status == "no_balance"
    over = hold(user, 50)
    end(over.request_id, 250)
    assert drawn(over.request_id) == [("postpaid", 250, "debt")]
    assert broken() == {}


def test_a_call_that_costs_more_than_it_held_says_so() -> None:
    user = person()
    purse(user, "bonus", 100)
    purse(user, "prepaid", 1000)
    call = hold(user, 100)
    end(call.request_id, 130)
    assert drawn(call.request_id) == [("bonus", 100, "held"), ("prepaid", 30, "beyond")]
    late = hold(user, 10, seconds=-1)
    ledger.expire_holds(at=now())
    end(late.request_id, 20)
    assert drawn(late.request_id) == [("prepaid", 20, "late")]
    assert broken() == {}


def test_R011_test_calls_never_touch_production_money() -> None:
    """R011: 100 calls of a test key change the production wallet by 0; without test money they are refused no_balance; and
    calls of every other purpose leave the test purse alone."""
    user, wallet = rich(amount=1_000_000)
    key = ApiKey.objects.create(name="ci", owner=user, purpose="test")
    refused = hold(user, 10, key=key)
    assert (refused.status, refused.available_nano) == ("no_balance", 0)
    assert money.give_test_money(actor=person("fin", "finance"), user=user, amount_nano=7000, reason="trial").status == "posted"
    sandbox = ledger.purse_for(user=user, kind="test")
    assert balance_of(user).available_nano == 1_000_000
    asks = [wants(user, 60, key=key) for _ in range(50)]
    assert {x.status for x in ledger.reserve(asks)} == {"held"}
    ledger.record_calls([ledger.CallEvent(ask.request_id, 60, True, "", {"outcome": "ok"}) for ask in asks])
    for _call in range(50):
        alone = hold(user, 60, key=key)
        assert alone.status == "held"
        end(alone.request_id, 60)
    assert (figures(wallet), figures(sandbox)) == ((1_000_000, 0), (1000, 0))
    assert hold(user, 1001, key=key).status == "no_balance"
    # More than was held, and a report after the end of the hold: still test money, in debt if need be.
    dear, late = hold(user, 10, key=key), hold(user, 10, key=key, seconds=-1)
    ledger.expire_holds(at=now())
    assert (end(dear.request_id, 990).status, end(late.request_id, 30).status) == ("recorded", "late")
    assert (figures(wallet), figures(sandbox)) == ((1_000_000, 0), (-20, 0))
    for purpose in ("production", "script", "personal"):
        other = ApiKey.objects.create(name=purpose, owner=user, purpose=purpose)
        end(hold(user, 100, key=other).request_id, 100)
    assert (figures(wallet), figures(sandbox)) == ((999_700, 0), (-20, 0))
    assert set(Hold.objects.filter(key=key).values_list("is_test", flat=True)) == {True}
    assert broken() == {}


def test_a_batch_draws_many_purses_of_many_people_at_once() -> None:
    """Set by set or call by call: the same figures to the unit."""
    results = []
    for batched in (True, False):
        people = []
        for number in range(4):
            user = person(f"{'b' if batched else 'a'}{number}")
            people.append((user, purse(user, "bonus", 130 + number), purse(user, "prepaid", 1000)))
        moment = int(now().timestamp() * 1000)
        asks = [wants(people[n % 4][0], 45 + n, call=uuid7(moment + n)) for n in range(40)]
        answers = ledger.reserve(asks) if batched else [ledger.reserve([ask])[0] for ask in asks]
        events = [ledger.CallEvent(ask.request_id, 7 * n % 50, True, "", {}) for n, ask in enumerate(asks)]
        done = ledger.record_calls(events) if batched else [ledger.record_calls([event])[0] for event in events]
        assert {x.status for x in done} == {"recorded"}
        drawn_by = [drawn(ask.request_id) for ask in asks]
        states = [(figures(bonus), figures(prepaid)) for _user, bonus, prepaid in people]
        results.append(([(x.status, x.available_nano) for x in answers], drawn_by, states))
    assert results[0] == results[1]
    assert broken() == {}


def test_a_key_that_is_not_there_is_refused() -> None:
    user, wallet = rich(amount=100)
    key = key_of(user)
    request = wants(user, 10, key=key)
    ApiKey.objects.filter(pk=key.pk).delete()
    assert [x.status for x in ledger.reserve([request])] == ["refused"]
    assert figures(wallet) == (100, 0)
