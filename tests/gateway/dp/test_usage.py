"""What a data plane tells of calls that ended: taken once, answered one by one, paid at the price of their admission."""

import gzip
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from billing.models import Hold, LedgerEntry, RequestLog
from billing.services import ledger
from config.foundation.ids import uuid7
from gateway.models import PlaneEvent
from tests.gateway.planes import Company, Plane, end, hash_of
from tests.gateway.world import balance, charges, held, log_of

pytestmark = pytest.mark.django_db

# 1,000 in at 1 nano-dollar and 200 out at 3.
COST = 1_600
UPSTREAM, COUNTED = {"usage_source": "upstream"}, {"usage_source": "counted"}


def test_a_batch_sent_three_times_and_with_one_changed_row(world: Company, plane: Plane):
    """gateway.md 3.6: one effect; the changed row is refused and changes nothing."""
    person = world.person("1")
    _, clear = world.key(person)
    ids = [plane.ask(clear)["request_id"] for _ in range(5)]
    batch = [end(request_id) for request_id in ids]
    assert [one["status"] for one in plane.told(*batch)] == ["accepted"] * 5
    before = (balance(person), LedgerEntry.objects.count(), RequestLog.objects.count(), PlaneEvent.objects.count())
    for _ in range(2):
        assert [one["status"] for one in plane.told(*batch)] == ["duplicate"] * 5
    changed = [*batch[:2], {**batch[2], "usage": {"input": 9, "output": 9}}, *batch[3:]]
    answer = plane.told(*changed)
    assert [one["status"] for one in answer] == ["duplicate"] * 2 + ["rejected"] + ["duplicate"] * 2
    assert (answer[2]["reason"], answer[2]["retryable"]) == ("event_changed", False)
    # The same call under another event id.
    assert plane.told({**batch[0], "event_id": "another"})[0] == {
        "event_id": "another", "status": "duplicate", "reason": "already_settled",
    }  # fmt: skip
    assert before[:3] == (balance(person), LedgerEntry.objects.count(), RequestLog.objects.count())
    assert balance(person) == 10**9 - 5 * COST
    call_command("ledger_check")


@pytest.mark.parametrize(
    "change",
    [
        {"usage": {"input": -5, "output": 1}}, {"usage": {"input": 1.5, "output": 1}}, {"usage": {"input": "5"}},
        {"usage": {"inputs": 5}}, {"usage": []}, {"outcome": "fine"}, {"outcome": None}, {"cost": 5}, {"dp_cost_nano": 0.1},
        {"request_id": "x"}, {"request_id": "7b0d6b8e-0000-4000-8000-000000000000"}, {"event_id": ""}, {"event_id": 5},
        {"usage_source": "guess"}, {"is_final": "no"}, {"is_final": False}, {"started_at": "yesterday"}, {"attempt": True},
        {"reservation_id": "00000000-0000-7000-8000-000000000000"}, {"delivered": {"words": 1}}, {"model_served": "a\x00"},
    ],
)  # fmt: skip
def test_one_bad_event_of_500_spoils_no_other(world: Company, plane: Plane, change: dict):
    """gateway.md 3.6: unknown fields and wrong figures are refused one by one, finally, and without effect."""
    person = world.person("1")
    _, clear = world.key(person)
    good, bad = plane.ask(clear)["request_id"], plane.ask(clear)["request_id"]
    answer = plane.send(end(good), {**end(bad), **change}, 7, None).json()
    statuses = [one["status"] for one in answer["results"]]
    assert statuses == ["accepted", "rejected", "rejected", "rejected"]
    assert [one["retryable"] for one in answer["results"][1:]] == [False] * 3
    assert answer["ack_seq"] == plane.seq
    assert charges(good) == [COST]
    assert charges(bad) == []
    assert held(person) == 2_500


def test_500_events_with_one_bad_and_no_more_than_500(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    requests = [ledger.ReserveRequest(uuid7(), person.pk, None, None, 10, timezone.now() + timedelta(minutes=9),
                                      {"plane": {"id": plane.row.pk}}) for _ in range(3)]  # fmt: skip
    ledger.reserve(requests)
    ids = [str(one.request_id) for one in requests]
    batch = [end(ids[n], "not_dispatched") for n in range(3)] + [end(str(uuid7()), "refused_local") for _ in range(496)]
    answers = plane.told(*batch, {**end(str(uuid7())), "typo": 1})
    assert [one["status"] for one in answers] == ["accepted"] * 499 + ["rejected"]
    assert held(person) == 0
    assert RequestLog.objects.count() == 499
    too_many = plane.send(*[{}] * 501)
    assert (too_many.status_code, too_many.json()["error"]["code"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # (outcome, http status, cost, source): at 1 in and 3 out; 1,000 in and at most 500 out were announced.
        ({"outcome": "ok", "usage": None}, ("ok", 200, 2_500, "estimated")),
        ({"outcome": "ok", "usage": {"input": 0, "output": 0}} | UPSTREAM, ("ok", 200, 2_500, "estimated")),
        ({"outcome": "ok", "usage": None, "delivered": {"bytes": 400, "chunks": 9}}, ("ok", 200, 1_300, "estimated")),
        ({"outcome": "ok", "usage": {"input": 10, "output": 5}} | COUNTED, ("ok", 200, 25, "estimated")),
        ({"outcome": "ok", "usage": {"input": 10**6, "output": 5}} | COUNTED, ("ok", 200, 2_500, "estimated")),
        ({"outcome": "ok", "usage": {"input": 10, "cached": 99, "output": 0}} | UPSTREAM, ("ok", 200, 5, "upstream")),
        ({"outcome": "client_abort", "usage": None}, ("cancelled", 499, 1_000, "estimated")),
        ({"outcome": "client_abort", "delivered": {"bytes": 40, "chunks": 1}}, ("cancelled", 499, 1_030, "estimated")),
        ({"outcome": "client_abort", "usage": {"input": 9, "output": 9}} | UPSTREAM, ("cancelled", 499, 36, "upstream")),
        ({"outcome": "upstream_error_before_output"}, ("upstream_error", 502, 0, "none")),
        ({"outcome": "upstream_error_before_output", "http_status": 429}, ("rate_limited", 429, 0, "none")),
        ({"outcome": "upstream_error_before_output", "http_status": 400}, ("client_error", 400, 0, "none")),
        ({"outcome": "upstream_error_after_output", "delivered": {"bytes": 40}}, ("cut_stream", 200, 1_030, "estimated")),
        ({"outcome": "timeout_before_output"}, ("timeout", 504, 0, "none")),
        ({"outcome": "timeout_after_output", "usage": {"input": 7, "output": 1}} | UPSTREAM, ("timeout", 200, 10, "upstream")),
        ({"outcome": "not_dispatched"}, ("cancelled", 503, 0, "none")),
        ({"outcome": "refused_local", "error_class": "insufficient_quota", "http_status": 402}, ("no_balance", 402, 0, "none")),
    ],
)  # fmt: skip
def test_what_a_call_costs_by_how_it_ended(world: Company, plane: Plane, fields: dict, expected: tuple):
    """Every outcome of the closed set, as the embedded relay charges it; missing usage is never free."""
    person = world.person("1")
    _, clear = world.key(person)
    request_id = plane.ask(clear)["request_id"]
    assert plane.told({**end(request_id, fields["outcome"]), **fields})[0]["status"] == "accepted"
    row = log_of(request_id)
    assert (row.outcome, row.http_status, row.cost_nano, row.usage_source) == expected
    assert (balance(person), held(person)) == (10**9 - expected[2], 0)
    call_command("ledger_check")


def test_attempts_that_did_not_serve_are_told_with_the_call_and_cost_the_operator(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    request_id = plane.ask(clear)["request_id"]
    failed = end(request_id, "upstream_error_before_output", is_final=False, channel_id=11, http_status=500, dp_cost_nano=70)
    served = end(request_id, attempt=2, channel_id=12, upstream_request_id="chatcmpl-1", dp_cost_nano=900)
    assert [one["status"] for one in plane.told(failed, served)] == ["accepted"] * 2
    attempts = log_of(request_id).attempts
    assert [(one["upstream"], one["status"], one["error"]) for one in attempts] == [
        (11, 500, "upstream_error_before_output"), (12, 200, ""),
    ]  # fmt: skip
    assert attempts[1]["upstream_request_id"] == "chatcmpl-1"
    assert charges(request_id) == [COST]
    assert list(LedgerEntry.objects.filter(kind="loss").values_list("amount_nano", flat=True)) == [70]
    assert log_of(request_id).price_detail["data_plane_cost_nano"] == 900
    call_command("ledger_check")


def test_provider_ids_that_are_missing_or_repeat_merge_no_calls(world: Company, plane: Plane):
    """gateway.md 3.6: the provider's id is a remark, never an identity."""
    person = world.person("1")
    _, clear = world.key(person)
    ids = [plane.ask(clear)["request_id"] for _ in range(4)]
    said = ("same", "same", None, "")
    answers = plane.told(*(end(one, upstream_request_id=word) for one, word in zip(ids, said, strict=True)))
    assert [one["status"] for one in answers] == ["accepted"] * 4
    assert balance(person) == 10**9 - 4 * COST
    assert RequestLog.objects.filter(user_id=person.pk).count() == 4


def test_events_of_another_data_plane_or_of_the_relay_are_not_taken(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    mine = plane.ask(clear)["request_id"]
    relays = uuid7()
    ledger.reserve([ledger.ReserveRequest(relays, person.pk, None, None, 10, timezone.now() + timedelta(minutes=9))])
    other = Plane.new("other")
    answers = other.told(end(mine), end(str(relays)))
    assert [(one["status"], one["reason"]) for one in answers] == [("rejected", "not_yours")] * 2
    assert held(person) == 2_510
    assert balance(person) == 10**9


def test_a_call_nobody_admitted_goes_to_the_desk(world: Company, plane: Plane):
    from billing.models import DeskItem

    person = world.person("1")
    key, _ = world.key(person)
    request_id = str(uuid7())
    answer = plane.told(end(request_id, key_id=key.pk, dp_cost_nano=500))[0]
    assert (answer["status"], answer["reason"], answer["retryable"]) == ("rejected", "no_reservation", False)
    item = DeskItem.objects.get(kind="unmatched")
    assert (str(item.request_id), item.user_id, item.amount_nano) == (request_id, person.pk, 500)
    assert balance(person) == 10**9
    call_command("ledger_check")


def test_a_late_end_is_charged_and_one_that_is_much_too_late_waits_at_the_desk(world: Company, plane: Plane):
    from billing.models import DeskItem

    person = world.person("1")
    _, clear = world.key(person)
    late, too_late = (plane.ask(clear)["request_id"] for _ in range(2))
    assert ledger.expire_holds(at=timezone.now() + timedelta(hours=1)) == 2
    Hold.objects.filter(pk=too_late).update(expires_at=timezone.now() - timedelta(days=8))
    answers = plane.told(end(late), end(too_late))
    assert [(one["status"], one.get("reason")) for one in answers] == [("accepted", "late"), ("accepted", "too_late")]
    assert charges(late) == [COST]
    assert balance(person) == 10**9 - COST
    assert DeskItem.objects.filter(kind="late").count() == 1
    assert [one["status"] for one in plane.told(end(late), end(too_late))] != ["accepted", "accepted"]
    call_command("ledger_check")


def test_an_end_nobody_knows_goes_to_the_sweeper_and_may_still_be_told(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    lost, found = (plane.ask(clear)["request_id"] for _ in range(2))
    answers = plane.told(end(lost, "unknown"), end(found, "unknown"))
    assert [(one["status"], one["reason"]) for one in answers] == [("accepted", "sweeper")] * 2
    assert held(person) == 5_000
    assert ledger.expire_holds() == 2
    assert held(person) == 0
    assert log_of(lost).error_code == "hold_expired"
    assert plane.told(end(found, attempt=2))[0]["reason"] == "late"
    assert balance(person) == 10**9 - COST
    call_command("ledger_check")


def test_a_batch_may_be_packed_and_bad_packing_is_refused(world: Company, plane: Plane):
    _, clear = world.key()
    request_id = plane.ask(clear)["request_id"]
    body = json.dumps({"source": "x", "seq": 1, "events": [end(request_id)]}).encode()

    def send(raw: bytes, coding: str) -> tuple[int, object]:
        answer = plane.client.post(
            "/dp/v1/usage", raw, content_type="application/json",
            headers={"Authorization": f"Bearer {plane.token}", "Content-Encoding": coding},
        )  # fmt: skip
        return answer.status_code, answer.json()

    assert send(gzip.compress(body), "gzip")[1]["results"][0]["status"] == "accepted"
    assert send(body, "gzip")[0] == 400
    assert send(gzip.compress(body)[:-9], "gzip")[0] == 400
    assert send(body, "br")[0] == 400
    assert send(body[:-1], "")[0] == 400
    bomb = gzip.compress(b" " * 50_000_000)
    assert send(bomb, "gzip")[1]["error"]["code"] == "request_too_large"
    assert send(b" " * 5_000_000, "")[1]["error"]["code"] == "request_too_large"


def test_an_id_of_a_year_that_cannot_be_is_refused(world: Company, plane: Plane):
    _, clear = world.key()
    impossible = uuid7(2**48 - 1)
    answer = plane.post("authorize", {"request_id": str(impossible), "key_hash": hash_of(clear), "model": "demo-chat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "clock_skew")
    told = plane.told(end(str(impossible)), end(str(uuid7(0))))
    assert [(one["status"], one["reason"]) for one in told] == [("rejected", "invalid:request_id")] * 2
