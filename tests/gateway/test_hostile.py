"""Clients and upstreams that behave badly, and large bodies: whatever they do, the money is right to the last nano-dollar."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from django.core.management import call_command

from billing.models import LedgerEntry, RequestLog
from billing.pricing import RuleFigures
from gateway.services import remember_old_entry, set_routes
from models_catalog import services as catalog
from tests.gateway.servers import Server, until
from tests.gateway.world import World, balance, charges, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MEGABYTE = 1024 * 1024
START = 1_000_000_000


def request_of(path: str, text: str, model: str = "demo-chat", **more: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": model, "input": text, "max_output_tokens": 60, **more}
    if path == "/v1/completions":
        return {"model": model, "prompt": text, "max_tokens": 60, **more}
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 60, **more}


def all_is_right(person: Any, count: int) -> list[RequestLog]:
    """Every call has its one row and its one charge, nothing is held, the balance is what the rows say."""
    rows = list(until(lambda: (r := RequestLog.objects.filter(user_id=person.pk)).count() == count and r, 15))
    until(lambda: held(person) == 0, 15)
    for row in rows:
        booked = list(LedgerEntry.objects.filter(transaction_id=row.pk, kind="charge").values_list("amount_nano", flat=True))
        assert booked == ([row.cost_nano] if row.cost_nano else [])
    assert balance(person) == START - sum(row.cost_nano for row in rows)
    call_command("ledger_check")
    return rows


def leave_after(world: World, path: str, clear: str, events: int) -> None:
    """Read so many events of a stream, then hang up without a word."""
    host, port = world.relay.url.removeprefix("http://").split(":")
    body = orjson.dumps(request_of(path, "some words [[usage 100 8]] [[delay 0.06]]", stream=True))
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nx-api-key: {clear}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while got.count(b"data: ") < events:
            part = line.recv(65536)
            if not part:
                return
            got += part


def leave_when(world: World, path: str, clear: str, body: dict[str, Any], seen: bytes) -> None:
    """Read until these bytes have come, then hang up without a word."""
    host, port = world.relay.url.removeprefix("http://").split(":")
    raw = orjson.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nx-api-key: {clear}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(raw) + raw)
        got = b""
        while seen not in got:
            part = line.recv(65536)
            assert part, got[-300:]
            got += part


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
def test_a_stream_may_be_left_at_every_chunk(world: World, path: str):
    person = world.person("1")
    _, clear = world.key(person)
    # Plain completions have no event for the role: the last one of theirs is the tenth.
    places = list(range(1, 11 if path == "/v1/completions" else 12))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: leave_after(world, path, clear, n), places))
    rows = all_is_right(person, len(places))
    full = 100 + 3 * 8
    assert {row.outcome for row in rows} <= {"cancelled", "ok"}
    assert sum(row.outcome == "cancelled" for row in rows) >= 6
    for row in rows:
        assert 0 < row.cost_nano <= max(full, row.input_tokens + 3 * row.output_tokens)
        assert row.cost_nano == row.input_tokens + 3 * row.output_tokens
        assert row.output_tokens <= 20


@pytest.mark.parametrize("seen", [b"HTTP/1.1 200", b"partial_image", b"completed"], ids=["head", "first event", "last event"])
def test_a_streamed_picture_may_be_left_at_every_event(world: World, seen: bytes):
    """A picture whose making was begun is made and paid, whole; the history says how it ended."""
    world.publish({"demo-image": RuleFigures(unit_prices={"image:*:*": 40_000_000})})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    body = {"model": "demo-image", "prompt": "a house [[delay 0.2]]", "stream": True, "partial_images": 1}
    for _ in range(3):
        leave_when(world, "/v1/images/generations", clear, body, seen)
    for row in all_is_right(person, 3):
        # Another picture might follow a completed one, so the call ends with its stream.
        assert (row.cost_nano, row.outcome, row.image_count) == (40_000_000, "cancelled", 1)


@pytest.mark.parametrize("seen", [b"HTTP/1.1 200", b"demo sound demo"], ids=["head", "half"])
def test_a_voice_may_be_left_in_the_middle(world: World, seen: bytes):
    """Speech is paid by the text that is read, so from its first byte on all of it is paid."""
    world.publish({"demo-sound": RuleFigures(character_nano=15_000_000_000)})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    body = {"model": "demo-sound", "voice": "alloy", "input": "x" * 80 + " [[delay 0.3]] 12345"}
    for _ in range(3):
        leave_when(world, "/v1/audio/speech", clear, body, seen)
    for row in all_is_right(person, 3):
        assert (row.outcome, row.character_count, row.cost_nano) == ("cancelled", 100, 1_500_000)


def test_an_upstream_that_repeats_its_ids_and_a_client_that_chooses_one_are_charged_for_each_call(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    chosen = "00000000000070008000000000000001"
    ids = []
    for _ in range(3):
        answer = httpx.post(
            f"{world.relay.url}/v1/chat/completions",
            json=request_of("", "hi [[usage 100 10]]", "demo-same-id"),
            headers={"x-api-key": clear, "x-request-id": chosen, "x-litellm-call-id": chosen, "idempotency-key": chosen},
        )
        ids.append(answer.headers["x-request-id"])
        assert log_of(ids[-1]).cost_nano == 130
    assert len({*ids, chosen}) == 4
    rows = all_is_right(person, 3)
    assert sum(row.cost_nano for row in rows) == 390
    assert {"x-request-id", "idempotency-key"}.isdisjoint(world.upstream.calls()["headers_seen"])


def test_an_upstream_that_stalls_or_talks_rubbish_is_paid_for_what_came(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    stalled = world.ask(clear, "hi [[usage 1000 20]]", "demo-stall", stream=True)
    assert "stream_timeout" in stalled.text
    rubbish = world.ask(clear, "hi [[usage 1000 20]]", "demo-garbage-stream", stream=True)
    assert "stream_cut" in rubbish.text
    assert "<html>" not in rubbish.text
    other = world.ask(clear, "hi [[usage 100 10]]", "demo-other-model")
    row = log_of(other.headers["x-request-id"])
    assert (row.asked_model, row.billed_model, row.served_model, row.cost_nano) == (
        "demo-other-model", "demo-other-model", "demo-served-instead", 130,
    )  # fmt: skip
    rows = all_is_right(person, 3)
    assert sorted(row.outcome for row in rows) == ["cut_stream", "ok", "timeout"]
    for row in rows:
        assert row.cost_nano == row.input_tokens + 3 * row.output_tokens
        assert 0 < row.output_tokens < 20


def test_a_slow_client_gets_everything_and_pays_for_it(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    body = request_of("", "hi [[usage 100 2000]]", stream=True) | {"max_tokens": 3000}
    headers = {"Authorization": f"Bearer {clear}"}
    with httpx.stream("POST", f"{world.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=30) as answer:
        got = b""
        for n, part in enumerate(answer.iter_raw(16_384)):
            got += part
            if n < 5:
                time.sleep(0.1)
    assert got.endswith(b"data: [DONE]\n\n")
    assert got.count(b'"content"') == 2001
    (row,) = all_is_right(person, 1)
    assert (row.outcome, row.cost_nano) == ("ok", 100 + 3 * 2000)


def test_large_json_bodies_are_served_and_too_large_ones_refused(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    catalog.update_upstream(actor_name="test", upstream=world.route, timeout_seconds=60)
    world.settle_in()
    picture = "data:image/png;base64," + "A" * (50 * MEGABYTE)
    for text in ("x" * MEGABYTE, picture):
        part = {"type": "text", "text": text} if text[0] == "x" else {"type": "image_url", "image_url": {"url": text}}
        content = [part, {"type": "text", "text": "[[usage 1000 5]]"}]
        answer = world.ask(clear, messages=[{"role": "user", "content": content}])
        assert answer.status_code == 200, answer.text
        assert world.upstream.calls()["last_bytes"] > len(text)
    refused = world.ask(clear, messages=[{"role": "user", "content": "x" * (65 * MEGABYTE)}])
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    rows = all_is_right(person, 3)
    assert sorted(row.cost_nano for row in rows) == [0, 1015, 1015]


def peak_of(world: World) -> int:
    """The most memory the relay's worker ever had, in kilobytes."""
    worker = world.relay.process.pid
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_a_form_of_50_megabytes_goes_through_without_being_held_in_memory(world: World):
    world.publish({"demo-sound": RuleFigures(unit_prices={"audio": 1000})})
    catalog.update_upstream(actor_name="test", upstream=world.route, timeout_seconds=60)
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    headers = {"Authorization": f"Bearer {clear}"}
    path = f"{world.relay.url}/v1/audio/transcriptions"

    def send(size: int, **fields: str) -> httpx.Response:
        return httpx.post(
            path, data={"model": "demo-sound", **fields}, files={"file": ("a.wav", b"s" * size)}, headers=headers, timeout=60
        )

    assert send(MEGABYTE).status_code == 200
    worker = world.relay.process.pid
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    before = peak_of(world)
    answer = send(50 * MEGABYTE)
    assert answer.status_code == 200
    assert world.upstream.calls()["last_bytes"] == 50 * MEGABYTE
    assert world.upstream.calls()["last_fields"] == {"model": "demo-sound"}
    assert peak_of(world) - before < 20_000
    assert charges(answer.headers["x-request-id"]) == [30_000]
    assert send(65 * MEGABYTE).json()["error"]["code"] == "request_too_large"
    failed = send(3 * MEGABYTE, model="demo-500")
    assert failed.status_code == 502
    rows = all_is_right(person, 4)
    assert sorted(row.cost_nano for row in rows) == [0, 0, 30_000, 30_000]


def test_a_body_of_50_megabytes_on_the_old_route_is_passed_on_and_not_held_in_memory(world: World, old_gateway: Server):
    old_gateway.reset()
    entry = remember_old_entry(actor=None, name="old gateway", base_url=old_gateway.url)
    person = world.person("1")
    key, clear = world.key(person)
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=entry)
    world.settle_in()

    def send(size: int, **more: Any) -> httpx.Response:
        content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}]
        body = {"messages": [{"role": "user", "content": content}], "model": "old-name", **more}
        return httpx.post(
            f"{world.relay.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=60
        )

    assert send(MEGABYTE).status_code == 200
    worker = world.relay.process.pid
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    before = peak_of(world)
    answer = send(50 * MEGABYTE, stream=True)
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")
    assert peak_of(world) - before < 20_000
    # The name stood behind fifty megabytes, and is in the record all the same.
    row = log_of(answer.headers["x-request-id"])
    assert (row.route, row.asked_model, row.is_stream, row.outcome, row.cost_nano) == ("old", "old-name", True, "ok", 0)
    assert [one["model"] for one in old_gateway.calls()["calls"]] == ["old-name", "old-name"]
    # Too large is refused: at once when the client says how much comes, else where the limit is passed.
    refused = send(65 * MEGABYTE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")

    def without_end() -> Any:
        for _ in range(65):
            yield b"x" * MEGABYTE

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        refused = httpx.post(
            f"{world.relay.url}/v1/chat/completions", content=without_end(), timeout=60,
            headers={"Authorization": f"Bearer {clear}", "Content-Type": "application/json"},
        )  # fmt: skip
        assert refused.json()["error"]["code"] == "request_too_large"
    rows = until(lambda: (r := list(RequestLog.objects.filter(user_id=person.pk))) and len(r) == 4 and r)
    assert sorted(row.error_code for row in rows) == ["", "", "request_too_large", "request_too_large"]
    assert len(old_gateway.calls()["calls"]) == 2


def test_a_client_that_leaves_in_the_middle_of_a_large_body_is_recorded_as_gone(world: World, old_gateway: Server):
    old_gateway.reset()
    entry = remember_old_entry(actor=None, name="old gateway", base_url=old_gateway.url)
    person = world.person("1")
    key, clear = world.key(person)
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=entry)
    world.settle_in()
    host, port = world.relay.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nx-api-key: {clear}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head.encode() + b"content-length: %d\r\n\r\n" % (8 * MEGABYTE) + b"x" * (2 * MEGABYTE))
        time.sleep(0.3)
    row = until(lambda: RequestLog.objects.filter(user_id=person.pk).first(), 15)
    assert (row.outcome, row.error_code, row.cost_nano) == ("cancelled", "client_gone", 0)
    assert old_gateway.calls()["total"] == 0


def test_a_large_json_body_leaves_nothing_in_memory_once_it_is_answered(world: World):
    catalog.update_upstream(actor_name="test", upstream=world.route, timeout_seconds=60)
    world.settle_in()
    _, clear = world.key(world.person("1"))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * (50 * MEGABYTE)}}
    content = [picture, {"type": "text", "text": "[[usage 1000 5]]"}]
    assert world.ask(clear, "hi").status_code == 200
    before = rss_of(world)
    for _ in range(3):
        assert world.ask(clear, messages=[{"role": "user", "content": content}]).status_code == 200
    until(lambda: rss_of(world) - before < 30_000, 10)


def rss_of(world: World) -> int:
    """What the relay's worker has in memory now, in kilobytes."""
    worker = world.relay.process.pid
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_ids_that_are_null_or_repeated_at_the_upstream_lose_no_row(world: World, path: str):
    """The provider's ids are no key of ours: with ``null`` and with the same one each call has its row and its charge."""
    person = world.person("1")
    _, clear = world.key(person)
    for model in ("demo-null-id", "demo-same-id"):
        for is_stream in (False, True):
            body = request_of(path, "hi [[usage 100 10]]", model, stream=is_stream)
            answer = httpx.post(world.relay.url + path, json=body, headers={"x-api-key": clear}, timeout=20)
            assert answer.status_code == 200, answer.text
            assert log_of(answer.headers["x-request-id"]).cost_nano == 130
    assert len(all_is_right(person, 4)) == 4


def test_a_response_that_is_asked_for_again_is_not_charged_again(world: World):
    """A GET of an earlier response is nothing the entry serves: no row, no charge."""
    person = world.person("1")
    _, clear = world.key(person)
    made = httpx.post(
        f"{world.relay.url}/v1/responses", json=request_of("/v1/responses", "hi [[usage 100 10]]"), headers={"x-api-key": clear}
    )
    for _ in range(3):
        again = httpx.get(f"{world.relay.url}/v1/responses/{made.json()['id']}", headers={"x-api-key": clear})
        assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")
    rows = all_is_right(person, 4)
    assert sum(row.cost_nano for row in rows) == 130
    assert world.upstream.calls()["total"] == 1
