"""R041: repeats of the same call, by hand or by a client's retry, are one case with the sum that was charged."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.test import Client

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.models import RequestLog
from billing.selectors.calls import CallFilters, calls_for
from billing.selectors.repeats import fold, repeat_of, repeats_among
from config.foundation.clock import now
from config.foundation.errors import NotFound
from config.foundation.ids import uuid7, uuid7_time
from gateway.relay.repeats import digest_of
from keys.models import ApiKey
from keys.services import issue_key
from tests.gateway.servers import until
from tests.gateway.world import World, balance, log_of

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}


def digest(key_id: int = 1, endpoint: str = CHAT, **changes: Any) -> int:
    body = {**BODY, **changes}
    return digest_of({name: value for name, value in body.items() if value is not None}, 100, key_id, endpoint)


def test_R041_a_digest_tells_the_same_body_of_the_same_key_and_nothing_else():
    same = digest()
    assert 0 < same < 2**63
    assert digest(stream=True, stream_options={"include_usage": True}, user="x", metadata={"run": 2}) == same
    assert digest_of(dict(reversed(BODY.items())), 100, 1, CHAT) == same, "the order of fields says nothing"
    others = [
        digest(key_id=2), digest(endpoint="/v1/responses"), digest(max_tokens=10), digest(max_tokens=None),
        digest(messages=[{"role": "user", "content": "hello "}]), digest(tools=[{"type": "function"}]),
    ]  # fmt: skip
    assert len({same, *others}) == 7
    large = {"model": "m", "messages": ["x" * 70_000] * 3}
    assert digest_of(large, 200_000, 1, CHAT) == digest_of(dict(large), 200_000, 1, CHAT)
    assert digest_of(large, 200_001, 1, CHAT) != digest_of(large, 200_000, 1, CHAT)


@pytest.fixture
def alice(db: None) -> User:
    return create_person(actor=None, username="alice")


@pytest.fixture
def key(alice: User) -> ApiKey:
    return issue_key(actor=alice, owner=alice, name="k")[0]


def row(key: ApiKey, seconds_ago: float, digest: int | None = 7, **fields: Any) -> RequestLog:
    call: UUID = uuid7(int((now() - timedelta(seconds=seconds_ago)).timestamp() * 1000))
    fields = {"asked_model": "m", "outcome": "ok", "cost_nano": 1_000, "http_status": 200, **fields}
    return RequestLog.objects.create(
        id=call, started_at=uuid7_time(call), key=key, user_id=key.owner_id, key_tail="abcd", body_digest=digest, **fields
    )


@pytest.mark.django_db
def test_R041_seven_same_calls_in_three_minutes_are_one_case_with_the_sum(alice: User, key: ApiKey, client: Client):
    same = [row(key, 180 - 30 * n, cost_nano=1_000 + n) for n in range(6)] + [row(key, 0, outcome="timeout", cost_nano=0)]
    alone = row(key, 100, digest=8, asked_model="m")
    other_model = row(key, 90, asked_model="n")
    folded = fold(calls_for(alice, CallFilters()).rows)
    assert [one.id for one in folded] == [same[-1].id, other_model.id, alone.id]
    case = folded[0].repeat
    assert (case.count, case.cost_nano, case.failed_count) == (7, 6_015, 1)
    assert case.last_at - case.first_at <= timedelta(minutes=3, seconds=1)
    assert (folded[1].repeat, folded[2].repeat) == (None, None)
    client.force_login(alice, backend=BACKEND)
    page = client.get("/calls/?period=1").content.decode()
    assert page.count("repeated 7 times") == 1
    assert "$0.000006015" in page
    whole = client.get(f"/calls/{same[3].id.hex}/repeats/").content.decode()
    assert "repeated 7 times" in whole
    assert "1 without a result" in whole
    assert all(f"/calls/{one.id.hex}/" in whole for one in same)
    assert "The same call was made 7 times" in client.get(f"/calls/{same[0].id.hex}/").content.decode()
    assert "The same call was made" not in client.get(f"/calls/{alone.id.hex}/").content.decode()
    assert client.get(f"/calls/{alone.id.hex}/repeats/").status_code == 302
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    client.force_login(support, backend=BACKEND)
    found = client.get("/find/?tail=abcd&period=1").content.decode()
    assert found.count("repeated 7 times") == 1
    assert "The same call was made 7 times" in client.get(f"/find/{same[0].id.hex}/").content.decode()
    assert f"/find/{same[0].id.hex}/" in client.get(f"/calls/{same[0].id.hex}/repeats/").content.decode()
    client.force_login(create_person(actor=None, username="mallory"), backend=BACKEND)
    assert client.get(f"/calls/{same[0].id.hex}/repeats/").status_code == 404


@pytest.mark.django_db
def test_R041_programs_read_cases_as_pages_do(alice: User, key: ApiKey, client: Client):
    same = [row(key, 100 - 20 * n, cost_nano=1_000 + n, outcome="ok" if n else "timeout") for n in range(4)]
    alone = row(key, 10, digest=8)
    client.force_login(alice, backend=BACKEND)
    plain = client.get("/api/portal/calls/").json()["results"]
    assert [one["repeat"] for one in plain] == [None] * 5
    folded = client.get("/api/portal/calls/?fold=repeats").json()["results"]
    assert [one["id"] for one in folded] == [str(alone.id), str(same[-1].id)]
    case = folded[1]["repeat"]
    assert (case["count"], case["cost"], case["failed_count"], case["told_by"]) == (4, "0.000004006", 1, "body")
    assert case["request_ids"] == [str(one.id) for one in reversed(same)]
    assert client.get(f"/api/portal/calls/{same[1].id}/").json()["repeat"] == case
    whole = client.get(f"/api/portal/calls/{same[0].id}/repeats/").json()
    assert [one["id"] for one in whole["calls"]] == case["request_ids"]
    assert "user_id" not in whole["calls"][0]
    one = client.get(f"/api/portal/calls/{alone.id}/repeats/").json()
    assert (one["count"], one["request_ids"], [call["id"] for call in one["calls"]]) == (1, [str(alone.id)], [str(alone.id)])
    assert client.get("/api/portal/calls/?fold=x").status_code == 422
    client.force_login(create_person(actor=None, username="sue", role=Role.SUPPORT), backend=BACKEND)
    assert client.get(f"/api/portal/calls/{same[0].id}/repeats/").json()["calls"][0]["username"] == "alice"
    client.force_login(create_person(actor=None, username="mallory"), backend=BACKEND)
    assert client.get(f"/api/portal/calls/{same[0].id}/repeats/").status_code == 404


@pytest.mark.django_db
def test_R041_a_long_pause_another_key_or_no_body_is_no_repeat(alice: User, key: ApiKey):
    early = [row(key, 1_000), row(key, 990)]
    late = [row(key, 600), row(key, 310)]
    apart = row(key, 5)
    cases = repeats_among([*early, *late, apart])
    assert [cases[one.id].count for one in (*early, *late)] == [2, 2, 2, 2]
    assert cases[early[0].id] != cases[late[0].id]
    assert apart.id not in cases, "more than five minutes after the last one"
    other = issue_key(actor=alice, owner=alice, name="other")[0]
    nobody = [row(other, 5), row(key, 1, digest=None), row(key, 2, digest=None), row(key, 3, digest=9, asked_model="")]
    assert repeats_among(nobody) == {}
    with pytest.raises(NotFound):
        repeat_of(create_person(actor=None, username="mallory"), early[0].id)


@pytest.mark.django_db
def test_R041_calls_of_an_old_gateway_are_told_by_their_figures(alice: User, key: ApiKey):
    old = {"digest": None, "origin": "imported", "input_tokens": 812}
    same = [row(key, 100 - 20 * n, **old, output_tokens=n) for n in range(3)]
    row(key, 50, **{**old, "input_tokens": 813})
    row(key, 40, **{**old, "input_tokens": 5})
    row(key, 30, **{**old, "input_tokens": 5})
    cases = repeats_among(calls_for(alice, CallFilters()).rows)
    assert set(cases) == {one.id for one in same}
    assert {case.is_by_figures for case in cases.values()} == {True}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R041_the_relay_notes_what_tells_a_call_again(world: World):
    """Seven calls of one key through the relay, streamed and plain, are one case; an eighth with other words is not."""
    person = world.person("1")
    _key, clear = world.key(person)
    answers = [world.ask(clear, stream=bool(n % 2), user=f"end user {n}") for n in range(7)]
    other = world.ask(clear, "other words")
    refused = httpx.post(
        f"{world.relay.url}{CHAT}", json={**BODY, "model": "no-such"}, headers={"Authorization": f"Bearer {clear}"}, timeout=20
    )
    ids = [answer.headers["x-request-id"] for answer in (*answers, other, refused)]
    rows = [log_of(request_id) for request_id in ids]
    assert len({one.body_digest for one in rows[:7]}) == 1
    assert len({one.body_digest for one in rows}) == 3
    until(lambda: repeats_among(rows[:1])[rows[0].id].count == 7)
    (case, _calls) = repeat_of(person, ids[0]) or (None, None)
    assert case is not None
    assert case.cost_nano == 1_000_000_000 - balance(person) - rows[7].cost_nano
    assert rows[7].id not in case.ids
