"""The register of entries, and who was seen at which of them (R001, R003)."""

import httpx
import pytest
from django.test import Client

from accounts.models import AuditEvent, Role, User
from accounts.services.people import create_person
from config.foundation.clock import now
from gateway.models import EntryPoint, EntrySighting, OldEntry
from gateway.selectors import sightings_at
from gateway.services import register_entry
from gateway.services.entries import EntryRefused, read_address
from tests.gateway.servers import until
from tests.gateway.world import World

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def ops(db: None) -> User:
    return create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)


@pytest.fixture
def operator(ops: User, client: Client) -> Client:
    client.force_login(ops, backend=BACKEND)
    return client


def line(url: str, name: str, **values: str) -> dict[str, str]:
    return {
        "name": name, "url": url, "side": "old", "family": "one_api", "environment": "production", "state": "live", "note": "",
        **values,
    }  # fmt: skip


def test_known_addresses_are_put_into_the_register_with_one_click(operator: Client, ops: User, settings: object):
    settings.PUBLIC_URL = "https://gateway.example.org"  # type: ignore[attr-defined]
    OldEntry.objects.create(name="Old gateway", base_url="https://old.example.org")
    known = operator.get("/entries/").context["known"]
    assert [(one.name, one.url, one.side) for one in known] == [
        ("Old gateway", "https://old.example.org", "old"),
        ("Unified entry", "https://gateway.example.org/v1", "new"),
    ]
    form = operator.get(f"/entries/new/?{known[0].query}").context["form"]
    assert (form["name"].value(), form["url"].value(), form["side"].value()) == (
        "Old gateway",
        "https://old.example.org",
        "old",
    )
    register_entry(actor=ops, **line("https://OLD.example.org/v1", "Old"), owner=ops)
    assert [one.side for one in operator.get("/entries/").context["known"]] == ["new"]


def test_R001_six_entries_three_go_in_and_three_are_refused_with_a_field_error(operator: Client, ops: User):
    six = [
        (line("https://old.example.org/v1", "Old gateway"), None),
        (line("https:///v1", "No host"), "names no host"),
        (line("https://gate.example.org//v1", "Double slash"), "double slash"),
        (line("https://gateway.example.org/v1", "New entry", side="new", family="openai", state="observing"), None),
        (line("https://OLD.Example.org/v1/", "The same in other letters"), "in the register already"),
        (line("http://test.example.org:8080", "Test", environment="test", state="sunset"), None),
    ]
    for values, refusal in six:
        answer = operator.post("/entries/new/", {**values, "owner": ops.pk})
        assert answer.status_code == (302 if refusal is None else 422), values
        if refusal:
            assert refusal in answer.context["form"].errors["url"][0]
    assert set(EntryPoint.objects.values_list("name", "url")) == {
        ("Old gateway", "https://old.example.org/v1"),
        ("New entry", "https://gateway.example.org/v1"),
        ("Test", "http://test.example.org:8080"),
    }
    page = operator.get("/entries/").content.decode()
    for word in ("Old gateway", "New entry", "Test", "operator", "live", "observing", "sunset"):
        assert word in page
    assert AuditEvent.objects.filter(action="entry.registered").count() == 3


@pytest.mark.parametrize(
    "url",
    ["", "gateway.example.org", "ftp://x.example.org", "https://user:secret@x.example.org", "https://x.example.org/?key=1",
     "https://x.example.org:99999", "https://bad host/", "https://[::1", "https://x.example.org/sk-" + "a" * 48],
)  # fmt: skip
def test_addresses_that_are_none(url: str):
    with pytest.raises(EntryRefused) as refused:
        read_address(url)
    assert "url" in refused.value.details["fields"]


@pytest.mark.parametrize(
    ("url", "kept", "host"),
    [
        ("HTTPS://Api.Example.org:443/V1/", "https://api.example.org/V1", "api.example.org"),
        ("http://10.0.0.5:3000", "http://10.0.0.5:3000", "10.0.0.5:3000"),
        ("https://[2001:DB8::1]/v1", "https://[2001:db8::1]/v1", "2001:db8::1"),
    ],
)
def test_one_spelling_of_an_address(url: str, kept: str, host: str):
    assert read_address(url)[:2] == (kept, host)


def test_changing_an_entry_is_in_the_trail_and_others_may_only_look(operator: Client, ops: User, client: Client):
    entry = register_entry(actor=ops, owner=ops, **line("https://old.example.org", "Old"))
    answer = operator.post(
        f"/entries/{entry.pk}/change/", {**line("https://old.example.org", "Old", state="closed"), "owner": ops.pk}
    )
    assert answer.status_code == 302
    event = AuditEvent.objects.get(action="entry.changed")
    assert (event.before["state"], event.after["state"]) == ("live", "closed")
    support = create_person(actor=None, username="sue", email="sue@example.org", role=Role.SUPPORT)
    client.force_login(support, backend=BACKEND)
    assert client.get(f"/entries/{entry.pk}/").status_code == 200
    assert client.get("/entries/new/").status_code == 403
    assert client.post(f"/entries/{entry.pk}/change/", {}).status_code == 403
    user = create_person(actor=None, username="una", email="una@example.org")
    client.force_login(user, backend=BACKEND)
    assert client.get("/entries/").status_code == 403
    assert client.get(f"/entries/{entry.pk}/").status_code in (403, 404)
    assert client.get("/entries/999999/").status_code in (403, 404)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_calls_are_counted_by_key_entry_client_and_route(world: World):
    chief = create_person(actor=None, username="ops", email="ops@example.org", role=Role.OPS)
    old = register_entry(actor=chief, owner=chief, **line("https://old.example.org/v1", "Old"))
    _, clear = world.key()
    body = {"model": "demo-chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    began = now()
    for host, agent, times in (
        ("OLD.example.org:443", "OpenAI/Python 1.0", 4),
        ("old.example.org", "curl/8", 2),
        ("nowhere", "curl/8", 1),
    ):
        for _ in range(times):
            answer = httpx.post(
                f"{world.relay.url}/v1/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {clear}", "Host": host, "User-Agent": agent},
            )
            assert answer.status_code == 200
    until(lambda: sum(EntrySighting.objects.values_list("call_count", flat=True)) == 7, 15)
    seen = {one.client_family: one.call_count for one in sightings_at(chief, old)}
    assert seen == {"openai-python": 4, "curl": 2}
    assert EntrySighting.objects.get(entry=None).call_count == 1
    assert (now() - max(one.last_at for one in sightings_at(chief, old))).total_seconds() < 60
    # Not cut to the second: a call right after a switch is one after it.
    assert all(began <= one.first_at <= one.last_at for one in sightings_at(chief, old))
