"""Holds, charges and their repetitions, through the services."""

from datetime import timedelta

import pytest

from accounts.models import User
from billing.services import ledger
from config.foundation.clock import now
from config.foundation.ids import uuid7

pytestmark = pytest.mark.django_db


def person(name="ada"):
    return User.objects.create_user(username=name)


def give(purse, amount):
    cash = ledger.house_account("cash")
    ledger.post_entries([ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, amount)])
    purse.refresh_from_db()


def test_hold_then_charge():
    user = person()
    purse = ledger.purse_for(user=user)
    give(purse, 1000)
    rid = uuid7()
    (held,) = ledger.reserve([ledger.ReserveRequest(rid, user.pk, None, None, 400, now() + timedelta(minutes=5), {})])
    assert (held.status, held.available_nano) == ("held", 600)
    (done,) = ledger.record_calls(
        [ledger.CallEvent(rid, 300, True, "", {"outcome": "ok", "user_id": user.pk, "asked_model": "m"})]
    )
    assert done.status == "recorded"
    purse.refresh_from_db()
    assert (purse.balance_nano, purse.held_nano, purse.seq) == (700, 0, 2)
