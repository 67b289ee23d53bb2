"""The adapter's own parts, without LiteLLM: spool, copy of keys, estimates, one end for each call."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.conf import settings

from config.foundation.ids import uuid7_time
from gateway.engines.litellm.portal_litellm import calls as calls_module
from gateway.engines.litellm.portal_litellm.calls import Calls, new_request_id
from gateway.engines.litellm.portal_litellm.estimate import estimate_of, units_of
from gateway.engines.litellm.portal_litellm.figures import text_size, usage_of
from gateway.engines.litellm.portal_litellm.keys import Copy, model_refusal, refusal_of
from gateway.engines.litellm.portal_litellm.options import Options
from gateway.engines.litellm.portal_litellm.spool import Spool
from gateway.planes.events import BadEvent, read_event
from keys.secrets import candidate_digests, generate

ROW = {
    "key_hash": "aa", "key_id": 5, "status": "active", "expires_at": None, "networks": [], "route": "new", "models": None,
    "groups": ["staff"],
}  # fmt: skip
CONFIG = {
    "version": "v1",
    "models": [{"public_name": "chat", "groups": ["staff"]}, {"public_name": "dear", "groups": ["vip"]}],
    "names": [{"name": "old-chat", "model": "chat"}, {"name": "gone", "model": None}],
    "settings": {"max_stale_seconds": 900},
}


def test_a_key_has_the_digest_that_the_portal_keeps():
    clear = generate()
    peppers = tuple(pair.partition(":")[2].encode() for pair in settings.KEY_PEPPERS.split(","))
    options = Options("u", "t", peppers, Path(), "i")
    expected = [digest.hex() for digest in candidate_digests(clear.removeprefix("sk-"))]
    assert options.digests_of(clear) == options.digests_of(clear + "-7") == expected
    assert options.digests_of("") == []
    assert peppers[0].decode() not in repr(options)


def test_request_ids_are_uuid7_of_now_and_never_the_same():
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    found = UUID(ids[0])
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert abs(uuid7_time(found) - datetime.now(UTC)) < timedelta(seconds=5)


def call_in(spool: Spool, **facts: object) -> tuple[Calls, calls_module.Call]:
    calls = Calls(spool)
    return calls, calls.begin({"key_id": 5, "endpoint": "/v1/chat/completions", **facts}, 10)


def test_every_event_of_the_adapter_can_be_read_by_the_portal(tmp_path: Path):
    """Whatever way a call ends: the strict reader of the portal takes the event."""
    spool = Spool(tmp_path)
    usage = {"usage": {"input": 5, "output": 2}, "usage_source": "upstream"}
    calls, call = call_in(spool, model_requested="chat", price_id=7)
    calls.attempt_failed(call, http_status=500, error_class="InternalServerError", channel_id=3)
    calls.finish(call, "ok", http_status=200, channel_id=4, dp_cost_nano=9, upstream_request_id="x", model_served="m", **usage)
    calls, call = call_in(spool)
    calls.attempt_failed(call, http_status=504)
    calls.finish_failed(call)
    calls, call = call_in(spool)
    call.chunks, call.size, call.first_at, call.is_aborted = 3, 40, call.started + 0.1, True
    calls.finish(call, "ok", **calls.counted(call))
    calls, call = call_in(spool)
    calls.finish(call, "not_dispatched", error_class="service_unavailable", http_status=503)
    calls.refuse({"endpoint": "/v1/chat/completions", "key_id": None}, 401, "invalid_api_key")
    events = [{name: value for name, value in event.items() if name != "_at"} for event in spool.batch(99)]
    read = [read_event(json.loads(json.dumps(event)), datetime.now(UTC)) for event in events]
    assert [(one.outcome, one.is_final) for one in read] == [
        ("upstream_error_before_output", False),
        ("ok", True),
        ("timeout_before_output", True),
        ("client_abort", True),
        ("not_dispatched", True),
        ("refused_local", True),
    ]
    assert len({one.event_id for one in read}) == 6
    with pytest.raises(BadEvent):
        read_event({**events[0], "prompt": "x"}, datetime.now(UTC))
    spool.close()


def test_a_call_has_one_end(tmp_path: Path):
    spool = Spool(tmp_path)
    calls, call = call_in(spool)
    calls.finish(call, "ok")
    calls.finish(call, "ok")
    calls.finish_failed(call)
    calls.overdue(0)
    assert len(spool.pending) == 1
    assert len(calls) == 0
    spool.close()


def test_calls_whose_figures_do_not_come_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = Spool(tmp_path)
    calls, left = call_in(spool)
    left.is_aborted, left.ended, left.size, left.chunks = True, 1.0, 40, 2
    failed = calls.begin({}, 1)
    failed.ended = 1.0
    endless = calls.begin({}, 1)
    endless.started -= 1_000
    running = calls.begin({}, 1)
    monkeypatch.setattr(calls_module.time, "monotonic", lambda: 1.0 + calls_module.PATIENCE_SECONDS + 1)
    calls.overdue(900)
    assert [(event["request_id"], event["outcome"]) for event in spool.pending.values()] == [
        (left.request_id, "client_abort"), (failed.request_id, "upstream_error_before_output"), (endless.request_id, "unknown"),
    ]  # fmt: skip
    assert spool.pending[f"{left.request_id}:1"]["usage"] == {"input": 10, "output": 10}
    assert calls.get(running.request_id) is running
    spool.close()


def test_the_spool_is_as_it_was_after_a_kill_9(tmp_path: Path):
    """A process writes two events (one taken by the portal) and an open call, and is killed."""
    script = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(settings.BASE_DIR) / "gateway/engines/litellm")!r})
from portal_litellm.spool import Spool
from portal_litellm.calls import Calls
spool = Spool(Path({str(tmp_path)!r}))
calls = Calls(spool)
for n in range(2):
    call = calls.begin({{"key_id": n}}, 1)
    calls.finish(call, "ok", usage={{"input": 3, "output": 1}}, usage_source="upstream", channel_id=2)
calls.begin({{"key_id": 9}}, 1)
spool.ack([next(iter(spool.pending))])
print("written", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    other = Spool(tmp_path)
    assert (other.slot, list(other.orphans())) == (1, [])
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    found = list(other.orphans())
    assert len(found) == 1
    left = found[0]
    assert [event["key_id"] for event in left.pending.values()] == [1]
    assert [facts["key_id"] for _, facts in left.lost_calls()] == [9]
    assert list(left.tallies.values()) == [[2, 6, 2]]
    left.close()
    other.close()
    again = Spool(tmp_path)
    assert (again.slot, len(again.pending), len(again.opened)) == (0, 1, 1)
    again.close()


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path):
    spool = Spool(tmp_path)
    calls, call = call_in(spool)
    calls.finish(call, "ok")
    path = spool.folder / "spool.jsonl"
    spool.close()
    with path.open("ab") as file:
        file.write(b'{"t":"event","e":{"event_id"')
    again = Spool(tmp_path)
    assert list(again.pending) == [f"{call.request_id}:1"]
    again.close()


def test_a_large_spool_is_written_anew_with_what_is_needed(tmp_path: Path):
    spool = Spool(tmp_path)
    calls = Calls(spool)
    for _ in range(300):
        calls.finish(calls.begin({"model_requested": "x" * 100}, 1), "ok", usage={"input": 1, "output": 1}, channel_id=1)
    waiting = list(spool.pending)[-3:]
    opened = calls.begin({}, 1)
    spool.ack(list(spool.pending)[:-3])
    before = (spool.folder / "spool.jsonl").stat().st_size
    spool.compact()
    assert (spool.folder / "spool.jsonl").stat().st_size < before / 20
    spool.close()
    again = Spool(tmp_path)
    assert (list(again.pending), list(again.opened)) == (waiting, [opened.request_id])
    assert list(again.tallies.values()) == [[300, 300, 300]]
    again.close()


def copy() -> Copy:
    made = Copy()
    made.take_config(CONFIG)
    made.take_page({"rows": [ROW], "gone": [], "is_reset": True, "has_more": False, "cursor": "c"})
    return made


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"status": "revoked"}, "invalid_api_key"),
        ({"status": "disabled"}, "api_key_disabled"),
        ({"status": "paused"}, "key_paused"),
        ({"status": "account_disabled"}, "account_disabled"),
        ({"expires_at": "2020-01-01T00:00:00+00:00"}, "api_key_expired"),
        ({"expires_at": "2099-01-01T00:00:00+00:00"}, None),
        ({"networks": ["10.0.0.0/8"]}, "network_not_allowed"),
        ({"networks": ["203.0.113.0/24"]}, None),
        ({"route": "closed"}, "key_closed"),
        ({"route": "old"}, "served_elsewhere"),
    ],
)
def test_what_is_refused_without_asking(change: dict, code: str | None):
    refusal = refusal_of({**ROW, **change}, "203.0.113.9")
    assert (refusal.code if refusal else None) == code


@pytest.mark.parametrize(
    ("name", "models", "code"),
    [
        ("chat", None, None),
        ("old-chat", None, None),
        ("old-chat", ["chat"], None),
        ("chat", ["dear"], "model_not_allowed_for_key"),
        ("dear", None, "model_not_allowed_for_key"),
        ("gone", None, "model_not_found"),
        ("nothing", None, "model_not_found"),
        ("", None, "model_required"),
    ],
)
def test_models_a_key_may_call(name: str, models: list[str] | None, code: str | None):
    refusal = model_refusal(copy(), {**ROW, "models": models}, name)
    assert (refusal.code if refusal else None) == code


def test_pages_of_keys_replace_what_they_name(tmp_path: Path):
    made = copy()
    second = {**ROW, "key_hash": "bb"}
    made.take_page({"rows": [ROW, second], "gone": [], "is_reset": False, "has_more": False, "cursor": "d"})
    assert set(made.rows) == {"aa", "bb"}
    # A rotation ended: the key is named with one secret only.
    made.take_page({"rows": [second], "gone": [], "is_reset": False, "has_more": False, "cursor": "e"})
    assert set(made.rows) == {"bb"}
    made.save(tmp_path / "copy.json")
    again = Copy()
    again.load(tmp_path / "copy.json")
    assert (set(again.rows), again.cursor, again.version, again.is_stale) == ({"bb"}, "e", "v1", False)
    again.heard_at -= 901
    assert again.is_stale
    made.take_page({"rows": [], "gone": [5], "is_reset": False, "has_more": False, "cursor": "f"})
    assert made.rows == {}
    Copy().load(tmp_path / "nothing.json")


def test_estimates_grow_with_the_request_and_keep_no_text():
    small = estimate_of({"messages": [{"role": "user", "content": "hi"}]})
    large = estimate_of({"messages": [{"role": "user", "content": "hi" * 3000}], "max_tokens": 7, "n": 2})
    assert small.keys() == {"input_tokens"}
    assert large["input_tokens"] > 2000 > small["input_tokens"]
    assert large["max_output_tokens"] == 14
    picture = estimate_of({"messages": [{"role": "user", "content": [{"image_url": {"url": "data:image/png;base64,xx"}}]}]})
    assert picture["input_tokens"] > 2000
    assert units_of({"n": 3, "size": "1024x1024"}, "/v1/images/generations") == {"images": 3, "image_size": "1024x1024"}
    deep: object = "words"
    for _ in range(5000):
        deep = [deep]
    assert estimate_of({"messages": deep})["input_tokens"] > 1000
    for n in ("3", 2.5, 3):
        assert units_of({"n": n}, "/v1/images/generations") == {"images": 3}
        assert estimate_of({"max_tokens": "7", "n": n})["max_output_tokens"] == 21
    assert estimate_of({"max_tokens": 10**30, "n": 10**30})["max_output_tokens"] == 10**9
    assert units_of({"input": "read me"}, "/v1/audio/speech") == {"characters": 7}


@pytest.mark.parametrize(
    ("response", "payload", "expected"),
    [
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}, {}, ({"input": 5, "output": 2}, "upstream")),
        ({}, {"prompt_tokens": 7, "completion_tokens": 1}, ({"input": 7, "output": 1}, "upstream")),
        ({}, {"metadata": {"usage_object": {"prompt_tokens": 9, "completion_tokens": 3}}},
         ({"input": 9, "output": 3}, "upstream")),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "choices": [{"message": {"content": "x" * 40}}]}, {},
         ({"input": 10, "output": 10}, "counted")),
        ({"usage": {"prompt_tokens": 10**10, "completion_tokens": 2}, "choices": [{"message": {"content": "x" * 40}}]}, {},
         ({"input": 10, "output": 10}, "counted")),
        ({}, {}, (None, "none")),
    ],
)  # fmt: skip
def test_usage_of_an_answer(tmp_path: Path, response: dict, payload: dict, expected: tuple):
    call = calls_module.Call("id", {"endpoint": "/v1/chat/completions"}, input_tokens=10)
    found = usage_of(call, response, payload)
    usage = found.get("usage")
    assert ({name: usage[name] for name in ("input", "output")} if usage else None, found["usage_source"]) == expected


def test_words_of_a_piece_are_measured_not_kept():
    piece = SimpleNamespace(
        choices=[SimpleNamespace(message=None, delta=SimpleNamespace(content="héllo", tool_calls=None), text=None)]
    )
    assert text_size(piece) == 6
