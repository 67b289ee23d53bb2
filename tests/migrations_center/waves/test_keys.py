"""R013: each key is kept, reissued or retired; the choice is carried out with the switch and taken back with the way back."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, OutboundMail, Role, User
from accounts.services.people import create_person
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed
from gateway.models import DataPlane, DataPlaneInstance, KeyChange, KeyConfirmation, KeyWatch, RelayInstance
from gateway.services.confirmations import ask_confirmation, unconfirmed
from keys.models import ApiKey, KeySecret
from keys.services import rotate_key
from migrations_center.models import KeyChoice, Wave
from migrations_center.selectors_keys import adoption_of, lines_of
from migrations_center.services import continuity, notices, switching, waves
from migrations_center.services.wave_errors import GatesRed, WrongState
from tests.migrations_center.waves.town import Town

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def chosen(town: Town) -> Wave:
    """Ann's key is kept, Ben's reissued with a day of overlap, Cid's retired."""
    wave = town.wave(town.plan(), "ann", "ben", "cid")
    for name, choice in (("ben", "reissue"), ("cid", "retire")):
        changed = continuity.choose(actor=town.ops, wave=wave, key_ids=[town.keys[name].pk], choice=choice, overlap_hours=24)
        assert changed == 1
    return wave


def ends(key: ApiKey) -> list[Any]:
    return list(KeySecret.objects.filter(key=key).order_by("pk").values_list("valid_until", flat=True))


def test_R013_choices_are_carried_out_with_the_switch_and_taken_back_with_the_wave(town: Town, chosen: Wave) -> None:
    ann, ben, cid = (town.keys[name] for name in ("ann", "ben", "cid"))
    waves.mark_ready(actor=town.ops, wave=chosen)
    switching.switch(actor=town.ops, wave=chosen)
    for key in (ann, ben, cid):
        key.refresh_from_db()
    assert (ann.state, ben.state, cid.state) == ("active", "active", "disabled")
    assert ends(ann) == [None]
    (end,) = ends(ben)
    assert timedelta(hours=23, minutes=59) < end - now() <= timedelta(hours=24)
    # The owner makes the new value on the key's page; the old one goes on until its end and not longer.
    rotate_key(actor=ben.owner, key=ben, overlap_hours=72)
    assert ends(ben) == [end, None]
    assert adoption_of(lines_of(town.ops, chosen)).total == 2, "a retired key is not waited for"
    switching.go_back(actor=town.ops, wave=chosen)
    cid.refresh_from_db()
    assert (cid.state, cid.state_reason) == ("active", "")
    assert ends(ben) == [None, None], "the value the old entry knows works again, and so does the new one"
    assert KeyChoice.objects.filter(applied_at=None, undo={}).count() == 2
    trail = set(AuditEvent.objects.filter(object_id__in=[str(ben.pk), str(cid.pk)]).values_list("action", flat=True))
    assert {"key.move_choice", "key.reissue_due", "key.disable", "key.enable"} <= trail


def test_R013_what_was_retired_is_revoked_when_the_wave_settles_and_a_key_stopped_meanwhile_stays_stopped(
    town: Town, chosen: Wave
) -> None:
    waves.mark_ready(actor=town.ops, wave=chosen)
    switching.switch(actor=town.ops, wave=chosen)
    Wave.objects.filter(pk=chosen.pk).update(switched_at=now() - timedelta(hours=30))
    chosen.refresh_from_db()
    waves.settle(actor=town.ops, wave=chosen)
    assert ApiKey.objects.get(pk=town.keys["cid"].pk).state == "revoked"
    assert not KeyWatch.objects.exists()
    # Nobody enables a retired key in between without the right: its owner was not the one who stopped it.
    assert ApiKey.objects.get(pk=town.keys["ann"].pk).state == "active"


def test_R013_the_notices_name_the_keys_that_change(town: Town, chosen: Wave) -> None:
    waves.mark_ready(actor=town.ops, wave=chosen)
    notices.notify(actor=town.ops, wave=chosen)
    texts = {mail.user.username: mail.text + mail.html for mail in OutboundMail.objects.select_related("user") if mail.user}
    assert "You need no new one" in texts["ann"]
    assert texts["ben"].count("the old value works for 24 hours") == 2
    assert "ben key" in texts["ben"]
    assert texts["cid"].count("These end with the switch") == 2
    with pytest.raises(WrongState):
        continuity.choose(actor=town.ops, wave=chosen, key_ids=[town.keys["ann"].pk], choice="retire")


def test_R013_dead_keys_and_keys_of_others_cannot_be_chosen_for(town: Town, chosen: Wave) -> None:
    dead = town.give_key("ann")
    ApiKey.objects.filter(pk=dead.pk).update(expires_at=timezone.now() - timedelta(days=1))
    stranger = create_person(actor=None, username="sue", role=Role.SUPPORT)
    with pytest.raises(NotAllowed):
        continuity.choose(actor=stranger, wave=chosen, key_ids=[town.keys["ben"].pk], choice="keep")
    for key_ids, choice, hours in (([dead.pk], "keep", 1), ([10**9], "keep", 1), ([town.keys["ben"].pk], "sell", 1)):
        with pytest.raises(InvalidInput):
            continuity.choose(actor=town.ops, wave=chosen, key_ids=key_ids, choice=choice, overlap_hours=hours)
    with pytest.raises(InvalidInput):
        continuity.choose(actor=town.ops, wave=chosen, key_ids=[town.keys["ben"].pk], choice="reissue", overlap_hours=10_000)
    assert KeyChoice.objects.get(key=town.keys["ben"]).choice == "reissue"


def relay(name: str, seconds_ago: int = 0) -> RelayInstance:
    at = now() - timedelta(seconds=seconds_ago)
    return RelayInstance.objects.create(name=name, started_at=at, seen_at=at, config_version=1)


def say(relay_name: str, key: ApiKey, fingerprint: str, withheld: str = "") -> None:
    KeyConfirmation.objects.update_or_create(
        relay=relay_name,
        key=key,
        defaults={"fingerprint": fingerprint, "withheld": withheld, "config_version": 1, "confirmed_at": now()},
    )


def test_R013_every_live_relay_has_to_hold_the_key_as_it_is_now(town: Town, chosen: Wave, settings: Any) -> None:
    """No relay, silent ones, one that holds another state, one that is gone; then all say the same and the wave goes."""
    settings.WAVE_KEY_CONFIRMATION = True
    RelayInstance.objects.all().delete()
    from gateway.services.confirmations import _fingerprints

    waves.mark_ready(actor=town.ops, wave=chosen)
    needed = [town.keys["ann"], town.keys["ben"]]
    assert set(KeyWatch.objects.values_list("key_id", flat=True)) == {key.pk for key in needed}
    assert {one.reason for one in continuity.unconfirmed_keys(chosen)} == {"no_relay"}
    for name, seconds in (("one", 0), ("two", 0), ("gone", 60)):
        relay(f"{chosen.pk}-{name}", seconds)
    assert len(continuity.unconfirmed_keys(chosen)) == 4
    ours = _fingerprints([key.pk for key in needed])
    for name in ("one", "two"):
        for key in needed:
            say(f"{chosen.pk}-{name}", key, ours[key.pk])
    assert continuity.unconfirmed_keys(chosen) == []
    say(f"{chosen.pk}-two", needed[0], "0" * 64)
    with pytest.raises(GatesRed) as refused:
        switching.begin_switch(actor=town.ops, wave=chosen)
    assert "ann key" in refused.value.message
    assert [(one.code, one.detail["why"]) for one in refused.value.findings] == [("key_unconfirmed", "another_state")]
    chosen.refresh_from_db()
    assert chosen.state == Wave.State.READY
    # The key changes after both have said it: what they hold is old.
    say(f"{chosen.pk}-two", needed[0], ours[needed[0].pk])
    ApiKey.objects.filter(pk=needed[1].pk).update(networks=["10.0.0.0/8"])
    assert {(one.key_name, one.reason) for one in unconfirmed([key.pk for key in needed])} == {("ben key", "another_state")}
    ApiKey.objects.filter(pk=needed[1].pk).update(networks=[], route="closed")
    assert unconfirmed([key.pk for key in needed]) == [], "the route is what a wave changes"
    switching.begin_switch(actor=town.ops, wave=chosen)


def test_R013_the_page_of_the_keys(town: Town, chosen: Wave, client: Client) -> None:
    address = f"/migrations/waves/{chosen.pk}/keys/"
    client.force_login(town.ops, backend=BACKEND)
    page = client.get(address).content.decode()
    for words in ("ann key", "reissue", "old value for 24 h", "retire"):
        assert words in page
    answer = client.post(
        address, {"keys": [town.keys["ann"].pk], "choice": "reissue", "overlap_hours": "12", "reason": "leaked"}
    )
    assert answer.status_code == 302
    assert KeyChoice.objects.get(key=town.keys["ann"]).overlap_hours == 12
    wrong = client.post(address, {"choice": "reissue", "overlap_hours": "-1"})
    assert wrong.status_code == 422
    assert set(wrong.context["form"].errors) == {"keys", "overlap_hours"}
    waves.mark_ready(actor=town.ops, wave=chosen)
    assert client.post(f"{address}ask/").status_code == 302
    support = create_person(actor=None, username="sue", role=Role.SUPPORT)
    client.force_login(support, backend=BACKEND)
    assert client.get(address).status_code == 200
    assert client.post(address, {"keys": [town.keys["ann"].pk], "choice": "keep", "overlap_hours": "1"}).status_code == 403
    assert client.post(f"{address}ask/").status_code == 403
    person: User = town.people["ann"]
    client.force_login(person, backend=BACKEND)
    assert client.get(address).status_code == 403
    with pytest.raises(NotAllowed):
        ask_confirmation(actor=person, key_ids=[town.keys["ann"].pk])


def test_R013_a_data_plane_over_http_has_read_as_far_as_its_heartbeat_says(town: Town, chosen: Wave) -> None:
    """No cursor: it holds nothing. On its first reading: keys up to one. Later: every key that did not change since."""
    RelayInstance.objects.all().delete()
    plane = DataPlane.objects.create(name=f"engine {chosen.pk}", digest=uuid4().bytes, tail="abcd", rotated_at=now())
    ids = sorted(town.keys[name].pk for name in ("ann", "ben"))
    values = {"plane": plane, "name": "p1", "seen_at": now()}
    process = DataPlaneInstance.objects.create(**values)

    def missing(cursor: str) -> list[int]:
        DataPlaneInstance.objects.filter(pk=process.pk).update(key_cursor=cursor, seen_at=now())
        return sorted(one.key_id for one in unconfirmed(ids))

    assert missing("") == ids
    assert missing("rubbish") == ids
    assert missing(f"0.5.{ids[0]}.1") == ids[1:]
    KeyChange.objects.filter(key_id__in=ids).delete()
    KeyChange.objects.create(key_id=ids[0], changed_xid=100, changed_at=now())
    assert missing("100.0.0.1") == ids[:1]
    assert missing("101.0.0.1") == []
    DataPlaneInstance.objects.filter(pk=process.pk).update(seen_at=now() - timedelta(minutes=2))
    assert {one.reason for one in unconfirmed(ids)} == {"no_relay"}
