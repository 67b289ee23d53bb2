"""A refunded call gives each purse back what it took, once, and never more than the call was charged."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction

from accounts.models import AuditEvent, Role, User
from billing.models import CallRefund, LedgerAccount, LedgerEntry
from billing.services import ledger
from billing.services.errors import EntryMismatch, RefundTooHigh
from billing.services.refunds import REFUND_SQL, refund_call, refund_failed_task
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, end, figures, give, hold, person
from tests.billing.test_at_once import dsn

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(settings: Any) -> None:
    """Small refunds need nobody else in most of these tests; test_refund_pages.py asks for two."""
    settings.ADJUST_ALONE_USD = 1


def call_from_two_purses() -> tuple[User, LedgerAccount, LedgerAccount, UUID]:
    """A call of 450: 100 from the bonus, 350 from what was paid (50 of it as debt)."""
    user = person()
    bonus = give(ledger.purse_for(user=user, kind="bonus"), 100)
    prepaid = give(ledger.purse_for(user=user), 300)
    call = hold(user, 150).request_id
    assert end(call, 450).status == "recorded"
    assert (figures(bonus), figures(prepaid)) == ((0, 0), (-50, 0))
    return user, bonus, prepaid, call


def finance() -> User:
    return person("finance", Role.FINANCE)


def test_the_whole_charge_goes_back_to_the_purses_that_paid_it() -> None:
    _user, bonus, prepaid, call = call_from_two_purses()
    done = refund_call(actor=finance(), request_id=call, reason="the answer was cut")
    assert (done.status, done.amount_nano) == ("refunded", 450)
    assert (figures(bonus), figures(prepaid)) == ((100, 0), (300, 0))
    entries = LedgerEntry.objects.filter(transaction_id=call, kind="refund").order_by("n")
    assert list(entries.values_list("to_account_id", "amount_nano")) == [(prepaid.pk, 350), (bonus.pk, 100)]
    assert AuditEvent.objects.filter(action="call.refunded", reason="the answer was cut").count() == 1
    assert broken() == {}


def test_parts_go_back_in_reverse_order_and_never_more_than_the_charge() -> None:
    _user, bonus, prepaid, call = call_from_two_purses()
    by = finance()
    # Given later, the bonus would come first today; the draws that were recorded decide.
    give(bonus, 5)
    refund_call(actor=by, request_id=call, reason="part", amount_nano=340)
    assert (figures(bonus), figures(prepaid)) == ((5, 0), (290, 0))
    refund_call(actor=by, request_id=call, reason="part", amount_nano=60)
    assert (figures(bonus), figures(prepaid)) == ((55, 0), (300, 0))
    for too_much in (51, 450):
        with pytest.raises(RefundTooHigh):
            refund_call(actor=by, request_id=call, reason="more", amount_nano=too_much)
    assert refund_call(actor=by, request_id=call, reason="the rest").amount_nano == 50
    with pytest.raises(RefundTooHigh):
        refund_call(actor=by, request_id=call, reason="again")
    assert (figures(bonus), figures(prepaid)) == ((105, 0), (300, 0))
    assert sum(CallRefund.objects.values_list("amount_nano", flat=True)) == 450
    assert broken() == {}


def test_an_act_refunds_once_and_a_failed_task_too() -> None:
    _user, bonus, prepaid, call = call_from_two_purses()
    by = finance()
    first = refund_call(actor=by, request_id=call, reason="half", amount_nano=50, key="form-1")
    again = refund_call(actor=by, request_id=call, reason="half", amount_nano=50, key="form-1")
    assert (first.status, again.status, again.amount_nano) == ("refunded", "repeated", 50)
    with pytest.raises(EntryMismatch):
        refund_call(actor=by, request_id=call, reason="half", amount_nano=51, key="form-1")
    answers = [refund_failed_task(actor=None, request_id=call, reason="no result") for _ in range(3)]
    assert [(x.status, x.amount_nano) for x in answers] == [("refunded", 400)] + [("repeated", 400)] * 2
    assert (figures(bonus), figures(prepaid)) == ((100, 0), (300, 0))
    assert broken() == {}


def test_what_may_not_be_refunded_changes_nothing() -> None:
    user, bonus, prepaid, call = call_from_two_purses()
    free = hold(give_more(prepaid), 10).request_id
    end(free, 0, outcome="timeout")
    by = finance()
    refusals = [
        (NotAllowed, {"actor": user, "request_id": call, "reason": "mine"}),
        (NotAllowed, {"actor": person("helper", Role.SUPPORT), "request_id": call, "reason": "theirs"}),
        (InvalidInput, {"actor": by, "request_id": call, "reason": " "}),
        (InvalidInput, {"actor": by, "request_id": call, "reason": "r", "amount_nano": 0}),
        (InvalidInput, {"actor": by, "request_id": call, "reason": "r", "amount_nano": -5}),
        (RefundTooHigh, {"actor": by, "request_id": free, "reason": "cost nothing"}),
        (RefundTooHigh, {"actor": by, "request_id": uuid7(), "reason": "unknown"}),
    ]
    for error, arguments in refusals:
        with pytest.raises(error), transaction.atomic():
            refund_call(**arguments)
    assert not CallRefund.objects.exists()
    assert not LedgerEntry.objects.filter(kind="refund").exists()
    assert figures(bonus) == (0, 0)
    assert broken() == {}


def give_more(purse: LedgerAccount) -> User:
    give(purse, 100)
    assert purse.user is not None
    return purse.user


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_refunds_of_one_call_at_once_give_back_its_charge_once() -> None:
    _user, bonus, prepaid, call = call_from_two_purses()
    by = finance()
    barrier = threading.Barrier(12)

    def act(number: int) -> str:
        try:
            barrier.wait(30)
            if number < 4:
                return refund_failed_task(actor=None, request_id=call, reason="no result").status
            key = f"form-{number // 2}"
            return refund_call(actor=by, request_id=call, reason="part", amount_nano=200, key=key).status
        except RefundTooHigh:
            return "too high"
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(act, range(12)))
    assert "refunded" in answers
    given = sum(CallRefund.objects.values_list("amount_nano", flat=True))
    assert answers.count("refunded") == CallRefund.objects.count()
    assert given <= 450
    assert figures(bonus)[0] + figures(prepaid)[0] == -50 + given
    assert broken() == {}


def test_a_refund_cut_off_in_the_middle_is_none(transactional_db: None) -> None:
    _user, bonus, prepaid, call = call_from_two_purses()
    with psycopg.connect(dsn()) as line:
        assert line.execute(REFUND_SQL, [call, "task", None, None, "cut off"]).fetchone()[:2] == ("refunded", 450)
        line.rollback()
    assert (figures(bonus), figures(prepaid)) == ((0, 0), (-50, 0))
    assert not CallRefund.objects.exists()
    assert refund_failed_task(actor=None, request_id=call, reason="again").status == "refunded"
    assert broken() == {}
