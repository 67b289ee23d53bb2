"""The relay's spool: what was answered is charged once, whoever was killed and whatever was away, and nothing else is."""

import asyncio
import concurrent.futures
import io
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import Hold, Lease, LedgerEntry, RequestLog
from billing.services import leases, ledger
from config.foundation.ids import uuid7
from gateway.models import RelayInstance
from gateway.relay.recorder import Recorder
from gateway.relay.replay import left_behind, read, replay, survey
from gateway.relay.spool import Spool, stem_for
from models_catalog.models import Upstream
from tests.billing.helpers import broken, end, figures, hold, key_of, rich
from tests.gateway.servers import Server, free_port, running, scratch, start_relay, until
from tests.gateway.test_durability import CANARIES, Door, through
from tests.gateway.world import USD, World, balance, held

slow = pytest.mark.slow
served = pytest.mark.django_db(transaction=True)


def spool_in(folder: Path, name: str = "relay") -> Spool:
    spool = Spool(folder, stem_for(name))
    spool.open()
    assert spool.error == ""
    return spool


def event(call: UUID, cost: int, **log: object) -> bytes:
    return orjson.dumps(ledger.CallEvent(call, cost, True, "", {"outcome": "ok", **log}))


def lines_in(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("*.spool")) for line in path.read_bytes().split(b"\n") if line]


def test_a_line_is_on_the_disk_until_it_is_done(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    calls = [uuid7() for _n in range(3)]
    for call in calls:
        assert spool.opened(call, partial(orjson.dumps, {"request_id": call}))
        spool.keep_begun()
        spool.ended(call, event(call, 5))
    # One that ends before it is written as begun leaves its end only.
    short = uuid7()
    assert spool.opened(short, partial(orjson.dumps, {"request_id": short}))
    spool.ended(short, event(short, 5))
    spool.keep_begun()
    assert [line[:1] for line in lines_in(tmp_path)] == [b"O", b"E"] * 3 + [b"E"]
    assert oct(next(tmp_path.glob("*.spool")).stat().st_mode)[-3:] == "600"
    for call in (*calls, short, uuid7()):
        spool.done(call)
    assert spool.waiting == 0
    spool.close()
    assert [*tmp_path.iterdir()] == []


def test_full_segments_go_once_nothing_in_them_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.spool.SEGMENT_BYTES", 2000)
    monkeypatch.setattr("gateway.relay.spool.EMPTY_BYTES", 500)
    spool = spool_in(tmp_path)
    long_call = uuid7()
    assert spool.opened(long_call, partial(orjson.dumps, {"request_id": long_call}))
    spool.keep_begun()
    for _n in range(100):
        call = uuid7()
        spool.ended(call, event(call, 5, client_family="x" * 100))
        spool.done(call)
    spool.sync()
    # The first is kept for the call that began in it, the last is being written.
    assert len([*tmp_path.glob("*.spool")]) == 2
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) < 6000
    spool.ended(long_call, event(long_call, 5))
    spool.done(long_call)
    assert len([*tmp_path.glob("*.spool")]) == 1


def test_a_living_process_keeps_its_files_to_itself(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    call = uuid7()
    spool.ended(call, event(call, 5))
    (found,) = survey(tmp_path)
    assert (found.is_alive, len(found.ends)) == (True, 1)
    assert replay(tmp_path) == []
    assert len(lines_in(tmp_path)) == 1
    spool.close()
    (found,) = survey(tmp_path)
    assert not found.is_alive


@served
def test_cut_lines_and_unreadable_files_lose_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    user, purse = rich(amount=1000)
    calls = [hold(user, 100).request_id for _n in range(3)]
    spool = spool_in(tmp_path)
    for call in calls:
        spool.ended(call, event(call, 40))
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    whole = path.read_bytes()
    # Cut in the last line, and rubbish in the middle, as a disk that lost its power leaves them.
    first, second, third = whole.split(b"\n")[:3]
    path.write_bytes(first + b"\n\0\0\0\0\nE{}\nX{}\n" + second + b"\n" + third[:-20])
    path.with_name(path.name.replace(".1.spool", ".2.spool")).mkdir()
    left = read(tmp_path, spool.stem)
    assert (len(left.ends), left.broken_lines, len(left.unreadable)) == (2, 4, 1)
    (sent,) = replay(tmp_path)
    assert sent.answers == {"recorded": 2}
    assert "cannot be read" in caplog.text
    assert "4 lines" in caplog.text
    assert figures(purse) == (920, 100)
    # For people to look at; nobody sends them again.
    assert [one.suffix for one in tmp_path.glob("*.broken")] == [".broken"]
    assert [one.answers for one in replay(tmp_path)] == [{}]
    assert end(calls[2], 40).status == "recorded"
    assert broken() == {}


@served
def test_what_is_sent_twice_counts_once_and_a_call_cut_off_costs_nothing(tmp_path: Path) -> None:
    user, purse = rich(amount=1000)
    key = key_of(user)
    spool = spool_in(tmp_path)
    lease = uuid7()
    leases.open_leases([leases.LeaseRequest(lease, spool.stem, key.pk, 100, 10)])
    done, cut = uuid7(), uuid7()
    log = {"user_id": user.pk, "key_id": key.pk, "asked_model": "demo-chat"}
    for call in (done, cut):
        value = {"request_id": call, "lease_id": lease, "promised_nano": 30, "log": log}
        spool.opened(call, partial(orjson.dumps, value))
    spool.keep_begun()
    spool.ended(done, orjson.dumps(ledger.CallEvent(done, 20, True, "", {**log, "outcome": "ok"}, lease, 30)))
    spool.close()
    copies = {path: path.read_bytes() for path in tmp_path.glob("*.spool")}
    assert [one.answers for one in replay(tmp_path)] == [{"recorded": 2}]
    assert [*tmp_path.iterdir()] == []
    # What it had lent is back, and nothing is held.
    assert (Lease.objects.get().state, figures(purse)) == ("closed", (980, 0))
    row = RequestLog.objects.get(pk=cut)
    assert (row.outcome, row.error_code, row.cost_nano, row.asked_model) == ("timeout", "hold_expired", 0, "demo-chat")
    for path, raw in copies.items():
        path.write_bytes(raw)
    assert [one.answers for one in replay(tmp_path)] == [{"repeated": 2}]
    assert figures(purse) == (980, 0)
    assert broken() == {}


@served
def test_what_postgresql_refuses_is_kept_for_people(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    call = uuid7()
    spool.ended(call, event(call, 5, duration_ms="long"))
    spool.close()
    out = io.StringIO()
    call_command("relay_spool", folder=tmp_path, stdout=out)
    assert "(gone): 1 ends" in out.getvalue()
    assert replay(tmp_path)[0].answers == {"refused": 1}
    assert orjson.loads((tmp_path / "refused.jsonl").read_bytes())["request_id"] == str(call)
    out = io.StringIO()
    call_command("relay_spool", "--send", folder=tmp_path, stdout=out)
    assert "Nothing waits." in out.getvalue()
    assert "kept for people" in out.getvalue()


@served
def test_a_call_is_charged_though_its_log_cannot_be_kept(tmp_path: Path) -> None:
    """What PostgreSQL will not take of a call (a NUL, a number too large) makes neither it free nor its neighbours late."""
    user, purse = rich(amount=1000)
    key = key_of(user)
    odd = ({"served_model": "a\0b"}, {"duration_ms": 2**40})
    calls = [hold(user, 100).request_id for _n in range(4)]
    spool = spool_in(tmp_path)
    for call, more in zip(calls, (*odd, {}, {}), strict=True):
        spool.ended(call, event(call, 40, key_id=key.pk, outcome="ok", output_tokens=7, asked_model="demo-chat", **more))
    spool.close()
    (sent,) = replay(tmp_path)
    assert sent.answers == {"recorded": 4}
    assert figures(purse) == (840, 0)
    rows = {row.pk: row for row in RequestLog.objects.all()}
    assert [(rows[call].cost_nano, rows[call].outcome, rows[call].output_tokens) for call in calls] == [(40, "ok", 7)] * 4
    assert [rows[call].asked_model for call in calls] == ["", "", "demo-chat", "demo-chat"]
    kept = [orjson.loads(line)["request_id"] for line in (tmp_path / "refused.jsonl").read_bytes().splitlines()]
    assert kept == [str(call) for call in calls[:2]]
    assert broken() == {}


@served
def test_a_living_relay_charges_what_the_log_cannot_keep(tmp_path: Path) -> None:
    user, purse = rich(amount=1000)
    calls = [hold(user, 100).request_id for _n in range(3)]

    async def write() -> None:
        spool = spool_in(tmp_path)
        recorder = Recorder(spool)
        recorder.start()
        for call, model in zip(calls, ("fine", "a\0b", "fine"), strict=True):
            recorder.add(ledger.CallEvent(call, 40, True, "", {"user_id": user.pk, "outcome": "ok", "served_model": model}))
        await recorder.stop(10)
        assert (recorder.waiting, spool.waiting) == (0, 0)
        spool.close()

    asyncio.run(write())
    assert figures(purse) == (880, 0)
    assert sorted(RequestLog.objects.values_list("served_model", flat=True)) == ["", "fine", "fine"]
    (kept,) = (tmp_path / "refused.jsonl").read_bytes().splitlines()
    assert orjson.loads(kept)["log"]["served_model"] == "a\0b"
    assert broken() == {}


def test_the_command_says_what_it_does_not_know() -> None:
    with pytest.raises(CommandError):
        call_command("relay_spool", "--sned")


@contextmanager
def behind_a_door(state: Path, money: str) -> Iterator[tuple[Server, Door]]:
    named = connection.settings_dict
    door = Door(str(named["HOST"] or "127.0.0.1"), int(named["PORT"] or 5432))
    environment = {"DATABASE_URL": through(door), "RELAY_NAME": "doomed", "RELAY_STATE_DIR": str(state), "RELAY_MONEY": money}
    with running(start_relay(**environment)) as server:
        yield server, door
    door.shut()


@slow
@served
@pytest.mark.parametrize("money", ["holds", "leases"])
def test_kill_9_under_load_with_the_database_away_leaves_nothing_uncharged(world: World, money: str) -> None:
    """Every call that was answered is charged exactly once after the restart, and nothing stays held."""
    state = scratch("state")
    person = world.person("5")
    _, clear = world.key(person)
    # On a busy machine the answers may take longer than the upstream usually may.
    Upstream.objects.filter(pk=world.route.pk).update(timeout_seconds=30)
    text = "PROMPTcanary7f3a [[usage 100 10]] [[delay 1.5]]"
    with behind_a_door(state, money) as (server, door):
        doomed = World(world.upstream, server)
        assert doomed.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        until(lambda: balance(person) == 5 * USD - 130)
        # The news that there is a new key must have come before the silence: a key of which there is news is read again.
        time.sleep(1)
        assert doomed.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        until(lambda: balance(person) == 5 * USD - 260)
        world.upstream.reset()
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            calls = [pool.submit(doomed.ask, clear, text, max_tokens=60, stream=n % 3 == 0) for n in range(24)]
            until(lambda: world.upstream.calls()["total"] == 24, 20)
            door.shut()
            answers = [call.result() for call in calls]
        if money == "leases":
            # The lease lasts longer than the database.
            answers += [doomed.ask(clear, "PROMPTcanary7f3a [[usage 100 10]]", max_tokens=60) for _n in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert RequestLog.objects.filter(user_id=person.pk).count() < 2 + len(answers)
        server.kill()
    spooled = b"\n".join(lines_in(state / "spool"))
    for canary in (*CANARIES, clear, "the demo upstream answers"):
        assert canary.encode() not in spooled
    ids = {UUID(answer.headers["x-request-id"]) for answer in answers}
    with running(start_relay(RELAY_STATE_DIR=str(state), RELAY_NAME="heir")):
        until(lambda: balance(person) == 5 * USD - 130 * (len(ids) + 2), 30)
        until(lambda: not lines_in(state / "spool"), 10)
    rows = RequestLog.objects.filter(pk__in=ids)
    assert {(row.outcome, row.cost_nano) for row in rows} == {("ok", 130)}
    assert rows.count() == len(ids)
    assert LedgerEntry.objects.filter(kind="charge", transaction_id__in=ids).count() == len(ids)
    assert held(person) == 0
    assert not Hold.objects.filter(user=person, state="open").exists()
    assert not Lease.objects.filter(user=person, state="open").exists()
    assert broken() == {}
    assert replay(state / "spool") == []


@slow
@served
def test_kill_9_in_the_middle_of_streams_charges_every_whole_answer(world: World) -> None:
    """Who has the last event of an answer has been charged for it, at whatever moment the relay is killed."""
    state = str(scratch("state"))
    person = world.person("5")
    _, clear = world.key(person)
    whole: list[str] = []
    with running(start_relay(RELAY_STATE_DIR=state, RELAY_MONEY="leases", RELAY_NAME="killed early")) as server:
        doomed = World(world.upstream, server)
        assert doomed.ask(clear, "[[usage 100 10]]", max_tokens=60).status_code == 200
        stop = threading.Event()

        def caller() -> None:
            body = {"model": "demo-chat", "stream": True, "max_tokens": 60}
            body["messages"] = [{"role": "user", "content": "hi [[usage 100 10]]"}]
            with httpx.Client(timeout=20) as client:
                while not stop.is_set():
                    try:
                        head = {"Authorization": f"Bearer {clear}"}
                        with client.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=head) as answer:
                            for line in answer.iter_lines():
                                if line == "data: [DONE]":
                                    whole.append(answer.headers["x-request-id"])
                    except httpx.HTTPError:
                        return

        threads = [threading.Thread(target=caller) for _n in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(whole) > 60, 30)
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
    (left,) = replay(Path(state) / "spool")
    assert set(left.answers) <= {"recorded", "repeated"}
    rows = RequestLog.objects.filter(pk__in=[UUID(one) for one in whole])
    assert (rows.count(), {row.cost_nano for row in rows}) == (len(set(whole)), {130})
    assert held(person) == 0
    assert broken() == {}


@slow
@served
def test_a_full_disk_stops_calls_and_loses_none(world: World) -> None:
    """The spool cannot be written: a clear 503, no upstream is asked. With room again calls go on, and all are charged."""
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(RELAY_NAME="on a full disk", RELAY_SPOOL_SYNC_MS="100")) as server:
        other = World(world.upstream, server)
        assert other.ask(clear, "[[usage 100 10]]").status_code == 200
        pid = server.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        # The end of this one does not fit any more; it was served, so it is charged from memory.
        until(lambda: other.ask(clear, "[[usage 100 10]]").status_code == 503)
        world.upstream.reset()
        answer = other.ask(clear)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        assert httpx.get(f"{server.url}/healthz").json()["spool_error"]
        assert world.upstream.calls()["total"] == 0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: other.ask(clear, "[[usage 100 10]]").status_code == 200)
        assert "cannot be written" in server.errors() or os.stat(server.log).st_size >= 1000
    ok = RequestLog.objects.filter(user_id=person.pk, outcome="ok")
    assert ok.count() >= 3
    assert (balance(person), held(person)) == (USD - 130 * ok.count(), 0)
    assert broken() == {}


@slow
@served
def test_a_relay_starts_and_answers_from_its_disk_while_the_database_is_away(world: World) -> None:
    state = scratch("state")
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(RELAY_STATE_DIR=str(state))) as server:
        assert World(world.upstream, server).ask(clear, "[[usage 100 10]]").status_code == 200
    kept = b"\n".join(path.read_bytes() for path in state.glob("*.json"))
    assert b"demo-chat" in kept
    for canary in (*CANARIES, clear):
        assert canary.encode() not in kept
    assert {oct(path.stat().st_mode)[-3:] for path in state.glob("*.json")} == {"600"}
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/test_nothing"
    away = {"RELAY_STATE_DIR": str(state), "DATABASE_URL": nowhere}
    head = {"Authorization": f"Bearer {clear}"}
    counted = {"model": "demo-chat", "messages": [{"role": "user", "content": "hello"}]}
    world.upstream.reset()
    with running(start_relay(**away)) as server:
        models = httpx.get(f"{server.url}/v1/models", headers=head, timeout=20)
        assert (models.status_code, "demo-chat" in models.text) == (200, True)
        free = httpx.post(f"{server.url}/v1/messages/count_tokens", json=counted, headers=head, timeout=20)
        assert free.status_code == 200
        # Without the ledger nothing is served that costs.
        answer = World(world.upstream, server).ask(clear)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        # A key that was never seen cannot be known.
        unknown = httpx.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer sk-" + "x" * 48}, timeout=20)
        assert unknown.status_code == 503
    with running(start_relay(ready_path="/v1/nothing", RELAY_MAX_STALE_SECONDS="1", **away)) as server:
        answer = httpx.get(f"{server.url}/v1/models", headers=head, timeout=20)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")


@slow
@served
def test_the_heartbeat_tells_what_waits_also_of_those_that_are_gone(world: World, tmp_path: Path) -> None:
    person = world.person("1")
    gone = spool_in(tmp_path / "spool", "left behind")
    call = hold(person, 100).request_id
    gone.ended(call, event(call, 5))
    assert left_behind(tmp_path / "spool").calls == 0, "it lives"
    gone.close()
    found = left_behind(tmp_path / "spool")
    assert found.calls == 1
    assert found.oldest_seconds >= 0
    (path,) = (tmp_path / "spool").glob("*.spool")
    path.write_bytes(path.read_bytes() + b"E{half")
    os.utime(path, (time.time() - 300, time.time() - 300))
    assert 299 <= left_behind(tmp_path / "spool").oldest_seconds < 400
    (tmp_path / "spool" / "empty.1-1.1.spool").touch()
    assert left_behind(tmp_path / "spool").calls == 1
    assert left_behind(tmp_path / "nothing").calls == 0
    with running(start_relay(RELAY_STATE_DIR=str(tmp_path), RELAY_NAME="counts")) as server:
        until(lambda: RelayInstance.objects.filter(name="counts").exists(), 10)
        assert httpx.get(f"{server.url}/healthz").json()["oldest_event_seconds"] == 0
    until(lambda: held(person) == 0, 15)
    assert left_behind(tmp_path / "spool").calls == 0
