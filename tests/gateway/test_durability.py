"""Concurrency and crashes: never more than the balance, nothing lost, nothing free."""

import concurrent.futures
import contextlib
import socket
import threading
from datetime import timedelta

import httpx
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from billing.models import Hold, LedgerAccount, RequestLog
from billing.services import ledger
from gateway.models import RelayInstance
from gateway.services import remember_old_entry, set_routes
from tests.gateway.servers import Server, free_port, running, start_relay, test_database_url, until
from tests.gateway.world import World, balance, held, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CANARIES = ("PROMPTcanary7f3a", "sk-CALLERcanary", "upstreamCREDENTIALcanary")


def test_64_parallel_calls_on_a_balance_for_10(world: World):
    """At most 10 are served, the balance is never below zero, the ledger is clean."""
    person = world.person("0")
    _, clear = world.key(person)
    text, price = "hi [[usage 20 500]] [[delay 0.5]]", 20 + 3 * 500
    world.top_up(person, 10 * price)
    world.upstream.reset()
    lowest, purse = [0], LedgerAccount.objects.filter(user=person)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            lowest[0] = min(lowest[0], purse.annotate(free=F("balance_nano") - F("held_nano")).get().free)
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: world.ask(clear, text), range(64)))
    stop.set()
    watcher.join()
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 402]
    assert len(served) + len(refused) == 64
    assert 1 <= len(served) <= 10
    assert {answer.json()["error"]["code"] for answer in refused} == {"insufficient_quota"}
    assert world.upstream.calls()["total"] == len(served)
    until(lambda: held(person) == 0)
    assert balance(person) == (10 - len(served)) * price
    assert lowest[0] >= 0
    assert RequestLog.objects.filter(user_id=person.pk).count() == 64
    call_command("ledger_check")


def test_kill_9_in_the_middle_leaves_no_open_hold_after_the_sweeper(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(RELAY_NAME="killed")) as victim:
        doomed = World(world.upstream, victim)

        def call(n: int) -> int:
            try:
                return doomed.ask(clear, "hi [[usage 1000 5]] [[delay 1]]", stream=n % 2 == 0).status_code
            except httpx.HTTPError:
                return 0

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            calls = [pool.submit(call, n) for n in range(16)]
            until(lambda: Hold.objects.filter(user=person, state="open").count() == 16)
            victim.kill()
            assert [one.result() for one in calls].count(0) == 16
    assert held(person) > 0
    assert ledger.expire_holds() == 0
    assert ledger.expire_holds(at=timezone.now() + timedelta(seconds=settings.HOLD_SECONDS + 1)) == 16
    assert not Hold.objects.filter(state="open").exists()
    assert (balance(person), held(person)) == (1_000_000_000, 0)
    rows = RequestLog.objects.filter(user_id=person.pk)
    assert {(row.outcome, row.error_code, row.cost_nano, row.asked_model) for row in rows} == {
        ("timeout", "hold_expired", 0, "demo-chat")
    }
    assert rows.count() == 16
    call_command("ledger_check")


def test_a_graceful_stop_writes_everything(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(RELAY_NAME="stopped")) as server:
        other = World(world.upstream, server)
        until(RelayInstance.objects.filter(name="stopped").exists)
        ids = [other.ask(clear, "[[usage 100 10]]").headers["x-request-id"] for _ in range(30)]
    assert RequestLog.objects.filter(user_id=person.pk).count() == len(ids) == 30
    assert (balance(person), held(person)) == (1_000_000_000 - 30 * 130, 0)
    assert not RelayInstance.objects.filter(name="stopped").exists()


def test_a_stop_in_the_middle_of_a_stream_charges_what_came(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(RELAY_NAME="stopped early")) as server:
        body = {"model": "demo-slow", "stream": True, "messages": [{"role": "user", "content": "hi [[usage 1000 500]]"}]}
        headers = {"Authorization": f"Bearer {clear}"}
        url = f"{server.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as answer:
            request_id = answer.headers["x-request-id"]
            next(answer.iter_raw())
            server.stop()
    row = log_of(request_id)
    # The server hangs up on the client before it tells the relay to stop, so the relay may not know whose doing it was.
    assert row.error_code in {"relay_stopped", "client_gone"}
    assert (row.outcome, row.usage_source) == ("cancelled", "estimated")
    assert 0 < row.output_tokens < 100
    assert (balance(person), held(person)) == (1_000_000_000 - row.cost_nano, 0)
    call_command("ledger_check")


def test_a_flushed_redis_loses_nothing(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    world.ask(clear, "[[usage 100 10]]")
    redis.from_url(settings.REDIS_URL).flushdb()
    assert world.ask(clear, "[[usage 100 10]]").status_code == 200
    until(lambda: balance(person) == 1_000_000_000 - 260)
    call_command("ledger_check")


class Door:
    """A TCP door in front of PostgreSQL that can be shut, so that the relay loses its database and finds it again."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self._target[0].startswith("/"):
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self._target[0]}/.s.PGSQL.{self._target[1]}")
            else:
                server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def through(door: Door) -> str:
    named = connection.settings_dict
    assert test_database_url()
    password = f":{named['PASSWORD']}" if named["PASSWORD"] else ""
    return f"postgresql://{named['USER']}{password}@127.0.0.1:{door.port}/{named['NAME']}"


def test_without_the_database_nothing_is_served_and_what_was_served_is_written_later(world: World, old_gateway: Server):
    named = connection.settings_dict
    door = Door(str(named["HOST"] or "127.0.0.1"), int(named["PORT"] or 5432))
    person = world.person("1")
    _, clear = world.key(person)
    old_key, old_clear = world.key(world.person())
    entry = remember_old_entry(actor=None, name="old", base_url=old_gateway.url)
    set_routes(actor=None, key_ids=[old_key.pk], route="old", old_entry=entry)
    with running(start_relay(DATABASE_URL=through(door), RELAY_NAME="behind the door")) as server:
        other = World(world.upstream, server)
        assert other.ask(clear, "[[usage 100 10]]").status_code == 200
        assert other.ask(old_clear).status_code == 200
        until(lambda: balance(person) == 1_000_000_000 - 130)
        world.upstream.reset()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running_call = pool.submit(other.ask, clear, "[[usage 100 10]] [[delay 1.5]]")
            until(lambda: world.upstream.calls()["total"] == 1)
            door.shut()
            for _ in range(3):
                answer = other.ask(clear)
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
                assert int(answer.headers["retry-after"]) > 0
            # Keys of the old route are still forwarded: the old entry looks after itself.
            assert other.ask(old_clear).status_code == 200
            # A key never seen before cannot be known.
            assert other.ask(world.key()[1]).status_code == 503
            assert running_call.result().status_code == 200
        assert world.upstream.calls()["total"] == 1
        assert balance(person) == 1_000_000_000 - 130
        door.open()
        until(lambda: balance(person) == 1_000_000_000 - 260, 10)
        assert held(person) == 0
        until(lambda: other.ask(clear, "[[usage 100 10]]").status_code == 200, 10)
    refused = RequestLog.objects.filter(user_id=person.pk, error_code="service_unavailable")
    assert refused.count() >= 3
    assert sum(row.cost_nano for row in refused) == 0
    call_command("ledger_check")
    door.shut()


def test_a_relay_that_never_saw_its_database_refuses(world: World):
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/test_nothing"
    with running(start_relay(ready_path="/v1/nothing", DATABASE_URL=nowhere)) as server:
        answer = World(world.upstream, server).ask(world.key()[1])
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        assert httpx.get(f"{server.url}/healthz").status_code == 503
    assert world.upstream.calls()["total"] == 0


def test_no_prompt_answer_or_secret_is_in_a_log_row_or_on_standard_error(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    with running(start_relay(LOG_LEVEL="DEBUG")) as server:
        other = World(world.upstream, server)
        ids = []
        for model in ("demo-chat", "demo-500", "demo-garbage", "demo-cut-stream", "demo-400", "PROMPTcanary7f3a"):
            for is_stream in (False, True):
                answer = other.ask(clear, "PROMPTcanary7f3a [[usage 10 12]]", model, stream=is_stream)
                ids.append(answer.headers["x-request-id"])
                if model != "PROMPTcanary7f3a":
                    assert "canary" not in answer.text
        other.ask("sk-CALLERcanary0123456789abcdefghijABCDEFGHIJ012345678901", "PROMPTcanary7f3a")
        other.ask(clear, "x", "sk-CALLERcanary0123456789abcdefghijABCDEFGHIJ012345678901")
        until(lambda: RequestLog.objects.count() >= 14)
    errors = server.errors()
    rows = "\n".join(str(vars(row)) for row in RequestLog.objects.exclude(asked_model="PROMPTcanary7f3a"))
    rows += "\n".join(str(hold.context) for hold in Hold.objects.all())
    for canary in (*CANARIES, clear, "the demo upstream answers"):
        assert canary not in errors, f"{canary} on standard error"
        assert canary not in rows, f"{canary} in the request log"
    assert LedgerAccount.objects.filter(balance_nano__lt=0).count() == 0
