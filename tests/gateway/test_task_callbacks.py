"""Ends of videos told to whoever asked: signed, tried again, once per event, visible, and sent again with the same id."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Group, GroupMembership
from billing.models import HookAttempt, HookDelivery
from billing.services import hooks
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from gateway.models_tasks import MediaTask
from gateway.services import task_decisions
from tests.billing.alerts.test_hooks import Receiver, receiver
from tests.billing.helpers import person as plain_person
from tests.gateway.servers import running, start_relay, until
from tests.gateway.task_world import look_now, post, task_of, with_media
from tests.gateway.world import World, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SHORT = {"seconds": "4", "size": "1280x720"}
__all__ = ["receiver"]


def deliver(rounds: int = 1) -> None:
    for _ in range(rounds):
        HookDelivery.objects.filter(state="queued").update(next_attempt_at=now() - timedelta(seconds=1))
        hooks.deliver_due()


def test_R058_a_callback_fails_twice_and_arrives_once(world: World, receiver: Receiver):
    """R058: two failures, then 200: three attempts, one effect; sent again by hand with the same event id; all visible."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    _endpoint, secret = hooks.add_endpoint(actor=person, url=receiver.url, user=person, purpose="tasks")
    made = post(world, clear, "a house", **SHORT).json()["id"]
    assert HookDelivery.objects.count() == 0
    look_now(made)
    delivery = HookDelivery.objects.get()
    assert (delivery.kind, delivery.subject_id) == ("video.completed", task_of(made).pk)
    receiver.status = 500
    deliver(2)
    receiver.status = 200
    deliver(2)
    assert list(HookAttempt.objects.order_by("pk").values_list("http_status", flat=True)) == [500, 500, 200]
    headers, body = receiver.heard[2]
    stamp, mark = (part.split("=", 1)[1] for part in headers["X-Portal-Signature"].split(","))
    assert hmac.compare_digest(mark, hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest())
    assert {one["X-Portal-Event-Id"] for one, _ in receiver.heard} == {delivery.sent_id.hex}
    assert {one for _, one in receiver.heard} == {body}
    said = json.loads(body)
    assert (said["id"], said["type"]) == (delivery.sent_id.hex, "video.completed")
    assert said["data"] == {
        "id": made, "status": "completed", "model": "demo-video", "cost_usd": "0.4", "progress": 100, "seconds": "4",
        "size": "1280x720", "error": None,
    }  # fmt: skip
    assert "house" not in body.decode()
    client = Client()
    client.force_login(person)
    page = client.get(reverse("task_detail", args=[made])).content.decode()
    assert page.count("500 ") >= 2
    assert delivery.sent_id.hex in page
    client.post(reverse("task_callback_again", args=[made, delivery.pk]))
    deliver()
    assert [one["X-Portal-Event-Id"] for one, _ in receiver.heard] == [delivery.sent_id.hex] * 4
    shown = client.get(f"/api/portal/tasks/{made}/callbacks/").json()
    assert [len(one["attempts"]) for one in shown] == [4]
    assert client.post(f"/api/portal/tasks/{made}/callbacks/{delivery.pk}/resend/").status_code == 200
    with pytest.raises(NotAllowed):
        task_decisions.resend_callback(actor=plain_person("eve"), task=task_of(made), delivery=delivery)
    assert HookDelivery.objects.count() == 1


def test_a_team_is_told_and_a_failure_too(world: World, receiver: Receiver):
    with_media(world)
    owner = plain_person("owner")
    team = Group.objects.create(code="studio", name="Studio", kind=Group.Kind.TEAM)
    GroupMembership.objects.create(group=team, user=owner, team_role="owner")
    world.top_up(team, 20_000_000_000)
    from models_catalog import services as catalog

    catalog.set_access(actor_name="t", model=world.models["demo-video"], group_codes=[world.group.code, "studio"])
    world.settle_in()
    hooks.add_endpoint(actor=owner, url=receiver.url, group=team, purpose="tasks")
    hooks.add_endpoint(actor=owner, url=receiver.url, group=team)
    _, clear = world.key(team=team)
    made = post(world, clear, "x [[fails moderated]]", **SHORT).json()["id"]
    look_now(made)
    look_now(made)
    deliver()
    (_, body) = receiver.heard[0]
    said = json.loads(body)
    assert (len(receiver.heard), said["type"], said["data"]["error"]["code"]) == (1, "video.failed", "moderated")
    assert said["data"]["cost_usd"] == "0"


def test_an_address_of_a_request_is_called_instead_and_guarded(world: World, receiver: Receiver, settings: Any):
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    private = post(world, clear, callback_url="https://127.0.0.1/x", **SHORT)
    assert (private.status_code, private.json()["error"]["code"]) == (400, "callback_not_accepted")
    unsigned = post(world, clear, callback_url="https://example.com/x", **SHORT)
    assert (unsigned.status_code, unsigned.json()["error"]["code"]) == (400, "callback_secret_missing")
    assert world.upstream.calls()["total"] == 0
    hooks.add_endpoint(actor=person, url="https://example.com/all", user=person, purpose="tasks")
    with running(start_relay(HOOK_ALLOW_PRIVATE="1")) as relay:
        near = World(world.upstream, relay)
        made = post(near, clear, callback_url=receiver.url, **SHORT).json()["id"]
    look_now(made)
    delivery = HookDelivery.objects.get()
    assert (delivery.url, delivery.address) == (receiver.url, receiver.url)
    deliver()
    assert len(receiver.heard) == 1
    # The guard looks again when it is sent: what was fine to write down may not be called from inside.
    settings.HOOK_ALLOW_PRIVATE = False
    hooks.send_again(actor=person, delivery=HookDelivery.objects.get())
    deliver()
    assert len(receiver.heard) == 1
    assert HookAttempt.objects.order_by("-pk")[0].error == "address_not_allowed"
    with pytest.raises(InvalidInput):
        hooks.add_endpoint(actor=person, url="https://10.0.0.8/x", user=person, purpose="tasks")


def test_pictures_are_told_to_the_address_of_their_request_only(world: World, receiver: Receiver):
    """Good and bad ends, as JSON and as a form; the provider never sees the address, and web hooks hear of videos only."""
    with_media(world)
    person = world.person("20")
    _, clear = world.key(person)
    images = "/v1/images/generations"
    unsigned = post(world, clear, model="demo-image", path=images, callback_url="https://example.com/x")
    assert (unsigned.status_code, unsigned.json()["error"]["code"]) == (400, "callback_secret_missing")
    assert (world.upstream.calls()["total"], MediaTask.objects.count()) == (0, 0)
    hooks.add_endpoint(actor=person, url="https://example.com/all", user=person, purpose="tasks")
    private = post(world, clear, model="demo-image", path=images, callback_url="https://127.0.0.1/x")
    assert (private.status_code, private.json()["error"]["code"]) == (400, "callback_not_accepted")
    with running(start_relay(HOOK_ALLOW_PRIVATE="1")) as relay:
        near = World(world.upstream, relay)
        good = post(near, clear, model="demo-image", path=images, callback_url=receiver.url, n=2, size="1024x1024")
        assert good.status_code == 200, good.text
        assert "callback_url" not in world.upstream.calls()["last_keys"]
        assert post(near, clear, model="demo-401", path=images, callback_url=receiver.url).status_code >= 500
        form = httpx.post(
            f"{relay.url}/v1/images/edits",
            data={"model": "demo-image", "prompt": "a house", "callback_url": receiver.url},
            files={"image": ("a.png", b"\x89PNG\r\n\x1a\n" + b"0" * 64, "image/png")},
            headers={"Authorization": f"Bearer {clear}"},
            timeout=30,
        )
        assert form.status_code == 200, form.text
        assert post(near, clear, model="demo-image", path=images).status_code == 200
    until(lambda: HookDelivery.objects.count() == 3)
    deliver(2)
    said = {one["data"]["id"]: one for one in (json.loads(body) for _, body in receiver.heard)}
    assert sorted(one["type"] for one in said.values()) == ["image.completed", "image.completed", "image.failed"]
    row = log_of(good.headers["x-request-id"])
    told = said[f"image_{row.pk.hex}"]["data"]
    assert (told["status"], told["count"], told["cost_usd"], told["error"]) == ("completed", 2, "0.08", None)
    failed = next(one["data"] for one in said.values() if one["type"] == "image.failed")
    assert (bool(failed["error"]["code"]), failed["cost_usd"]) == (True, "0")
    assert "house" not in str(receiver.heard)
    client = Client()
    client.force_login(person)
    assert receiver.url.rpartition("/")[0] in client.get(reverse("task_detail", args=[f"image_{row.pk.hex}"])).content.decode()
