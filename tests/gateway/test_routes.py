"""Routes per key: forwarded to the old entry with the caller's own key, served here, or closed; switched within a second."""

import time

import httpx
import openai
import pytest

from accounts.models import AuditEvent
from accounts.services.people import create_person
from config.foundation.errors import NotAllowed
from gateway.demo_old_gateway import key_digest
from gateway.errors import AddressRefused, OldEntryNeeded, RouteRefused
from gateway.models import KeyOldEntry, OldEntry
from gateway.services import remember_old_entry, set_routes
from keys.models import ApiKey
from tests.gateway.servers import Server, free_port, until
from tests.gateway.world import World, balance, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def old_entry(world: World, old_gateway: Server) -> OldEntry:
    old_gateway.reset()
    return remember_old_entry(actor=None, name="old gateway", base_url=old_gateway.url + "/v1/")


def test_before_the_switch_after_it_and_back_again(world: World, old_gateway: Server, old_entry: OldEntry):
    person = world.person("1")
    key, clear = world.key(person)
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=old_entry)
    world.settle_in()
    client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1")
    raw = client.chat.completions.with_raw_response.create(model="old-name", messages=[{"role": "user", "content": "hi"}])
    assert raw.parse().choices[0].message.content.endswith("(old entry)")
    assert raw.headers["x-oneapi-request-id"]
    row = log_of(raw.headers["x-request-id"])
    assert (row.route, row.outcome, row.cost_nano, row.asked_model, row.user_id) == ("old", "ok", 0, "old-name", person.pk)
    assert hold_of(raw.headers["x-request-id"]) is None
    stream = client.chat.completions.create(model="old-name", stream=True, messages=[{"role": "user", "content": "hi"}])
    assert sum(1 for _ in stream) == 13
    bare = clear.removeprefix("sk-")
    assert old_gateway.calls()["calls"] == [
        {"key": key_digest(bare), "model": "old-name", "stream": False},
        {"key": key_digest(bare), "model": "old-name", "stream": True},
    ]
    assert world.upstream.calls()["total"] == 0
    assert balance(person) == 1_000_000_000

    set_routes(actor=None, key_ids=[key.pk], route="new")
    switched = time.monotonic()
    until(lambda: world.ask(clear, "[[usage 100 10]]").headers.get("x-oneapi-request-id") is None, 1.0)
    assert time.monotonic() - switched < 1.0
    until(lambda: balance(person) == 1_000_000_000 - 130)

    set_routes(actor=None, key_ids=[key.pk], route="old")
    until(lambda: "x-oneapi-request-id" in world.ask(clear).headers, 1.0)
    set_routes(actor=None, key_ids=[key.pk], route="closed")
    until(lambda: world.ask(clear).status_code == 403, 1.0)
    assert world.ask(clear).json()["error"]["code"] == "key_closed"


def test_what_the_client_sent_reaches_the_old_entry_as_it_was(world: World, old_gateway: Server, old_entry: OldEntry):
    key, clear = world.key()
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=old_entry)
    world.settle_in()
    # A body that only its own gateway understands, a pin for a channel, a header style of old: all of it goes on.
    odd = b'{"model":"x", "messages":[{"role":"user","content":"hi"}],"extra":1e400}'
    answer = httpx.post(
        f"{world.relay.url}/api/v1/chat/completions?a=b%20c", content=odd, headers={"Authorization": f"{clear}-7"}
    )
    assert answer.status_code != 403
    listed = httpx.get(f"{world.relay.url}/v1/models", headers={"Authorization": f"Bearer {clear}"})
    assert [model["id"] for model in listed.json()["data"]] == ["old-model"]
    other = httpx.post(f"{world.relay.url}/v1/images/generations", json={}, headers={"Authorization": f"Bearer {clear}"})
    assert other.status_code == 404
    row = log_of(other.headers["x-request-id"])
    assert (row.route, row.outcome, row.endpoint) == ("old", "unknown_model", "/v1/images/generations")
    asked = httpx.post(
        f"{world.relay.url}/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
        headers={"x-api-key": clear},
    )
    assert asked.status_code == 200
    assert old_gateway.calls()["calls"][-1]["key"] == key_digest(clear.removeprefix("sk-"))


def test_a_dead_key_is_refused_here_and_never_forwarded(world: World, old_gateway: Server, old_entry: OldEntry):
    key, clear = world.key()
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=old_entry)
    ApiKey.objects.filter(pk=key.pk).update(state="disabled")
    world.settle_in()
    assert world.ask(clear).json()["error"]["code"] == "api_key_disabled"
    assert old_gateway.calls()["total"] == 0


def test_an_old_entry_that_is_away_gives_a_clear_error(world: World):
    entry = remember_old_entry(actor=None, name="gone", base_url=f"http://127.0.0.1:{free_port()}")
    key, clear = world.key()
    set_routes(actor=None, key_ids=[key.pk], route="old", old_entry=entry)
    world.settle_in()
    answer = world.ask(clear)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "old_entry_failed")
    assert entry.base_url not in answer.text
    assert log_of(answer.headers["x-request-id"]).outcome == "upstream_error"


def test_set_routes_is_audited_idempotent_and_refuses_what_cannot_be(world: World, old_entry: OldEntry):
    keys = [world.key()[0].pk for _ in range(3)]
    with pytest.raises(OldEntryNeeded):
        set_routes(actor=None, key_ids=keys, route="old")
    assert set(ApiKey.objects.filter(pk__in=keys).values_list("route", flat=True)) == {"new"}
    with pytest.raises(RouteRefused):
        set_routes(actor=None, key_ids=keys, route="sideways")
    ops = create_person(actor=None, username="ops1", role="ops")
    assert set_routes(actor=ops, key_ids=keys, route="old", old_entry=old_entry) == 3
    assert set_routes(actor=ops, key_ids=keys, route="old", old_entry=old_entry) == 0
    assert KeyOldEntry.objects.filter(old_entry=old_entry).count() == 3
    events = AuditEvent.objects.filter(action="key.route")
    assert [(event.actor_name, event.before, event.after) for event in events] == [
        ("ops1", {"route": "new"}, {"route": "old"})
    ] * 3
    with pytest.raises(NotAllowed):
        set_routes(actor=world.person(), key_ids=keys, route="new")


def test_an_old_entry_is_remembered_once_by_its_name(world: World):
    first = remember_old_entry(actor=None, name="one", base_url="http://old.example:3000/v1/")
    again = remember_old_entry(actor=None, name="one", base_url="http://old.example:3000")
    assert (first.pk, again.base_url) == (again.pk, "http://old.example:3000")
    assert AuditEvent.objects.filter(object_type="gateway.oldentry").count() == 1
    moved = remember_old_entry(actor=None, name="one", base_url="https://old.example")
    assert (moved.pk, moved.base_url) == (first.pk, "https://old.example")
    for wrong in ("", "old.example", "ftp://old.example", "http://user:pass@old.example", "http://old.example:99999"):
        with pytest.raises(AddressRefused):
            remember_old_entry(actor=None, name="wrong", base_url=wrong)
