"""Batches in one statement: they write what the long way writes, and what does not fit into them goes that way."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from psycopg_pool import ConnectionPool

from accounts.models import Group
from billing.models import Hold, Lease, LedgerAccount, LedgerEntry, RequestLog, SpendWindow, UsageDelta
from billing.services import leases, ledger
from billing.services.budgets import set_spend_limit
from billing.services.leases import LeaseRequest
from config.foundation.ids import uuid7
from keys.models import ApiKey
from tests.billing.helpers import broken, figures, give, key_of, person, rich, wants
from tests.billing.test_at_once import pool, together  # noqa: F401

pytestmark = pytest.mark.django_db

# What a clock or a counter gives, which no two runs share.
NOT_COMPARED = {"closed_at", "created_at", "booked_at", "updated_at"}
LONG_RECORD = "SELECT request_id, status, reason FROM billing_record_followed(%s::jsonb)"
LONG_RESERVE = "SELECT request_id, status, available_nano, span, resets_at, zone FROM billing_reserve_batch(%s::jsonb)"
# A log row in which every column has a value of its own that a relay may report.
WHOLE_LOG: dict[str, Any] = {
    "duration_ms": 120,
    "first_token_ms": 40,
    "key_name": "a key",
    "key_tail": "ab12",
    "group_code": "staff",
    "endpoint": "/v1/chat/completions",
    "is_stream": True,
    "route": "new",
    "asked_model": "asked",
    "billed_model": "billed",
    "served_model": "served",
    "outcome": "ok",
    "http_status": 201,
    "error_code": "none",
    "input_tokens": 11,
    "cached_tokens": 12,
    "cache_write_tokens": 13,
    "output_tokens": 14,
    "reasoning_tokens": 15,
    "usage_source": "upstream",
    "price_version_id": 16,
    "price_detail": {"formula": "portal", "lines": []},
    "attempts": [{"upstream": 1, "status": 200, "ms": 3, "error": ""}],
    "client_family": "codex",
    "client_network": "10.0.0.x",
    "audio_input_tokens": 17,
    "audio_output_tokens": 18,
    "character_count": 19,
    "image_count": 20,
    "media_ms": 21,
    "media_quality": "high",
    "media_size": "512x512",
    "modality": "image",
    "fallback_rule_id": 22,
    "body_digest": 23,
}


def everything() -> dict[str, list[Any]]:
    """What calls have left in every table they write."""
    found: dict[str, list[Any]] = {}
    for model in (RequestLog, Hold, LedgerEntry, LedgerAccount, SpendWindow, Lease, UsageDelta):
        left_out = NOT_COMPARED | ({"id"} if model in (LedgerEntry, UsageDelta, SpendWindow) else set())
        rows = [{name: value for name, value in row.items() if name not in left_out} for row in model.objects.values()]
        found[model.__name__] = sorted(rows, key=repr)
    return found


def both_ways(short: str, long: str, payload: str) -> tuple[list[Any], list[Any]]:
    """Answers and traces of each way, from the same beginning."""
    found = []
    for sql in (long, short):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(sql, [payload])
                found.append((cursor.fetchall(), everything()))
            if sql == long:
                transaction.set_rollback(True)
    return found[0], found[1]


@pytest.fixture(autouse=True)
def _there_was_a_call_before() -> None:
    """The house's account is made by the first charge of all, on the long way."""
    ledger.house_account("revenue")


def assert_plain(payload: str) -> None:
    """One statement takes these events; what it wrote is taken back."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT billing_record_plain(%s::jsonb)", [payload])
        transaction.set_rollback(True)


def test_ends_of_a_batch_leave_what_the_long_way_leaves() -> None:
    ada, _ = rich("ada", 10_000)
    bob, _ = rich("bob", 10_000)
    cem, _ = rich("cem", 10_000)
    set_spend_limit(actor=None, user=bob, span="daily", limit_nano=5_000)
    keys = {who: key_of(who) for who in (ada, bob, cem)}
    lease = leases.open_leases([LeaseRequest(uuid7(), "one", keys[cem].pk, 2_000, 1)])[0]
    asks = [wants(who, 100 + n, key=keys[who], route="new") for n, who in enumerate((ada, bob, ada, ada, bob))]
    assert {x.status for x in ledger.reserve(asks)} == {"held"}
    costs = (70, 101, 0, 103, 1)
    log = {**WHOLE_LOG, "user_id": ada.pk}
    events = [ledger.CallEvent(x.request_id, cost, True, "ok", log) for x, cost in zip(asks, costs, strict=True)]
    for cost in (50, 0, 60):
        more = {**WHOLE_LOG, "user_id": cem.pk, "key_id": keys[cem].pk, "held_nano": 90}
        events.append(ledger.CallEvent(uuid7(), cost, True, "ok", more, lease.lease_id, 90))
    refused = {"outcome": "denied", "user_id": ada.pk, "key_id": keys[ada].pk, "asked_model": "x"}
    events += [ledger.CallEvent(uuid7(), 0, False, "denied", refused) for _ in range(2)]
    payload = ledger.record_payload(events)
    assert_plain(payload)
    (long_answers, long), (answers, short) = both_ways(ledger.RECORD_SQL, LONG_RECORD, payload)
    assert answers == long_answers == [(x.request_id, "recorded", "") for x in events]
    for table, rows in long.items():
        assert short[table] == rows, table
    assert broken() == {}


def test_every_column_of_the_log_is_written() -> None:
    """A column that is added to the log has to be added to billing/sql/record_plain.sql."""
    user, _ = rich(amount=10_000)
    key = key_of(user)
    set_by_ledger = {"id", "started_at", "user_id", "key_id", "held_nano", "cost_nano", "origin", "source_ref"}
    assert {field.attname for field in RequestLog._meta.fields} == set(WHOLE_LOG) | set_by_ledger
    asks = [wants(user, 100, key=key) for _ in range(2)]
    ledger.reserve(asks)
    log = {
        **WHOLE_LOG,
        "user_id": user.pk,
        "origin": "import",
        "source_ref": "forged",
        "cost_nano": 9,
        "key_id": 999,
        "held_nano": 7,
    }
    events = [ledger.CallEvent(x.request_id, 40, True, "ok", log) for x in asks]
    assert_plain(ledger.record_payload(events))
    ledger.record_calls(events)
    wanted = {**WHOLE_LOG, "user_id": user.pk, "key_id": key.pk, "cost_nano": 40, "held_nano": 100, "origin": "relay"}
    for row in RequestLog.objects.values():
        assert {name: row[name] for name in wanted} == wanted
        assert row["source_ref"] == ""


def test_asks_of_a_batch_hold_what_the_long_way_holds() -> None:
    """Payers with one purse, several, a limit, too little money, test money, a team; and the same id twice."""
    plain, _ = rich("plain", 1_000)
    several, _ = rich("several", 300)
    give(ledger.purse_for(user=several, kind="bonus"), 250)
    limited, _ = rich("limited", 1_000)
    set_spend_limit(actor=None, user=limited, span="daily", limit_nano=250)
    poor, _ = rich("poor", 150)
    tester = person("tester")
    give(ledger.purse_for(user=tester, kind="test"), 500)
    give(ledger.purse_for(user=tester), 500)
    team = Group.objects.create(code="team", name="Team", kind="team")
    give(ledger.purse_for(group=team), 1_000)
    team_key = ApiKey.objects.create(name="team", team=team)
    test_key = ApiKey.objects.create(name="tests", owner=tester, purpose="test")
    asks = [
        wants(who, 100 + n) for n, who in enumerate((plain, several, limited, poor, plain, several, several, limited, limited))
    ]
    asks += [wants(poor, 100), wants(tester, 90, key=test_key), wants(tester, 80), wants(plain, 0), wants(person("none"), 5)]
    expires = asks[0].expires_at
    asks += [ledger.ReserveRequest(uuid7(), None, team.pk, team_key.pk, amount, expires) for amount in (200, 300)]
    asks += [ledger.ReserveRequest(uuid7(), None, None, None, 5, expires), wants(plain, -1), asks[0]]
    (long_answers, long), (answers, short) = both_ways(ledger.RESERVE_SQL, LONG_RESERVE, ledger.reserve_payload(asks))
    assert [row[:2] for row in answers] == [row[:2] for row in long_answers]
    assert [row[2] for row in answers[1:-1]] == [row[2] for row in long_answers[1:-1]]
    assert {row[1] for row in answers} >= {"held", "no_balance", "person_limit", "refused", "repeated"}
    for table, rows in long.items():
        assert short[table] == rows, table
    assert broken() == {}


@pytest.mark.parametrize("odd", ["dearer", "repeated", "no_hold", "negative", "malformed", "late_lease", "two_purses"])
def test_one_end_that_is_not_plain_takes_no_other_with_it(odd: str) -> None:
    user, purse = rich(amount=10_000)
    key = key_of(user)
    asks = [wants(user, 100, key=key) for _ in range(4)]
    assert {x.status for x in ledger.reserve(asks)} == {"held"}
    events = [ledger.CallEvent(x.request_id, 40, True, "ok", {"outcome": "ok", "user_id": user.pk}) for x in asks]
    status, charged = "recorded", 160
    if odd == "dearer":
        events[1] = ledger.CallEvent(asks[1].request_id, 130, True, "ok", {"outcome": "ok"})
        charged = 250
    elif odd == "repeated":
        ledger.record_calls([events[1]])
        status = "repeated"
    elif odd == "no_hold":
        events[1] = ledger.CallEvent(uuid7(), 40, True, "ok", {"outcome": "ok"})
        status, charged = "refused", 120
    elif odd == "negative":
        events[1] = ledger.CallEvent(asks[1].request_id, -1, True, "ok", {"outcome": "ok"})
        status, charged = "refused", 120
    elif odd == "malformed":
        events[1] = ledger.CallEvent(asks[1].request_id, 40, True, "ok", {"outcome": "ok", "input_tokens": "many"})
        status, charged = "refused", 120
    elif odd == "late_lease":
        lease = leases.open_leases([LeaseRequest(uuid7(), "one", key.pk, 500, 1)])[0]
        leases.close_leases(source="one", lease_ids=[lease.lease_id])
        log = {"outcome": "ok", "key_id": key.pk, "user_id": user.pk}
        events[1] = ledger.CallEvent(uuid7(), 40, True, "ok", log, lease.lease_id, 100)
        status = "late"
    else:
        other, _ = rich("other", 60)
        give(ledger.purse_for(user=other, kind="bonus"), 60)
        (more,) = ledger.reserve([wants(other, 100)])
        events[1] = ledger.CallEvent(more.request_id, 90, True, "ok", {"outcome": "ok"})
        charged = 120
    answers = ledger.record_calls(events)
    assert [x.status for x in answers] == ["recorded", status, "recorded", "recorded"]
    assert figures(purse)[0] == 10_000 - charged
    assert RequestLog.objects.filter(pk__in=[x.request_id for x in events]).count() == (3 if status == "refused" else 4)
    assert broken() == {}


def test_a_closed_hold_keeps_no_columns_for_the_sweeper() -> None:
    user, _ = rich(amount=10_000)
    asks = [wants(user, 100, route="new", asked_model="m") for _ in range(3)]
    ledger.reserve(asks)
    assert Hold.objects.filter(context__asked_model="m").count() == 3
    ledger.record_calls([ledger.CallEvent(x.request_id, 1, True, "ok", {"outcome": "ok"}) for x in asks[:2]])
    ledger.record_calls([ledger.CallEvent(asks[2].request_id, 1, True, "ok", {"outcome": "ok"})])
    assert set(Hold.objects.values_list("state", flat=True)) == {"settled"}
    assert [x.context for x in Hold.objects.all()] == [{}, {}, {}]
    assert RequestLog.objects.filter(started_at__lte=datetime.now(UTC)).count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_overlapping_batches_of_every_kind_in_opposite_orders_have_one_effect(pool: ConnectionPool[Any]) -> None:  # noqa: F811
    """Holds, leases, limits and calls without money, sent several times at once: no deadlock, and every sum is a recount."""
    ledger.house_account("revenue")
    people = [rich(f"person{n}", 1_000_000)[0] for n in range(6)]
    keys = [key_of(who) for who in people]
    for who in people[:2]:
        set_spend_limit(actor=None, user=who, span="daily", limit_nano=500_000)
        set_spend_limit(actor=None, user=who, span="monthly", limit_nano=900_000)
    lent = [leases.open_leases([LeaseRequest(uuid7(), "one", key.pk, 5_000, 1)])[0].lease_id for key in keys[4:]]
    asks = [wants(people[n % 4], 50, key=keys[n % 4]) for n in range(40)]
    payloads = [ledger.reserve_payload(part) for part in (asks, asks[::-1], asks[15:], asks[:30][::-1])]
    rows = together(pool, ledger.RESERVE_SQL, payloads * 2)
    assert Counter(row[1] for row in rows)["held"] == 40
    events = [ledger.CallEvent(x.request_id, n % 7, True, "ok", {"outcome": "ok"}) for n, x in enumerate(asks)]
    for n in range(20):
        log = {"outcome": "ok", "key_id": keys[4 + n % 2].pk, "user_id": people[4 + n % 2].pk, "held_nano": 90}
        events.append(ledger.CallEvent(uuid7(), n % 5, True, "ok", log, lent[n % 2], 90))
    events += [ledger.CallEvent(uuid7(), 0, False, "denied", {"outcome": "denied"}) for _ in range(8)]
    payloads = [ledger.record_payload(part) for part in (events, events[::-1], events[25:], events[:45][::-1])]
    rows = together(pool, ledger.RECORD_SQL, payloads * 2)
    assert Counter(row[1] for row in rows) == {"recorded": 68, "repeated": len(rows) - 68}
    assert Hold.objects.filter(state="open").count() == 0
    spent = sum(n % 7 for n in range(40) if n % 4 == 0)
    assert {x.spent_nano for x in SpendWindow.objects.filter(limit__user=people[0])} == {spent}
    assert sum(LedgerEntry.objects.filter(kind="charge").values_list("amount_nano", flat=True)) == sum(
        x.cost_nano for x in events
    )
    assert broken() == {}


def test_what_a_data_plane_must_know_of_its_call_outlives_the_end() -> None:
    user, _ = rich(amount=10_000)
    asks = [wants(user, 100, plane={"id": 7}) for _ in range(3)]
    ledger.reserve(asks)
    ledger.record_calls([ledger.CallEvent(x.request_id, 1, True, "ok", {"outcome": "ok"}) for x in asks[:2]])
    ledger.record_calls([ledger.CallEvent(asks[2].request_id, 1, True, "ok", {"outcome": "ok"})])
    assert [x.context for x in Hold.objects.filter(state="settled")] == [{"plane": {"id": 7}}] * 3
