"""Holds, charges and their repetitions, through the services, on the real database."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Group
from billing.models import DeskItem, Hold, LedgerAccount, LedgerEntry, RequestLog, UsageDelta
from billing.selectors.limits import limits_of, spent_by_keys
from billing.services import budgets, ledger
from billing.services.errors import AlreadyReversed, EntryMismatch, InsufficientBalance, PostingRefused
from config.foundation.clock import now
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import broken, counted, end, figures, give, hold, key_of, person, rich, wants

pytestmark = pytest.mark.django_db


def test_a_call_is_held_charged_and_logged() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    answer = hold(user, 400, key=key)
    assert (answer.status, answer.available_nano) == ("held", 600)
    assert figures(purse) == (1000, 400)
    done = end(answer.request_id, 300, user_id=user.pk, key_id=key.pk, asked_model="m", billed_model="m", input_tokens=7)
    assert (done.status, done.reason) == ("recorded", "")
    assert figures(purse) == (700, 0)
    log = RequestLog.objects.get(id=answer.request_id)
    assert (log.cost_nano, log.held_nano, log.started_at) == (300, 400, uuid7_time(answer.request_id))
    entry = LedgerEntry.objects.get(transaction_id=answer.request_id)
    assert (entry.kind, entry.amount_nano, entry.from_seq, entry.from_balance_nano) == ("charge", 300, 2, 700)
    assert entry.to_account.kind == "revenue"
    held = Hold.objects.get(pk=answer.request_id)
    assert (held.state, held.settled_nano) == ("settled", 300)
    assert (limits_of(None, key=key), spent_by_keys([key.pk])) == ([], {key.pk: 300})
    delta = UsageDelta.objects.get()
    assert (delta.user_id, delta.key_id, delta.model_name, delta.call_count, delta.cost_nano) == (user.pk, key.pk, "m", 1, 300)
    assert broken() == {}


def test_a_call_that_failed_costs_nothing_and_gives_back_what_it_held() -> None:
    """R025: hold, then release, no entry in the ledger."""
    user, purse = rich(amount=1000)
    answer = hold(user, 400)
    assert end(answer.request_id, 0, outcome="upstream_error", http_status=502).status == "recorded"
    assert figures(purse) == (1000, 0)
    assert Hold.objects.values_list("state", "settled_nano").get(pk=answer.request_id) == ("released", None)
    assert not LedgerEntry.objects.filter(kind="charge").exists()
    assert broken() == {}


def test_purses_are_drawn_by_order_and_the_rest_becomes_debt() -> None:
    user = person()
    bonus = give(ledger.purse_for(user=user, kind="bonus"), 100)
    prepaid = give(ledger.purse_for(user=user), 300)
    answer = hold(user, 150)
    assert Hold.objects.values_list("account_ids", "part_amounts").get() == ([bonus.pk, prepaid.pk], [100, 50])
    assert end(answer.request_id, 450).status == "recorded"
    assert (figures(bonus), figures(prepaid)) == ((0, 0), (-50, 0))
    drawn = LedgerEntry.objects.filter(kind="charge").order_by("n").values_list("from_account_id", "amount_nano")
    assert list(drawn) == [(bonus.pk, 100), (prepaid.pk, 350)]
    assert LedgerAccount.objects.get(pk=prepaid.pk).floor_nano == -50
    assert broken() == {}
    # Debt counts against every purse: nothing more can be held, free calls neither.
    give(bonus, 40)
    assert [hold(user, amount).status for amount in (0, 1, 40)] == ["no_balance"] * 3
    give(prepaid, 60)
    prepaid.refresh_from_db()
    assert (prepaid.balance_nano, prepaid.floor_nano) == (10, 0)
    assert hold(user, 50).status == "held"
    assert hold(user, 1).available_nano == 0


def test_a_purse_that_may_not_be_spent_here_is_never_counted() -> None:
    user = person()
    old = give(ledger.purse_for(user=user, origin="import:one", is_spendable=False), 500)
    assert (hold(user, 1).status, hold(user, 1).available_nano) == ("no_balance", 0)
    assert ledger.set_spendable(actor=None, user_ids=[user.pk], origin="import:one", is_spendable=True) == 1
    assert hold(user, 500).status == "held"
    assert ledger.set_spendable(actor=None, user_ids=[user.pk], origin="import:one", is_spendable=True) == 0
    assert figures(old) == (500, 500)


def test_a_credit_limit_can_be_held_and_drawn() -> None:
    user, purse = rich(amount=10)
    LedgerAccount.objects.filter(pk=purse.pk).update(credit_limit_nano=90)
    answer = hold(user, 100)
    assert answer.status == "held"
    assert hold(user, 1).status == "no_balance"
    end(answer.request_id, 100)
    assert figures(purse) == (-90, 0)
    assert broken() == {}


def test_the_allowance_of_a_key_and_the_balance_are_both_needed() -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    budgets.set_key_limit(actor=None, key=key, limit_nano=300)
    first = hold(user, 200, key=key)
    second = hold(user, 101, key=key)
    assert (second.status, second.available_nano) == ("key_limit", 100)
    assert figures(purse) == (1000, 200)
    end(first.request_id, 250)
    assert counted(key=key) == (250, 0)
    assert hold(user, 50, key=key).status == "held"
    assert hold(user, 1, key=key).status == "key_limit"
    assert hold(user, 1).status == "held"
    assert broken() == {}


def test_a_team_pays_from_its_own_purse() -> None:
    team = Group.objects.create(code="crew", name="Crew")
    purse = give(ledger.purse_for(group=team), 100)
    request = ledger.ReserveRequest(uuid7(), None, team.pk, None, 60, now() + timedelta(minutes=5))
    assert [x.status for x in ledger.reserve([request])] == ["held"]
    end(request.request_id, 60)
    assert figures(purse) == (40, 0)
    assert broken() == {}


def test_repetitions_change_nothing() -> None:
    user, purse = rich(amount=1000)
    call = uuid7()
    assert [hold(user, amount, call=call).status for amount in (100, 100, 101)] == ["held", "repeated", "mismatch"]
    assert figures(purse) == (1000, 100)
    assert [end(call, cost).status for cost in (70, 70, 90)] == ["recorded", "repeated", "repeated"]
    assert hold(user, 100, call=call).status == "mismatch"
    assert figures(purse) == (930, 0)
    assert RequestLog.objects.count() == Hold.objects.count() == UsageDelta.objects.count() == 1


def test_a_batch_answers_in_its_own_order_and_takes_an_id_once() -> None:
    user, purse = rich(amount=1000)
    calls = sorted((uuid7() for _ in range(3)), reverse=True)
    answers = ledger.reserve([wants(user, 100, call=call) for call in [*calls, calls[0]]])
    assert [answer.request_id for answer in answers] == [*calls, calls[0]]
    assert [answer.status for answer in answers] == ["held", "held", "held", "repeated"]
    events = [ledger.CallEvent(call, 50 + n, True, "", {}) for n, call in enumerate([*calls, calls[1]])]
    assert [x.status for x in ledger.record_calls(events)] == ["recorded", "recorded", "recorded", "repeated"]
    assert figures(purse) == (1000 - 50 - 51 - 52, 0)
    assert broken() == {}


def test_one_bad_event_does_not_stop_the_others() -> None:
    user, purse = rich(amount=1000)
    good, bad = hold(user, 100).request_id, hold(user, 100).request_id
    events = [
        ledger.CallEvent(good, 80, True, "", {"outcome": "ok"}),
        ledger.CallEvent(bad, -1, True, "", {"outcome": "ok"}),
        ledger.CallEvent(uuid7(), 5, True, "", {"outcome": "ok"}),
        ledger.CallEvent(uuid7(), 5, False, "", {"outcome": "ok"}),
        ledger.CallEvent(uuid7(), 0, False, "", {"outcome": "bad_key", "http_status": 401}),
        ledger.CallEvent(bad, 10, True, "", {"outcome": "ok", "duration_ms": "soon"}),
        ledger.CallEvent(uuid.uuid4(), 0, False, "", {"outcome": "bad_key"}),
    ]
    answers = ledger.record_calls(events)
    assert [x.status for x in answers] == ["recorded", "refused", "refused", "refused", "recorded", "refused", "refused"]
    assert [x.reason.split()[0] for x in answers if x.reason] == [
        "negative_cost",
        "no_hold",
        "cost_without_hold",
        "malformed",
        "malformed",
    ]
    assert [x.request_id for x in answers] == [event.request_id for event in events]
    assert figures(purse) == (920, 100)
    assert broken() == {}


def test_an_event_without_a_readable_id_is_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ledger.RECORD_SQL, ['[{"request_id": "nonsense", "cost_nano": 0, "hold": false, "log": {}}]'])
        assert cursor.fetchall() == [(None, "refused", "malformed 22P02 ")]


def test_a_hold_that_ran_out_is_given_back_logged_and_can_still_be_charged() -> None:
    """R025, and late after expiry: charged once, the sweeper's row replaced, usage counted once."""
    user, purse = rich(amount=1000)
    key = key_of(user)
    budgets.set_key_limit(actor=None, key=key, limit_nano=1000)
    answer = hold(user, 400, key=key, asked_model="m", billed_model="m", group_code="default", key_tail="abcd")
    later = now() + timedelta(seconds=301)
    assert ledger.expire_holds(at=now()) == 0
    assert ledger.expire_holds(at=later) == 1
    assert ledger.expire_holds(at=later) == 0
    assert figures(purse) == (1000, 0)
    log = RequestLog.objects.get(id=answer.request_id)
    assert (log.outcome, log.error_code, log.cost_nano, log.held_nano) == ("timeout", "hold_expired", 0, 400)
    assert (log.user_id, log.key_id, log.asked_model, log.key_tail) == (user.pk, key.pk, "m", "abcd")
    assert broken() == {}

    event = {"user_id": user.pk, "key_id": key.pk, "billed_model": "m", "group_code": "default", "output_tokens": 9}
    assert end(answer.request_id, 350, **event).status == "late"
    assert end(answer.request_id, 350, **event).status == "repeated"
    assert figures(purse) == (650, 0)
    log = RequestLog.objects.get(id=answer.request_id)
    assert (log.outcome, log.error_code, log.cost_nano, log.output_tokens) == ("ok", "", 350, 9)
    assert Hold.objects.values_list("state", "reason").get() == ("expired", "late")
    assert counted(key=key) == (350, 0)
    assert sum(UsageDelta.objects.values_list("call_count", flat=True)) == 1
    assert sum(UsageDelta.objects.values_list("failed_count", flat=True)) == 0
    assert broken() == {}


def test_a_context_that_cannot_be_written_does_not_keep_money_held() -> None:
    user, purse = rich(amount=1000)
    bad, good = hold(user, 100, duration_ms=1, input_tokens="many"), hold(user, 100, asked_model="m")
    assert ledger.expire_holds(at=now() + timedelta(hours=1)) == 2
    assert figures(purse) == (1000, 0)
    assert RequestLog.objects.get(id=bad.request_id).error_code == "hold_expired"
    assert RequestLog.objects.get(id=good.request_id).asked_model == "m"
    assert broken() == {}


def test_late_without_any_money_left_becomes_debt() -> None:
    user, purse = rich(amount=100)
    answer = hold(user, 100)
    ledger.expire_holds(at=now() + timedelta(hours=1))
    end(hold(user, 100).request_id, 100)
    assert end(answer.request_id, 60).status == "late"
    assert figures(purse) == (-60, 0)
    assert broken() == {}


def test_postings_happen_once_or_not_at_all() -> None:
    user, purse = rich(amount=100)
    cash = ledger.house_account("cash")
    act = uuid7()
    posting = ledger.Posting(act, "top_up", cash.pk, purse.pk, 40)
    assert [ledger.post_entries([posting])[0].status for _ in range(2)] == ["posted", "repeated"]
    with pytest.raises(EntryMismatch):
        ledger.post_entries([ledger.Posting(act, "top_up", cash.pk, purse.pk, 41)])
    with pytest.raises(InsufficientBalance):
        ledger.post_entries(
            [
                ledger.Posting(uuid7(), "top_up", cash.pk, purse.pk, 5),
                ledger.Posting(uuid7(), "adjustment", purse.pk, cash.pk, 146),
            ]
        )
    assert figures(purse) == (140, 0)
    ledger.post_entries(
        [ledger.Posting(uuid7(), "opening", purse.pk, ledger.house_account("opening_equity").pk, 150, allow_debt=True)]
    )
    purse.refresh_from_db()
    assert (purse.balance_nano, purse.floor_nano) == (-10, -10)
    with pytest.raises(PostingRefused):
        ledger.post_entries([ledger.Posting(uuid7(), "charge", purse.pk, cash.pk, 1)])
    assert broken() == {}


def test_an_entry_is_reversed_once() -> None:
    user, purse = rich(amount=100)
    first = LedgerEntry.objects.get()
    mirror = ledger.Posting(uuid7(), "reversal", purse.pk, first.from_account_id, 100, reverses_id=first.pk)
    assert ledger.post_entries([mirror])[0].status == "posted"
    assert figures(purse) == (0, 0)
    give(purse, 100)
    again = replace(mirror, transaction_id=uuid7())
    with pytest.raises(AlreadyReversed):
        ledger.post_entries([again])
    with pytest.raises(PostingRefused):
        ledger.post_entries([replace(again, amount_nano=50)])
    assert broken() == {}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE billing_ledgerentry SET amount_nano = 1",
        "DELETE FROM billing_ledgerentry",
        "TRUNCATE billing_ledgerentry CASCADE",
        "UPDATE billing_hold SET state = 'open', closed_at = NULL, settled_nano = NULL",
        "UPDATE billing_hold SET settled_nano = 1",
        "UPDATE billing_hold SET part_amounts = '{1}'",
        "UPDATE billing_ledgeraccount SET held_nano = -1",
        "UPDATE billing_ledgeraccount SET balance_nano = -1 WHERE is_purse",
        "UPDATE billing_ledgeraccount SET balance_nano = 1 WHERE NOT is_purse",
    ],
)
def test_the_database_refuses_to_change_history(sql: str) -> None:
    user, _purse = rich(amount=100)
    end(hold(user, 10).request_id, 5)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert broken() == {}


def test_an_open_hold_cannot_be_removed() -> None:
    user, _purse = rich(amount=100)
    hold(user, 10)
    with pytest.raises(DatabaseError), transaction.atomic():
        Hold.objects.all().delete()


def test_no_result_means_no_charge() -> None:
    """R025: of 200 calls 40 give no result (upstream error, timeout, cut stream, never reported): their net charge is 0
    once the sweeper has run, and each of them shows a hold that was given back."""
    user, purse = rich(amount=1_000_000)
    requests = [wants(user, 100, seconds=60) for _ in range(200)]
    ledger.reserve(requests)
    failures = ["upstream_error", "timeout", "cut_stream", None] * 10
    events = [ledger.CallEvent(request.request_id, 70, True, "", {"outcome": "ok"}) for request in requests[40:]]
    for request, outcome in zip(requests[:40], failures, strict=True):
        if outcome:
            events.append(ledger.CallEvent(request.request_id, 0, True, "", {"outcome": outcome}))
    assert {x.status for x in ledger.record_calls(events)} == {"recorded"}
    assert ledger.expire_holds(at=now() + timedelta(seconds=61)) == 10
    failed = [request.request_id for request in requests[:40]]
    assert not LedgerEntry.objects.filter(transaction_id__in=failed).exists()
    assert RequestLog.objects.filter(id__in=failed, cost_nano=0, held_nano=100).exclude(outcome="ok").count() == 40
    states = Hold.objects.filter(pk__in=failed).values_list("state", flat=True)
    assert sorted(states) == ["expired"] * 10 + ["released"] * 30
    assert figures(purse) == (1_000_000 - 160 * 70, 0)
    assert broken() == {}


@pytest.mark.parametrize(
    "call",
    [
        uuid.UUID("00000000-0000-7000-8000-000000000001"),
        uuid.UUID("0fffffff-ffff-7fff-bfff-ffffffffffff"),
        uuid.UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"),
        uuid.UUID("12345678-1234-4234-8234-123456789abc"),
    ],
)
def test_a_hold_whose_id_names_no_time_of_the_log_does_not_stop_the_sweeper(call: uuid.UUID) -> None:
    """Its money and that of every other hold goes back; the desk hears of the call, once; a late end of it charges nothing."""
    user, purse = rich(amount=1000)
    assert hold(user, 100, call=call, seconds=-10).status == "held"
    other = hold(user, 200, seconds=-5).request_id
    assert ledger.expire_holds() == 2
    assert figures(purse) == (1000, 0)
    assert RequestLog.objects.get().id == other
    item = DeskItem.objects.get()
    assert (item.kind, item.request_id, item.reason, item.user_id) == ("unmatched", call, "no_place_in_log", user.pk)
    assert ledger.expire_holds() == 0
    assert end(call, 50).status == "refused"
    assert figures(purse) == (1000, 0)
    assert DeskItem.objects.count() == 1
    assert broken() == {}
