"""Clients and upstreams that behave badly, and large bodies: whatever they do, the money is right to the last nano-dollar."""

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
from models_catalog import services as catalog
from tests.gateway.servers import until
from tests.gateway.world import World, balance, charges, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MEGABYTE = 1024 * 1024
START = 1_000_000_000


def request_of(path: str, text: str, model: str = "demo-chat", **more: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": model, "input": text, "max_output_tokens": 60, **more}
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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_a_stream_may_be_left_at_every_chunk(world: World, path: str):
    person = world.person("1")
    _, clear = world.key(person)
    places = list(range(1, 12))
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
    (worker,) = world.relay.children()
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
    (worker,) = world.relay.children()
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
