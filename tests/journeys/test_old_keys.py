"""M4: an old key just works at the new entry, whatever header it comes in; R013: its wave starts when every relay holds it."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Role, User
from accounts.services.people import create_person
from config.foundation.clock import now
from gateway.services import register_entry
from keys.models import KeySecret
from migrations_center.models import ImportedRow, Source, Wave
from migrations_center.selectors_keys import adoption_of, lines_of
from migrations_center.selectors_leftovers import leftovers_for
from migrations_center.services import continuity, plans, switching, waves
from tests.gateway.conftest import _is_quiet
from tests.gateway.servers import Server, until
from tests.journeys.conftest import demo_upstream, settle_in
from tests.migrations_center.imports.support import do_import
from tests.migrations_center.imports.test_canaries import dump
from tests.migrations_center.sources.conftest import Build, channel, key, new_api, user

__all__ = ["new_api"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PEOPLE, EACH = int(os.environ.get("OLD_KEY_PEOPLE", "16")), 4
LIVE = PEOPLE * EACH
PAST = 1_600_000_000
OLD_NAME = "old.example.org"
STYLES: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda secret: {"Authorization": f"Bearer sk-{secret}"},
    "x-api-key": lambda secret: {"x-api-key": f"sk-{secret}"},
    "api-key": lambda secret: {"api-key": f"sk-{secret}"},
    "x-goog-api-key": lambda secret: {"x-goog-api-key": f"sk-{secret}"},
}


def secret_of(number: int) -> str:
    return f"canary{number:04d}".ljust(48, "q")


@dataclass
class Moving:
    """People of an old New API with four keys each, and nine dead keys; imported by digest, in one wave."""

    relay: Server
    ops: User
    wave: Wave
    live: list[int]
    dead: list[int]
    again: Callable[..., Any]
    ids: dict[int, int] = field(default_factory=dict)

    def call(self, number: int, style: str, host: str = "") -> httpx.Response:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
        headers = {**STYLES[style](secret_of(number)), **({"Host": host} if host else {})}
        return httpx.post(f"{self.relay.url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    def call_all(self, calls: list[tuple[int, str]]) -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda one: self.call(*one).status_code, calls))

    def confirmed(self) -> bool:
        return not continuity.unconfirmed_keys(self.wave)

    def page(self, show: str = "") -> str:
        client = Client()
        client.force_login(self.ops, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client.get(f"/migrations/waves/{self.wave.pk}/keys/", {"show": show} if show else {}).content.decode()


def old_tokens() -> tuple[list[dict[str, Any]], list[int], list[int]]:
    """Rows of the old tokens table, the numbers of those that live and of the nine that are dead."""
    live = [key(n, 1 + (n - 1) // EACH, key=secret_of(n), name=f"K{n}") for n in range(1, LIVE + 1)]
    dead = [
        *(key(900 + n, 1, key=secret_of(900 + n), status=2, name=f"off{n}") for n in range(3)),
        *(key(910 + n, 1, key=secret_of(910 + n), expired_time=PAST, name=f"late{n}") for n in range(2)),
        *(key(920 + n, 900, key=secret_of(920 + n), name=f"of a deleted user {n}") for n in range(2)),
        *(key(930 + n, 2, key=secret_of(930 + n), deleted_at="2026-01-01 10:00:00", name=f"gone{n}") for n in range(2)),
    ]
    return live + dead, [one["id"] for one in live], [one["id"] for one in dead]


@pytest.fixture
def moving(relay: Server, upstream: Server, old_gateway: Server, new_api: Build, settings: Any) -> Any:  # noqa: F811
    settings.WAVE_KEY_CONFIRMATION = True
    upstream.reset()
    old_gateway.reset()
    demo_upstream(upstream.url)
    tokens, live, dead = old_tokens()
    people = [user(n, quota=5_000_000) for n in range(1, PEOPLE + 1)]
    people.append(user(900, quota=0, deleted_at="2026-01-01 10:00:00"))
    options = [{"key": "ModelRatio", "value": json.dumps({"gpt-4o": 1.25})}]

    def read(name: str, logs: list[dict[str, Any]]) -> Any:
        file = new_api(name=name, users=people, tokens=tokens, channels=[channel(1)], options=options, logs=logs)
        return do_import(file, upstream="demo", old_entry=old_gateway.url)

    report = read("one.db", [])
    assert report["totals"]["balances"]["ties_out"]
    ops = create_person(actor=None, username="operator", email="operator@example.org", role=Role.OPS)
    source = Source.objects.get()
    register_entry(
        actor=None, owner=ops, name="Old name", url=f"http://{OLD_NAME}/v1", side="old", family="new_api",
        environment="production", state="sunset",
    )  # fmt: skip
    plan = plans.create_plan(actor=ops, source=source, name="Moves", old_entry=source.old_entry).plan  # type: ignore[arg-type]
    wave = waves.create_wave(actor=ops, plan=plan, name="All of them", planned_at=now() + timedelta(days=4))
    rows = ImportedRow.objects.filter(source=source, table="users", row_id__in=[str(n) for n in range(1, PEOPLE + 1)])
    waves.add_members(actor=ops, wave=wave, user_ids=[int(row.target_id) for row in rows])
    ids = {int(row.row_id): int(row.target_id) for row in ImportedRow.objects.filter(source=source, table="tokens")}
    settle_in(relay)
    yield Moving(relay, ops, wave, live, dead, read, ids)
    until(lambda: _is_quiet(relay), 10)


def test_R013_a_wave_waits_for_the_key_that_a_relay_does_not_hold(moving: Moving) -> None:
    """K7's secret is kept with a pepper the relay has not: 409 naming K7, and nobody has moved. Then it is mended."""
    mended = KeySecret.objects.get(key_id=moving.ids[7])
    KeySecret.objects.filter(pk=mended.pk).update(pepper_number=9)
    waves.mark_ready(actor=moving.ops, wave=moving.wave)
    until(lambda: {one.key_name for one in continuity.unconfirmed_keys(moving.wave)} == {"K7"}, 40)
    api = APIClient()
    api.force_authenticate(moving.ops)
    refused = api.post(f"/api/portal/waves/{moving.wave.pk}/switch/", {}, format="json")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "gates_red")
    assert "K7." in error["message"]
    # By every relay that is up.
    assert {(one["key"], one["why"]) for one in error["findings"]} == {("K7", "unknown_pepper")}
    moving.wave.refresh_from_db()
    assert moving.wave.state == Wave.State.READY
    assert "K7" in moving.page("missing")
    assert "K8<" not in moving.page("missing")
    listed = api.get(f"/api/portal/waves/{moving.wave.pk}/keys/").json()
    assert [one["name"] for one in listed if one["unconfirmed_relays"]] == ["K7"]
    KeySecret.objects.filter(pk=mended.pk).update(pepper_number=mended.pepper_number)
    # A key that changes after it was confirmed has to be confirmed as it is now.
    continuity.ask_relays(actor=moving.ops, wave=moving.wave)
    until(moving.confirmed, 40)
    switching.switch(actor=moving.ops, wave=moving.wave)
    settle_in(moving.relay)
    assert moving.call_all([(n, "bearer") for n in (7, 8, 1)]) == [200, 200, 200]
    assert set(moving.call_all([(n, "bearer") for n in moving.dead])) == {401}


def test_R003_twenty_calls_by_the_old_name_are_on_the_page_and_whoever_makes_none_is_not(moving: Moving) -> None:
    """R003: after its wave K1 makes 20 calls at the old entry, K5 (of another person) calls the new one only."""
    waves.mark_ready(actor=moving.ops, wave=moving.wave)
    until(moving.confirmed, 40)
    # Before the switch both called the old name, which is nothing to be told.
    assert [moving.call(n, "bearer", host=OLD_NAME).status_code for n in (1, 5)] == [200, 200]
    switching.switch(actor=moving.ops, wave=moving.wave)
    settle_in(moving.relay)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: moving.call(1, "x-api-key", host=OLD_NAME).status_code, range(20)))
    assert answers == [200] * 20
    assert moving.call_all([(5, "bearer")] * 3) == [200] * 3
    until(lambda: [line.seen.call_count for line in leftovers_for(moving.ops)] == [20], 15)
    (line,) = leftovers_for(moving.ops)
    assert (line.member.user.username, line.entry.name, line.seen.client_family) == ("user1", "Old name", "python-httpx")
    assert (now() - line.seen.last_at).total_seconds() < 60
    client = Client()
    client.force_login(moving.ops, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/migrations/still-on-the-old-entry/").content.decode()
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert [word in body for word in ("user1", ">20<", "python-httpx", "user2")] == [True, True, True, False]


def test_M4_every_old_key_works_at_its_first_call_in_every_header(moving: Moving) -> None:
    """M4 R013: 64 keys x 4 header styles; 9 dead ones 401; a bar per wave; no secret in a dump; old use flagged."""
    styles = list(STYLES)
    first = [(n, styles[n % 4]) for n in moving.live]
    seen = 41 if LIVE == 64 else LIVE // 2
    waves.mark_ready(actor=moving.ops, wave=moving.wave)
    until(moving.confirmed, 40)
    switching.switch(actor=moving.ops, wave=moving.wave)
    settle_in(moving.relay)
    assert moving.call_all(first[:seen]) == [200] * seen
    until(lambda: adoption_of(lines_of(moving.ops, moving.wave)).seen == seen, 15)
    assert f"{seen} of {LIVE} keys seen on new" in moving.page()
    assert moving.call_all(first[seen:]) == [200] * (LIVE - seen)
    others = [(n, style) for n, used in first for style in styles if style != used]
    assert set(moving.call_all(others)) == {200}
    assert len(first) + len(others) == LIVE * 4
    dead = [(n, style) for n in moving.dead for style in styles]
    assert (len(moving.dead), set(moving.call_all(dead))) == (9, {401})
    until(lambda: adoption_of(lines_of(moving.ops, moving.wave)).seen == LIVE, 15)
    lines = {line.key.name: line for line in lines_of(moving.ops, moving.wave)}
    assert all(line.adopted_at for line in lines.values() if line.counts)
    assert adoption_of(lines.values()).flagged == 0
    assert "adopted" in moving.page()
    # Nothing that was imported, called or logged holds a key.
    text = dump(str(connection.settings_dict["NAME"]))
    assert "billing_requestlog" in text
    assert [n for n in [*moving.live, *moving.dead] if secret_of(n) in text or secret_of(n).upper() in text] == []
    # One client still has the old name, another one calls the old machine itself: its log says so with the next reading.
    assert moving.call(3, "bearer", host=OLD_NAME).status_code == 200
    row = {"id": 1, "user_id": 2, "created_at": int(time.time()) + 1, "type": 2, "model_name": "gpt-4o", "token_name": "K5"}
    moving.again(
        "two.db", [{**row, "username": "user2", "token_id": 5, "quota": 100, "prompt_tokens": 10, "completion_tokens": 5}]
    )
    until(lambda: adoption_of(lines_of(moving.ops, moving.wave)).flagged == 2, 15)
    lines = {line.key.name: line for line in lines_of(moving.ops, moving.wave)}
    uses = {name: (line.old_use.by_name, line.old_use.at_machine) for name, line in lines.items() if line.old_use}
    assert uses == {"K3": (1, 0), "K5": (0, 1)}
    flagged = moving.page("flagged")
    assert "K3" in flagged
    assert "K5" in flagged
    assert "K4<" not in flagged
