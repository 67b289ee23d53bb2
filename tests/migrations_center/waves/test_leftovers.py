"""Who still calls the old entry after the switch (R003)."""

from datetime import timedelta

import pytest
from django.test import Client

from config.foundation.clock import now
from gateway.models import EntryPoint, EntrySighting
from gateway.services import register_entry
from keys.models import ApiKey
from migrations_center.models import Wave, WaveMember
from migrations_center.selectors_leftovers import leftovers_for
from tests.migrations_center.waves.town import Town


def seen(key: ApiKey, entry: EntryPoint, route: str, calls: int, ago: timedelta, family: str = "Cursor") -> None:
    at = now() - ago
    EntrySighting.objects.create(
        key=key, entry=entry, route=route, client_family=family, call_count=calls, first_at=at, last_at=at, day_on=at.date()
    )


@pytest.mark.django_db
def test_R003_who_still_calls_the_old_entry_with_client_count_and_last_time(client: Client):
    """K1 makes 20 old-entry calls after its wave, K2 none: the page lists K1 with 20 and not K2."""
    town = Town().build("k1", "k2", "k3")
    wave = town.wave(town.plan(), "k1", "k2")
    switched = now() - timedelta(hours=2)
    WaveMember.objects.filter(wave=wave).update(state=WaveMember.State.SWITCHED, switched_at=switched)
    Wave.objects.filter(pk=wave.pk).update(state=Wave.State.OBSERVING, switched_at=switched)
    places = {"family": "one_api", "environment": "production", "state": "observing", "note": ""}
    old = register_entry(actor=town.ops, owner=town.ops, name="Old", url="https://old.example.org/v1", side="old", **places)
    new = register_entry(actor=town.ops, owner=town.ops, name="New", url="https://new.example.org/v1", side="new", **places)
    seen(town.keys["k1"], old, "old", 300, timedelta(hours=3))
    seen(town.keys["k1"], old, "new", 20, timedelta(seconds=20))
    seen(town.keys["k1"], new, "new", 7, timedelta(seconds=5))
    seen(town.keys["k2"], old, "old", 40, timedelta(hours=3))
    seen(town.keys["k2"], new, "new", 5, timedelta(seconds=5))
    seen(town.keys["k3"], old, "old", 9, timedelta(seconds=5))
    (line,) = leftovers_for(town.ops)
    assert (line.member.user.username, line.entry, line.seen.call_count, line.seen.client_family) == ("k1", old, 20, "Cursor")
    assert (now() - line.seen.last_at).total_seconds() < 60
    client.force_login(town.ops, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/migrations/still-on-the-old-entry/").content.decode()
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert "k1" in body
    assert ">20<" in body
    assert "Cursor" in body
    assert "k2" not in body


@pytest.mark.django_db
def test_the_page_says_what_is_missing(client: Client):
    town = Town().build("k1")
    client.force_login(town.ops, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "No old entry in the register" in client.get("/migrations/still-on-the-old-entry/").content.decode()
    client.force_login(town.people["k1"], backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get("/migrations/still-on-the-old-entry/").status_code == 403
