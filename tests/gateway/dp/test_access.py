"""Who may ask a portal over HTTP, and what a data plane is told: configuration, keys, what is wanted of it."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from billing.pricing import RuleFigures
from gateway.models import DataPlane, DataPlaneInstance, PlaneTally
from gateway.planes.events import FIELDS, USAGE_FIELDS
from gateway.services import planes as services
from keys.models import CallLimit
from keys.services import disable_key, issue_key, revoke_key
from tests.gateway.planes import Company, Plane, end, hash_of
from tests.gateway.world import CREDENTIAL

pytestmark = pytest.mark.django_db

CALLS = [("get", "config"), ("get", "keys"), ("post", "authorize"), ("post", "usage"), ("post", "heartbeat"),
         ("post", "reconcile"), ("post", "leases"), ("get", "secrets/upstream-1"), ("get", "nothing")]  # fmt: skip


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
