"""The access check (R006): one plain and one streamed call as a client makes them, with a cause when something is wrong."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent
from accounts.services.people import create_person
from billing.models import RequestLog
from gateway.models import AccessCheck
from gateway.probes import PROFILES, probe
from gateway.services import checks, start_check
from tests.gateway.world import World, balance, log_of

EVENTS = [b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'] * 4 + [b"data: [DONE]\n\n"]
PLAIN = b'{"choices":[{"message":{"content":"hello"}}]}'


class Stub(BaseHTTPRequestHandler):
    """Behaves by the model's name; speaks HTTP/1.0, so an answer ends with the connection."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = next(name for name in BEHAVIOURS if f'"{name}"'.encode() in body)
        is_stream = b'"stream":true' in body.replace(b" ", b"")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
        self.end_headers()
        BEHAVIOURS[model](self) if is_stream else self.wfile.write(PLAIN)

    def log_message(self, *_arguments: Any) -> None:
        """Quiet."""

    def good(self) -> None:
        for event in EVENTS:
            self.wfile.write(event)
            time.sleep(0.12)

    def never_ends(self) -> None:
        for event in EVENTS[:-1]:
            self.wfile.write(event)
        time.sleep(3)

    def forgets_the_end(self) -> None:
        self.wfile.write(b"".join(EVENTS[:-1]))

    def buffers(self) -> None:
        time.sleep(0.6)
        self.wfile.write(b"".join(EVENTS))


BEHAVIOURS = {
    "good": Stub.good, "never-ends": Stub.never_ends, "forgets-the-end": Stub.forgets_the_end, "buffers": Stub.buffers,
}  # fmt: skip


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.parametrize(
    ("model", "cause"),
    [("good", ""), ("never-ends", "stream-not-ended"), ("forgets-the-end", "stream-not-ended"), ("buffers", "not-streaming")],
)
def test_R006_a_stub_that_misbehaves_is_told_by_its_cause(stub: str, model: str, cause: str):
    plain, streamed = probe(stub, "sk-test", model, PROFILES["openai"], seconds=1.5)
    assert (plain.cause, plain.status) == ("", 200)
    assert streamed.cause == cause
    assert streamed.saw_end is (model in ("good", "buffers"))
    assert streamed.first_byte_ms is not None
    assert streamed.event_count >= 4


def test_nothing_there():
    (plain,) = probe("http://127.0.0.1:9", "sk-test", "good", PROFILES["openai"], seconds=1)
    assert plain.cause == "unreachable"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R006_a_real_check_passes_is_charged_and_leaves_no_secret(world: World, client: Client, settings: Any):
    settings.PUBLIC_URL = world.relay.url
    person = world.person("1")
    key, _clear = world.key(person)
    before = key.secrets.filter(revoked_at=None).count()
    check = start_check(actor=person, key_id=key.pk, profile="openai", model="demo-chat")
    done = checks.run_check(check.pk)
    assert done is not None
    assert (done.state, [one["cause"] for one in done.results]) == ("passed", ["", ""])
    assert all(one["status"] == 200 and one["saw_end"] for one in done.results)
    assert key.secrets.filter(revoked_at=None).count() == before
    assert checks.run_check(check.pk) is None, "taken once"
    ids = [one["request_id"] for one in done.results]
    cost = sum(log_of(request_id).cost_nano for request_id in ids)
    assert cost > 0
    assert balance(person) == 1_000_000_000 - cost
    assert AuditEvent.objects.filter(action="key.access_check").count() == 1
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(f"/set-up/check/{check.pk}/").content.decode()
    assert ids[0] in page
    assert "hx-get" not in page
    stranger = create_person(actor=None, username="charlie", email="charlie@example.org")
    client.force_login(stranger, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get(f"/set-up/check/{check.pk}/").status_code == 404
    assert client.post("/set-up/check/", {"key": key.pk, "profile": "openai", "model": "demo-chat"}).status_code == 404


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R006_a_refused_call_is_told_with_its_code(world: World, settings: Any):
    settings.PUBLIC_URL = world.relay.url
    person = world.person("1")
    key, _ = world.key(person)
    check = start_check(actor=person, key_id=key.pk, profile="openai", model="demo-500")
    done = checks.run_check(check.pk)
    assert done is not None
    assert (done.state, len(done.results), done.results[0]["cause"]) == ("failed", 1, "refused")
    assert done.results[0]["error_code"]
    assert RequestLog.objects.filter(key=key).exclude(cost_nano=0).count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "word"),
    [({"model": ""}, "model"), ({"profile": "telnet"}, "kind of client"), ({"model": "sk-" + "a" * 48}, "model")],
)
def test_what_cannot_be_checked_is_said_and_nothing_is_kept(client: Client, values: dict[str, str], word: str):
    from keys.services import issue_key

    person = create_person(actor=None, username="ann", email="ann@example.org")
    key, _ = issue_key(actor=person, owner=person, name="k")
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/set-up/check/", {"key": key.pk, "profile": "openai", "model": "demo-chat", **values}, follow=True)
    assert answer.status_code == 200
    assert word in " ".join(str(message) for message in answer.context["messages"])
    assert AccessCheck.objects.count() == 0
