"""Web hooks: signed, delivered with attempts, sent again with the same event id, and never to an address inside."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Role, User
from billing.models import AlertEvent, HookAttempt, HookDelivery, HookEndpoint
from billing.services import alerts, hooks
from billing.services.alerts import notices
from config.foundation.clock import now
from config.foundation.errors import Conflict, InvalidInput, NotAllowed
from tests.billing.helpers import person

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


class Receiver(ThreadingHTTPServer):
    """A receiver that answers what it is told and keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?x=1"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.HOOK_ALLOW_PRIVATE = True
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fired(user: User) -> AlertEvent:
    rule = alerts.rule_of("balance_low", user_id=user.pk)
    event = AlertEvent.objects.create(
        rule=rule, kind="balance_low", epoch=1, threshold=2 * USD, value=USD, figures={"balance_nano": USD}
    )
    notices.tell(event)
    return event


def test_a_delivery_is_signed_and_carries_figures(receiver: Receiver) -> None:
    ann = person("ann")
    _endpoint, secret = hooks.add_endpoint(actor=ann, url=receiver.url, user=ann)
    event = fired(ann)
    notices.tell(event)
    assert HookDelivery.objects.count() == 1
    assert [hooks.deliver_due() for _ in range(2)] == [1, 0]
    headers, body = receiver.heard[0]
    stamp, mark = (part.split("=", 1)[1] for part in headers["X-Portal-Signature"].split(","))
    assert hmac.compare_digest(mark, hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest())
    assert headers["X-Portal-Event-Id"] == event.pk.hex
    said = json.loads(body)
    assert (said["id"], said["type"], said["value"]) == (event.pk.hex, "alert.balance_low.triggered", "1.000000000")
    assert said["figures"] == {"balance_usd": "1.000000000"}
    assert HookDelivery.objects.get().state == "sent"
    assert HookAttempt.objects.values_list("http_status", "error").get() == (200, "")


@pytest.mark.parametrize(("status", "error"), [(500, "refused"), (302, "redirect_refused")])
def test_what_is_not_taken_is_tried_eight_times_and_sent_again_by_hand_with_the_same_id(
    receiver: Receiver, status: int, error: str
) -> None:
    ann = person("ann")
    hooks.add_endpoint(actor=ann, url=receiver.url, user=ann)
    event = fired(ann)
    receiver.status = status
    waits = []
    for _attempt in range(8):
        before = now()
        assert hooks.deliver_due() == 1
        delivery = HookDelivery.objects.get()
        waits.append(round((delivery.next_attempt_at - before).total_seconds() / 30))
        if delivery.state == "queued":
            with pytest.raises(Conflict):
                hooks.resend_delivery(actor=ann, delivery=delivery)
        HookDelivery.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert delivery.state == "failed"
    assert hooks.deliver_due() == 0
    assert set(HookAttempt.objects.values_list("http_status", "error")) == {(status, error)}
    receiver.status = 204
    hooks.resend_delivery(actor=ann, delivery=delivery)
    assert hooks.deliver_due() == 1
    delivery.refresh_from_db()
    assert (delivery.state, HookAttempt.objects.count()) == ("sent", 9)
    assert {headers["X-Portal-Event-Id"] for headers, _body in receiver.heard} == {event.pk.hex}
    assert AuditEvent.objects.filter(action="hook.sent_again").count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://user:word@example.com/",
        "ftp://example.com/",
        "https://",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "",
    ],
)
def test_addresses_inside_and_odd_ones_are_refused(url: str) -> None:
    ann = person("ann")
    with pytest.raises(InvalidInput):
        hooks.add_endpoint(actor=ann, url=url, user=ann)
    assert not HookEndpoint.objects.exists()


def test_a_name_that_comes_to_stand_for_an_address_inside_is_not_called(receiver: Receiver, settings: Any) -> None:
    ann = person("ann")
    hooks.add_endpoint(actor=ann, url=receiver.url.replace("127.0.0.1", "localhost"), user=ann)
    settings.HOOK_ALLOW_PRIVATE = False
    fired(ann)
    assert hooks.deliver_due() == 1
    assert receiver.heard == []
    assert HookAttempt.objects.get().error == "address_not_allowed"


def test_a_delivery_whose_worker_died_is_taken_up_again(receiver: Receiver) -> None:
    ann = person("ann")
    hooks.add_endpoint(actor=ann, url=receiver.url, user=ann)
    fired(ann)
    HookDelivery.objects.update(state="sending", claimed_at=now() - timedelta(minutes=3), attempts=1)
    assert hooks.deliver_due() == 1
    assert HookDelivery.objects.get().state == "sent"


def test_pages_show_the_secret_once_and_strangers_nothing(receiver: Receiver) -> None:
    ann, eve, ops = person("ann"), person("eve"), person("ops", Role.OPS)
    clients = {}
    for user in (ann, eve, ops):
        clients[user] = Client()
        clients[user].force_login(user)
    page = reverse("alert_hook_list")
    answer = clients[ann].post(page, {"url": receiver.url, "scope": "me"}).content.decode()
    endpoint = HookEndpoint.objects.get()
    assert answer.count("whsec_") >= 1
    secret = next(
        word for word in answer.replace("<", " ").replace(">", " ").split() if word.startswith("whsec_") and len(word) > 20
    )
    assert secret not in clients[ann].get(page).content.decode()
    assert secret.encode() not in bytes(endpoint.secret_sealed)
    assert secret not in str(list(AuditEvent.objects.values()))
    detail = reverse("alert_hook_detail", args=[endpoint.pk])
    assert [clients[user].get(detail).status_code for user in (ann, eve, ops)] == [200, 404, 404]
    assert clients[eve].post(page, {"url": receiver.url, "scope": "house"}).context["form"].errors
    with pytest.raises(NotAllowed):
        hooks.add_endpoint(actor=eve, url=receiver.url)
    assert clients[ops].post(page, {"url": receiver.url, "scope": "house"}).status_code == 200
    fired(ann)
    hooks.deliver_due()
    delivery = HookDelivery.objects.get()
    assert delivery.event_id.hex in clients[ann].get(detail).content.decode()
    clients[ann].post(reverse("alert_hook_again", args=[endpoint.pk, delivery.pk.hex]))
    assert HookDelivery.objects.get().state == "queued"
    clients[ann].post(reverse("alert_hook_switch", args=[endpoint.pk]))
    assert hooks.deliver_due() == 0
