"""Ends of calls that come late or belong to no call: charged and flagged, or on the desk, never lost and never twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from accounts.models import Role, User
from billing.models import DeskItem, Hold, LedgerEntry, RequestLog
from billing.services import ledger
from billing.services.desk import settle_desk_item, write_off_desk_item
from config.foundation.ids import uuid7
from tests.billing.helpers import broken, end, figures, hold, key_of, person, rich
from tests.billing.test_at_once import dsn
from tests.billing.test_desk import house

pytestmark = pytest.mark.django_db
DAY = 86_400


def expired(user: User, days: float, **more: object) -> UUID:
    """A call whose hold ran out so many days ago."""
    call = hold(user, 100, seconds=-int(days * DAY), **more).request_id
    ledger.expire_holds()
    return call


def test_until_the_limit_a_late_event_is_charged_and_flagged() -> None:
    user, purse = rich(amount=1000)
    call = expired(user, 6.9)
    assert RequestLog.objects.get(pk=call).error_code == "hold_expired"
    assert end(call, 80, price_detail={"cost_nano": 80}).status == "late"
    assert end(call, 80).status == "repeated"
    log = RequestLog.objects.get(pk=call)
    assert (log.cost_nano, log.outcome, log.price_detail) == (80, "ok", {"cost_nano": 80, "late": True})
    assert Hold.objects.values_list("state", "reason").get(pk=call) == ("expired", "late")
    assert figures(purse) == (920, 0)
    assert not DeskItem.objects.exists()
    assert broken() == {}


def test_a_late_event_may_take_the_purse_below_zero() -> None:
    user, purse = rich(amount=100)
    call = expired(user, 1)
    assert end(call, 130).status == "late"
    assert figures(purse) == (-30, 0)
    assert broken() == {}


def test_after_the_limit_its_money_waits_in_suspense_and_on_the_desk() -> None:
    user, purse = rich(amount=1000)
    call = expired(user, 7.1)
    answers = [end(call, 80, billed_model="m") for _ in range(3)]
    assert [(x.status, x.reason) for x in answers] == [("parked", "too_late"), ("repeated", ""), ("repeated", "")]
    assert figures(purse) == (1000, 0)
    assert (house("suspense"), house("revenue")) == (-80, 80)
    item = DeskItem.objects.get()
    assert (item.kind, item.reason, item.request_id, item.user, item.amount_nano) == ("late", "too_late", call, user, 80)
    assert (item.details["billed_model"], item.entry.kind) == ("m", "late")
    log = RequestLog.objects.get(pk=call)
    assert (log.cost_nano, log.error_code) == (0, "hold_expired")
    assert broken() == {}
    settle_desk_item(actor=person("finance", Role.FINANCE), item=item, reason="agreed by mail", amount_nano=60)
    assert figures(purse) == (940, 0)
    assert (house("suspense"), house("revenue"), house("operator_loss")) == (0, 80, -20)
    assert broken() == {}


def test_a_late_item_is_written_off() -> None:
    user, purse = rich(amount=1000)
    assert end(expired(user, 30), 80).status == "parked"
    write_off_desk_item(actor=person("finance", Role.FINANCE), item=DeskItem.objects.get(), reason="too old")
    assert figures(purse) == (1000, 0)
    assert (house("suspense"), house("revenue"), house("operator_loss")) == (0, 80, -80)
    assert broken() == {}


def test_the_limit_is_a_setting() -> None:
    user, _purse = rich(amount=1000)
    calls = [expired(user, 2), expired(user, 2)]
    with connection.cursor() as cursor:
        cursor.execute("SHOW portal.late_event_days")
        assert cursor.fetchone() == ("7",)
        cursor.execute("SET LOCAL portal.late_event_days = '1'")
        assert end(calls[0], 10).status == "parked"
        cursor.execute("SET LOCAL portal.late_event_days = '3'")
        assert end(calls[1], 10).status == "late"
    assert broken() == {}


def test_a_late_event_without_cost_needs_no_desk() -> None:
    user, _purse = rich(amount=1000)
    assert end(expired(user, 30), 0).status == "repeated"
    assert not DeskItem.objects.exists()
    assert broken() == {}


def test_an_event_of_an_unknown_request_is_unmatched_and_says_whose_key_it_was() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    calls = [uuid7(), uuid7()]
    events = [
        ledger.CallEvent(calls[0], 70, True, "", {"key_id": key.pk, "user_id": user.pk, "outcome": "ok"}),
        ledger.CallEvent(calls[1], 30, False, "", {"user_id": 2**40}),
        ledger.CallEvent(hold(user, 100).request_id, 10, True, "", {}),
    ]
    for _time in range(2):
        answers = [(x.status, x.reason) for x in ledger.record_calls(events)]
        assert answers[:2] == [("refused", "no_hold"), ("refused", "cost_without_hold")]
    items = {x.request_id: x for x in DeskItem.objects.all()}
    assert {x.kind for x in items.values()} == {"unmatched"}
    found = [(items[call].user, items[call].amount_nano, items[call].reason) for call in calls]
    assert found == [(user, 70, "no_hold"), (None, 30, "cost_without_hold")]
    assert len(items) == 2
    assert figures(purse) == (990, 0)
    settle_desk_item(actor=person("finance", Role.FINANCE), item=items[calls[0]], reason="the key says whose")
    assert figures(purse) == (920, 0)
    assert broken() == {}


def test_what_failed_attempts_cost_is_the_operators_loss_once() -> None:
    """R025: the person pays nothing for attempts without a result, even where the upstream asks money for them."""
    user, purse = rich(amount=1000)
    call = hold(user, 100).request_id
    attempts = [
        {"upstream": 1, "status": 500, "ms": 3, "error": "status", "cost_nano": 40},
        {"upstream": 2, "status": 0, "ms": 3, "error": "timeout", "cost_nano": 0},
        {"upstream": 3, "status": 504, "ms": 3, "error": "timeout", "cost_nano": 2},
    ]
    log = {"outcome": "upstream_error", "attempts": attempts}
    assert [end(call, 0, **log).status for _ in range(2)] == ["recorded", "repeated"]
    assert figures(purse) == (1000, 0)
    assert (house("operator_loss"), house("upstream_cost")) == (-42, 42)
    assert list(LedgerEntry.objects.filter(kind="loss").order_by("n").values_list("n", "amount_nano", "reason")) == [
        (0, 40, "upstream 1"),
        (2, 2, "upstream 3"),
    ]
    # The attempt that served is paid for by the call, not lost.
    served = [{"upstream": 1, "error": "status", "cost_nano": 5}, {"upstream": 2, "error": "", "cost_nano": 9}]
    end(hold(user, 100).request_id, 50, attempts=served)
    assert house("operator_loss") == -47
    for odd in (None, {}, [1], [{"cost_nano": "x", "error": "e"}], [{"cost_nano": -4, "error": "e"}]):
        assert end(hold(user, 100).request_id, 0, attempts=odd or [], outcome="timeout").status == "recorded"
    assert house("operator_loss") == -47
    assert broken() == {}


def test_an_event_cut_off_in_the_middle_leaves_neither_item_nor_money(transactional_db: None) -> None:
    user, _purse = rich(amount=1000)
    call = expired(user, 30)
    event = ledger.record_payload([ledger.CallEvent(call, 80, True), ledger.CallEvent(uuid7(), 5, True)])
    with psycopg.connect(dsn()) as line:
        answers = [row[1] for row in line.execute(ledger.RECORD_SQL, [event])]
        assert answers == ["parked", "refused"]
        line.rollback()
    assert not DeskItem.objects.exists()
    assert not LedgerEntry.objects.filter(kind="late").exists()
    assert end(call, 80).status == "parked"
    assert broken() == {}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_late_and_unknown_events_from_16_relays_at_once_count_once() -> None:
    user, _purse = rich(amount=1000)
    events = [ledger.CallEvent(expired(user, 30), 10 + n, True) for n in range(6)]
    events += [ledger.CallEvent(uuid7(), 3, True) for _ in range(6)]
    barrier = threading.Barrier(16)

    def send(number: int) -> list[str]:
        turned = events[number % 12 :] + events[: number % 12]
        with psycopg.connect(dsn(), autocommit=True) as line:
            barrier.wait(30)
            return [row[1] for row in line.execute(ledger.RECORD_SQL, [ledger.record_payload(turned)])]

    with ThreadPoolExecutor(16) as threads:
        answers = Counter(status for answer in threads.map(send, range(16)) for status in answer)
    assert answers == {"parked": 6, "repeated": 15 * 6, "refused": 16 * 6}
    assert Counter(DeskItem.objects.values_list("kind", flat=True)) == {"late": 6, "unmatched": 6}
    assert house("suspense") == -sum(10 + n for n in range(6))
    assert broken() == {}
