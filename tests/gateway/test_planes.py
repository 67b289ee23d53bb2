"""The contract over HTTP: who may ask, what is told, what is decided, what is paid."""

import gzip
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from billing.models import Hold, LedgerEntry, RequestLog
from billing.pricing import RuleFigures
from billing.services import ledger
from billing.services.outcomes import change_outcome_rules
from config.foundation.ids import uuid7
from gateway.models import DataPlane, DataPlaneInstance, PlaneEvent, PlaneTally
from gateway.planes.events import FIELDS, USAGE_FIELDS
from gateway.services import planes as services
from keys.models import CallLimit
from keys.services import disable_key, issue_key, revoke_key
from tests.gateway.planes import Company, Plane, company, end, hash_of
from tests.gateway.world import CREDENTIAL, RULE, balance, charges, held, log_of

pytestmark = pytest.mark.django_db

# 1,000 in at 1 nano-dollar and 200 out at 3.
COST = 1_600
CALLS = [("get", "config"), ("get", "keys"), ("post", "authorize"), ("post", "usage"), ("post", "heartbeat"),
         ("post", "reconcile"), ("post", "leases"), ("get", "secrets/upstream-1"), ("get", "nothing")]  # fmt: skip
UPSTREAM, COUNTED = {"usage_source": "upstream"}, {"usage_source": "counted"}


@pytest.fixture
def world() -> Company:
    return company()


@pytest.fixture
def plane(world: Company) -> Plane:
    return Plane.new()


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_but_a_data_plane_gets_anything(world: Company, plane: Plane, method: str, path: str):
    """A missing, wrong, ended or foreign token; a person who is logged in; a clear API key."""
    _, clear = world.key()
    old = plane.token
    services.rotate_token(actor=None, plane=plane.row, overlap_hours=0)
    gone = Plane.new("gone")
    services.revoke_plane(actor=None, plane=gone.row)
    for header in ({}, *({"Authorization": f"Bearer {one}"} for one in (old, gone.token, clear, "dp-x", "", "dp-" + "é" * 20))):
        answer = getattr(APIClient(), method)(f"/dp/v1/{path}", headers=header)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "data_plane_token_refused")
    person = APIClient()
    person.force_login(world.person())
    assert getattr(person, method)(f"/dp/v1/{path}").status_code == 401


def test_a_token_is_told_once_and_works_on_for_the_overlap(plane: Plane):
    assert plane.token.startswith("dp-")
    assert plane.token not in str(DataPlane.objects.values())
    fresh = services.rotate_token(actor=None, plane=plane.row, overlap_hours=2)
    both = [Plane(plane.row, token) for token in (plane.token, fresh)]
    assert [one.get("keys").status_code for one in both] == [200, 200]
    DataPlane.objects.filter(pk=plane.row.pk).update(old_valid_until=timezone.now() - timedelta(seconds=1))
    assert [one.get("keys").status_code for one in both] == [401, 200]
    assert services.revoke_plane(actor=None, plane=plane.row)
    assert not services.revoke_plane(actor=None, plane=plane.row)
    assert both[1].get("keys").status_code == 401
    assert plane.token[3:] not in str(list(AuditEvent.objects.values()))


def test_the_configuration_by_version(world: Company, plane: Plane):
    first = plane.get("config")
    found = first.json()
    names = {model["public_name"] for model in found["models"]}
    assert names == set(world.models)
    channel = next(model for model in found["models"] if model["public_name"] == "demo-chat")["channels"][0]
    assert (channel["base_url"], channel["upstream_model"]) == ("http://upstream.example.org", "demo-chat")
    assert channel["secret_ref"] == f"upstream-{channel['id']}"
    assert CREDENTIAL not in first.content.decode()
    again = plane.get("config", since=found["version"], wait=0)
    assert (again.status_code, again.content) == (304, b"")
    # A key is no part of it; a price is.
    world.key()
    assert plane.get("config", since=found["version"]).status_code == 304
    world.publish({"demo-chat": RuleFigures(input_nano=7)})
    changed = plane.get("config", since=found["version"], wait=3)
    assert changed.status_code == 200
    assert changed.json()["version"] != found["version"]
    assert changed.headers["ETag"] == f'"{changed.json()["version"]}"'
    assert plane.get("config", wait="soon").json()["error"]["code"] == "invalid_input"


def test_a_wait_for_the_configuration_ends(world: Company, plane: Plane):
    version = plane.get("config").json()["version"]
    assert plane.get("config", since=version, wait=1).status_code == 304


def test_keys_are_told_by_digest_with_what_changed_since(world: Company, plane: Plane):
    """Everything at first; then only what changed; ends as tombstones or states; never a clear key."""
    person = world.person()
    kept, clear = issue_key(actor=None, owner=person, name="kept", networks=["10.0.0.0/8"], model_names=["demo-chat"])
    lost, _ = world.key(person)
    CallLimit.objects.create(key=kept, requests_per_minute=7)
    first = plane.get("keys").json()
    assert first["is_reset"]
    row = next(one for one in first["rows"] if one["key_id"] == kept.pk)
    assert row["key_hash"] == hash_of(clear)
    assert (row["status"], row["models"], row["networks"]) == ("active", ["demo-chat"], ["10.0.0.0/8"])
    assert (row["rpm"], row["tpm"], row["group"]) == (7, None, world.group.code)
    assert row["account"] == {"kind": "user", "id": person.pk}
    assert clear not in json.dumps(first)
    assert clear.removeprefix("sk-") not in json.dumps(first)
    disable_key(actor=None, key=kept)
    lost_id = lost.pk
    lost.secrets.all().delete()
    lost.delete()
    told = plane.get("keys", since=first["cursor"]).json()
    assert not told["is_reset"]
    states = {one["key_id"]: one["status"] for one in told["rows"]}
    assert states[kept.pk] == "disabled"
    assert told["gone"] == [lost_id]
    revoke_key(actor=None, key=kept)
    rows = plane.get("keys", since=told["cursor"]).json()["rows"]
    assert {one["status"] for one in rows if one["key_id"] == kept.pk} == {"revoked"}
    for bad in ("x", "1.2", "-1.0.0.0", "1.2.3." + "9" * 30):
        assert plane.get("keys", since=bad).json()["error"]["code"] == "invalid_input"


def test_keys_come_in_pages(world: Company, plane: Plane, monkeypatch: pytest.MonkeyPatch):
    from gateway.planes import keys_feed

    monkeypatch.setattr(keys_feed, "PAGE", 2)
    person = world.person()
    keys = {world.key(person)[0].pk for _ in range(5)}
    cursor, seen, resets = "", set(), []
    while True:
        page = plane.get("keys", since=cursor).json()
        seen |= {row["key_id"] for row in page["rows"]}
        resets.append(page["is_reset"])
        cursor = page["cursor"]
        if not page["has_more"]:
            break
    assert keys <= seen
    assert resets[0]
    assert not any(resets[1:])


def test_a_call_is_held_for_and_charged_at_the_price_of_its_admission(world: Company, plane: Plane):
    person = world.person("1")
    key, clear = world.key(person)
    found = plane.ask(clear, client_ip="203.0.113.9")
    assert found["decision"] == "allow"
    assert found["reserved_nano"] == 1000 + 500 * 3 == held(person)
    assert (found["key_id"], found["resolved"]["public_name"]) == (key.pk, "demo-chat")
    # The price and the rules of ends change while the call runs.
    world.publish({"demo-chat": RuleFigures(input_nano=RULE.input_nano * 100)})
    change_outcome_rules(actor=None, cells={"client_gone_after_output": ("nothing", "nothing")})
    assert plane.told(end(found["request_id"])) == [{"event_id": f"{found['request_id']}:1", "status": "accepted"}]
    assert charges(found["request_id"]) == [COST]
    assert (balance(person), held(person)) == (10**9 - COST, 0)
    row = log_of(found["request_id"])
    assert (row.outcome, row.cost_nano, row.usage_source, row.key_id) == ("ok", COST, "upstream", key.pk)
    assert (row.asked_model, row.served_model, row.client_network) == ("demo-chat", "demo-chat-001", "203.0.113.x")
    assert row.price_version_id == found["price_id"]
    second = plane.ask(clear)
    assert second["price_id"] != found["price_id"]
    call_command("ledger_check")


def test_the_same_question_twice_is_one_hold(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    request_id = uuid7()
    first, second = plane.ask(clear, request_id=request_id), plane.ask(clear, request_id=request_id)
    assert first["reservation_id"] == second["reservation_id"] == str(request_id)
    assert held(person) == first["reserved_nano"]
    other = plane.post("authorize", {"request_id": str(request_id), "key_hash": hash_of(clear), "model": "demo-chat",
                                     "est": {"input_tokens": 5}})  # fmt: skip
    assert (other.status_code, other.json()["error"]["code"]) == (409, "request_id_used")
    assert held(person) == first["reserved_nano"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "nothing"}, 404, "model_not_found"),
        ({"key_hash": "0" * 64}, 401, "invalid_api_key"),
        ({"endpoint": "/v1/nothing"}, 400, "endpoint_not_supported"),
        ({"est": {"input_tokens": 10**9}}, 402, "insufficient_quota"),
        ({"model": ""}, 400, "model_required"),
    ],
)
def test_a_refusal_says_what_the_client_is_to_be_told_and_is_logged(
    world: Company, plane: Plane, change: dict, status: int, code: str
):
    person = world.person("0.5")
    _, clear = world.key(person)
    found = plane.ask(clear, **change)
    assert (found["decision"], found["http_status"], found["code"]) == ("deny", status, code)
    assert found["body"]["error"]["code"] == code
    row = log_of(found["request_id"])
    assert (row.http_status, row.error_code, row.cost_nano) == (status, code, 0)
    assert held(person) == 0
    assert not Hold.objects.filter(pk=row.pk).exists()
    # The data plane's own word about it changes nothing.
    assert plane.told(end(found["request_id"], "refused_local", error_class=code))[0]["status"] == "duplicate"


def test_a_model_without_a_price_is_refused(world: Company, plane: Plane):
    """gateway.md 3.6: an unknown price is a refusal, never a free call."""
    from models_catalog import services as catalog

    model = catalog.create_model(actor_name="test", figures=catalog.ModelFigures(name="unpriced"))
    catalog.set_access(actor_name="test", model=model, group_codes=[world.group.code])
    catalog.serve_model(actor_name="test", upstream=world.route, model=model)
    _, clear = world.key()
    found = plane.ask(clear, model="unpriced")
    assert (found["decision"], found["code"]) == ("deny", "model_not_priced")


@pytest.mark.parametrize(
    "body",
    [
        None, [], "x", {}, {"request_id": "x"}, {"request_id": 7},
        {"key_hash": "zz"}, {"key_hash": "A" * 64}, {"est": {"input_tokens": 1.5}}, {"est": {"input_tokens": "5"}},
        {"est": {"input_tokens": -1}}, {"est": {"tokens": 5}}, {"est": {"input_tokens": 10**12}}, {"modle": "x"}, {"model": 5},
        {"model": "a\x00b"}, {"params": {"a": [1]}}, {"params": 5}, {"is_stream": "perhaps"}, {"client_ip": "x" * 65},
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_refused_with_our_body(world: Company, plane: Plane, body: object):
    person = world.person("1")
    _, clear = world.key(person)
    fine = {"request_id": str(uuid7()), "key_hash": hash_of(clear), "model": "demo-chat"}
    answer = plane.post("authorize", {**fine, **body} if isinstance(body, dict) and body else body)
    assert answer.status_code in (400, 422), answer.content
    assert answer.json()["error"]["code"] == "invalid_input"
    assert held(person) == 0


def test_a_clock_that_is_wrong_is_told(world: Company, plane: Plane):
    _, clear = world.key()
    for off in (-3600, 3600):
        wrong = uuid7(int((timezone.now() + timedelta(seconds=off)).timestamp() * 1000))
        answer = plane.post("authorize", {"request_id": str(wrong), "key_hash": hash_of(clear), "model": "demo-chat"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "clock_skew")
        assert abs(answer.json()["error"]["off_by_seconds"] - off) <= 2
    assert plane.post("authorize", {"request_id": "7b0d6b8e-0000-4000-8000-000000000000", "key_hash": hash_of(clear),
                                    "model": "demo-chat"}).json()["error"]["code"] == "invalid_input"  # fmt: skip


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


def test_a_heartbeat_tells_how_it_does_and_hears_what_is_wanted(plane: Plane):
    body = {"instance": "engine-1", "version": "1.0", "config_version": "abc", "key_cursor": "1.0.0.5", "spool_depth": 12,
            "oldest_unacked_s": 90, "inflight": 3, "leases": 1,
            "sent_at": (timezone.now() - timedelta(seconds=30)).isoformat()}  # fmt: skip
    answer = plane.post("heartbeat", body).json()
    assert answer["wanted"] == ""
    assert -31_000 < answer["clock_ms"] < -29_000
    row = DataPlaneInstance.objects.get(plane=plane.row)
    assert (row.name, row.spool_depth, row.oldest_unacked_s, row.inflight, row.lease_count) == ("engine-1", 12, 90, 3, 1)
    DataPlane.objects.filter(pk=plane.row.pk).update(wanted="drain")
    plane.post("heartbeat", {"instance": "engine-2"})
    assert plane.post("heartbeat", body).json()["wanted"] == "drain"
    assert DataPlaneInstance.objects.filter(plane=plane.row).count() == 2
    for bad in ({}, {"instance": ""}, {"instance": "x", "inflight": -1}, {"instance": "x", "more": 1}, {"instance": "x" * 129}):
        assert plane.post("heartbeat", bad).status_code == 400


def test_figures_are_compared_by_channel_and_hour(world: Company, plane: Plane):
    person = world.person("1")
    _, clear = world.key(person)
    ids = [plane.ask(clear)["request_id"] for _ in range(3)]
    plane.told(*(end(one, channel_id=world.route.pk) for one in ids))
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    row = {"hour_at": hour.isoformat(), "channel_id": world.route.pk, "calls": 3, "input_tokens": 3000, "output_tokens": 600}
    asked = {"source": plane.source, "begin_at": hour.isoformat(), "end_at": (hour + timedelta(hours=1)).isoformat()}
    assert plane.post("reconcile", {**asked, "rows": [row]}).json() == {"compared": 1, "differences": []}
    found = plane.post("reconcile", {**asked, "rows": [{**row, "calls": 4, "output_tokens": 800}]}).json()["differences"]
    assert [(one["told"]["calls"], one["ours"]["calls"], one["ours"]["output_tokens"]) for one in found] == [(4, 3, 600)]
    assert plane.post("reconcile", {**asked, "rows": []}).json()["differences"][0]["told"]["calls"] == 0
    assert PlaneTally.objects.count() == 1
    for bad in ({"rows": [row, row]}, {"rows": [], "end_at": asked["begin_at"]}, {"rows": [{**row, "calls": -1}]},
                {"rows": [{**row, "hour_at": (hour + timedelta(days=9)).isoformat()}]}):  # fmt: skip
        answer = plane.post("reconcile", {**asked, **bad})
        assert (answer.status_code in (400, 422), answer.json()["error"]["code"]) == (True, "invalid_input")


def test_a_credential_is_read_only_with_the_right_and_each_reading_is_in_the_trail(world: Company, plane: Plane):
    ref = f"upstream-{world.route.pk}"
    refused = plane.get(f"secrets/{ref}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "secret_not_found")
    trusted = Plane.new("trusted", may_read_secrets=True)
    assert trusted.get(f"secrets/{ref}").json() == {"value": CREDENTIAL}
    for bad in ("upstream-999999", "upstream-x", "x", "upstream-" + "9" * 30):
        assert trusted.get(f"secrets/{bad}").status_code == 404
    events = AuditEvent.objects.filter(action="data_plane.secret_read")
    assert [event.after for event in events] == [{"data_plane": "trusted"}]
    assert CREDENTIAL not in str(list(AuditEvent.objects.values()))


def test_the_described_fields_are_the_ones_that_are_read():
    from gateway.planes.api.serializers import UsageCountsIn, UsageEventIn

    assert set(UsageEventIn().fields) == FIELDS
    assert set(UsageCountsIn().fields) == USAGE_FIELDS


@pytest.mark.parametrize("value", ["\x00", "x" * 500, "-1", "9" * 30, "%", "'", "[]", "é"])
def test_no_query_breaks_an_answer(plane: Plane, value: str):
    for path, name in (("config", "since"), ("config", "wait"), ("keys", "since"), ("keys", "more")):
        answer = plane.get(path, **{name: value})
        assert answer.status_code in (200, 304, 422), (path, name, answer.status_code)
    assert plane.get(f"secrets/{value}").status_code == 404


def lend(plane: Plane, key_id: int, wanted: int = 10_000, least: int = 2_500) -> dict:
    wish = {"lease_id": str(uuid7()), "key_id": key_id, "wanted_nano": wanted, "least_nano": least}
    answer = plane.post("leases", {"open": [wish]})
    assert answer.status_code == 200, answer.content
    return answer.json()["open"][0]


def lent_end(lease: dict, key_id: int, outcome: str = "ok", **fields: object) -> dict:
    more = {"lease_id": lease["lease_id"], "promised_nano": 2_500, "key_id": key_id, "model_requested": "demo-chat"}
    return end(str(uuid7()), outcome, endpoint="/v1/chat/completions", **{**more, **fields})


def test_money_is_lent_spent_by_events_and_given_back(world: Company, plane: Plane):
    """A lease holds money of the payer; calls that draw on it are priced here; what is left comes back."""
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    assert (lease["status"], lease["granted_nano"], held(person)) == ("open", 10_000, 10_000)
    rate = next(one for one in lease["rates"] if one["name"] == "demo-chat")
    assert (rate["call_nano"], rate["input_nano"], rate["output_nano"]) == (0, 1_000_000, 3_000_000)
    events = [lent_end(lease, key.pk), lent_end(lease, key.pk), lent_end(lease, key.pk, "upstream_error_before_output")]
    assert [one["status"] for one in plane.told(*events)] == ["accepted"] * 3
    assert (balance(person), held(person)) == (10**9 - 2 * COST, 10_000 - 2 * COST)
    row = log_of(events[0]["request_id"])
    assert (row.cost_nano, row.asked_model, row.key_id, row.user_id) == (COST, "demo-chat", key.pk, person.pk)
    assert [one["status"] for one in plane.told(*events)] == ["duplicate"] * 3
    renewed = plane.post("leases", {"renew": [{"lease_id": lease["lease_id"], "granted_nano": 20_000}]}).json()["renew"][0]
    assert (renewed["status"], renewed["granted_nano"], held(person)) == ("renewed", 20_000, 20_000 - 2 * COST)
    closed = plane.post("leases", {"close": [lease["lease_id"]]}).json()["close"][0]
    assert (closed["status"], closed["returned_nano"], held(person)) == ("closed", 20_000 - 2 * COST, 0)
    # An end that comes after that is charged as late.
    late = plane.told(lent_end(lease, key.pk))[0]
    assert (late["status"], late.get("reason")) == ("accepted", "late")
    assert balance(person) == 10**9 - 3 * COST
    call_command("ledger_check")


def test_a_lease_is_its_data_planes_own(world: Company, plane: Plane):
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    other = Plane.new("other")
    answer = other.told(lent_end(lease, key.pk))[0]
    assert (answer["status"], answer["reason"]) == ("rejected", "not_yours")
    body = {"renew": [{"lease_id": lease["lease_id"], "granted_nano": 0}], "close": [lease["lease_id"]]}
    found = other.post("leases", body).json()
    assert (found["renew"][0]["status"], found["close"][0]["status"]) == ("unknown", "unknown")
    assert (balance(person), held(person)) == (10**9, 10_000)


def test_who_gets_no_lease(world: Company, plane: Plane):
    """A key that may not call, a balance that is too small, a spend limit: no money is set aside."""
    from billing.services.budgets import set_key_limit

    person, poor, limited = world.person("1"), world.person("0.00002"), world.person("1")
    shut, _ = world.key(person)
    disable_key(actor=None, key=shut)
    held_back, _ = world.key(limited)
    set_key_limit(actor=None, key=held_back, limit_nano=10**8)
    assert lend(plane, shut.pk)["status"] == "refused"
    assert lend(plane, 999_999)["status"] == "refused"
    assert lend(plane, world.key(poor)[0].pk, 10**6, 10**6)["status"] == "no_balance"
    assert lend(plane, held_back.pk)["status"] == "per_call"
    assert [held(one) for one in (person, poor, limited)] == [0, 0, 0]
    for bad in (
        {"open": [{}]},
        {"open": 5},
        {"close": ["x"]},
        {"more": []},
        {"renew": [{"lease_id": str(uuid7()), "granted_nano": -1}]},
    ):
        assert plane.post("leases", bad).status_code == 400


def test_a_lent_call_is_priced_by_what_was_in_force_when_it_began_and_is_never_free(world: Company, plane: Plane):
    person = world.person("1")
    key, _ = world.key(person)
    lease = lend(plane, key.pk)
    before, silent = lent_end(lease, key.pk), lent_end(lease, key.pk, usage=None, usage_source="none")
    world.publish({"demo-chat": RuleFigures(input_nano=RULE.input_nano * 100)})
    disable_key(actor=None, key=key)
    assert [one["status"] for one in plane.told(before, silent)] == ["accepted"] * 2
    assert charges(before["request_id"]) == [COST]
    assert charges(silent["request_id"]) == [2_500]
    call_command("ledger_check")


def test_an_id_of_a_year_that_cannot_be_is_refused(world: Company, plane: Plane):
    _, clear = world.key()
    impossible = uuid7(2**48 - 1)
    answer = plane.post("authorize", {"request_id": str(impossible), "key_hash": hash_of(clear), "model": "demo-chat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "clock_skew")
    told = plane.told(end(str(impossible)), end(str(uuid7(0))))
    assert [(one["status"], one["reason"]) for one in told] == [("rejected", "invalid:request_id")] * 2
