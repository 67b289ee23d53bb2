"""Issuing, rotating and ending keys, with the real database."""

import hashlib
import json
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from accounts.models import AuditEvent, Group, User
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from keys import secrets, services
from keys.errors import KeyHasNoOwner, KeyNotActive, KeyRevoked, SecretPasted, SecretTaken
from keys.models import ApiKey, KeySecret
from keys.selectors import key_for, keys_for, keys_seen_by

pytestmark = pytest.mark.django_db

FULL_KEY = "sk-" + "aB3" * 16


def accepts(key: ApiKey, clear: str) -> bool:
    """What the entry asks: is there a living secret of an active key with this digest?"""
    presented = secrets.normalise(clear)
    assert presented is not None
    return (
        services.living_secrets(key).filter(digest__in=secrets.candidate_digests(presented.bare)).exists()
        and ApiKey.objects.get(pk=key.pk).state == ApiKey.State.ACTIVE
    )


def everything_stored() -> str:
    """The text of every row of the tables that a key could have reached."""
    with connection.cursor() as cursor:
        rows = []
        for table in ("keys_apikey", "keys_keysecret", "accounts_auditevent", "django_session"):
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
            rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)


def test_r019_the_clear_key_is_in_the_return_value_and_nowhere_else(alice: User) -> None:
    key, clear = services.issue_key(actor=alice, owner=alice, name="nightly job", purpose="script")
    assert clear.startswith("sk-")
    assert len(clear) == 51
    assert accepts(key, clear)
    assert accepts(key, clear.removeprefix("sk-"))
    stored = everything_stored()
    assert clear.removeprefix("sk-") not in stored
    assert hashlib.sha256(clear.encode()).hexdigest() not in stored
    assert key.secrets.get().tail == clear[-4:]
    assert clear not in repr(key.secrets.get()) + str(key) + repr(secrets.normalise(clear))


def test_r019_after_a_rotation_both_secrets_hold_until_the_overlap_ends(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, old = issued
    with time_machine.travel(now(), tick=False) as clock:
        new = services.rotate_key(actor=alice, key=key, overlap_hours=24)
        assert new != old
        assert accepts(key, old)
        assert accepts(key, new)
        clock.shift(timedelta(hours=23, minutes=59))
        assert accepts(key, old)
        clock.shift(timedelta(minutes=1))
        assert not accepts(key, old)
        assert accepts(key, new)
    event = AuditEvent.objects.get(action="key.rotate")
    assert event.before == {"tails": [old[-4:]]}
    assert event.after["tail"] == new[-4:]


def test_a_rotation_without_overlap_ends_the_old_secret_at_once(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, old = issued
    new = services.rotate_key(actor=alice, key=key, overlap_hours=0)
    assert not accepts(key, old)
    assert accepts(key, new)


def test_a_second_rotation_does_not_prolong_the_first_overlap(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, first = issued
    with time_machine.travel(now(), tick=False) as clock:
        services.rotate_key(actor=alice, key=key, overlap_hours=1)
        services.rotate_key(actor=alice, key=key, overlap_hours=48)
        clock.shift(timedelta(hours=1))
        assert not accepts(key, first)
    assert key.secrets.count() == 3


@pytest.mark.parametrize("hours", [-1, 721])
def test_an_overlap_out_of_bounds_changes_nothing(alice: User, issued: tuple[ApiKey, str], hours: int) -> None:
    key, old = issued
    with pytest.raises(InvalidInput):
        services.rotate_key(actor=alice, key=key, overlap_hours=hours)
    assert accepts(key, old)
    assert key.secrets.count() == 1


def test_an_overlap_can_be_ended_early(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, old = issued
    new = services.rotate_key(actor=alice, key=key, overlap_hours=24)
    ending = key.secrets.get(tail=old[-4:], valid_until__isnull=False)
    assert services.revoke_secret(actor=alice, secret=ending) is True
    assert services.revoke_secret(actor=alice, secret=ending) is False
    assert not accepts(key, old)
    assert accepts(key, new)
    assert AuditEvent.objects.filter(action="key.revoke_secret").count() == 1


def test_a_revoked_key_stays_revoked(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, clear = issued
    assert services.revoke_key(actor=alice, key=key, reason="left the project") is True
    assert services.revoke_key(actor=alice, key=key) is False
    assert not accepts(key, clear)
    assert not services.living_secrets(key).exists()
    for attempt in (
        lambda: services.enable_key(actor=alice, key=key),
        lambda: services.rotate_key(actor=alice, key=key),
        lambda: services.add_secret(actor=alice, key=key),
        lambda: services.rename_key(actor=alice, key=key, name="again"),
        lambda: services.set_key_limits(actor=alice, key=key, model_names=None, networks=(), expires_at=None),
    ):
        with pytest.raises(KeyRevoked):
            attempt()
    assert AuditEvent.objects.get(action="key.revoke").reason == "left the project"


def test_disabling_and_enabling(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, clear = issued
    assert services.disable_key(actor=alice, key=key, reason="on holiday") is True
    assert services.disable_key(actor=alice, key=key) is False
    assert not accepts(key, clear)
    with pytest.raises(KeyNotActive):
        services.rotate_key(actor=alice, key=key)
    assert services.enable_key(actor=alice, key=key) is True
    assert services.enable_key(actor=alice, key=key) is False
    assert accepts(key, clear)
    assert ApiKey.objects.get(pk=key.pk).state_reason == ""


def test_what_the_operators_stopped_only_they_start_again(alice: User, ops: User, issued: tuple[ApiKey, str]) -> None:
    key, clear = issued
    services.disable_key(actor=ops, key=key, reason="leaked")
    with pytest.raises(NotAllowed):
        services.enable_key(actor=alice, key=key)
    assert not accepts(key, clear)
    assert services.enable_key(actor=ops, key=key) is True
    assert accepts(key, clear)


def test_r013_a_key_that_arrived_disabled_is_not_started_by_its_owner(alice: User) -> None:
    key = ApiKey.objects.create(name="old", owner=alice, state="disabled")
    services.import_secret(key=key, bare="oldOldOldOld1234")
    with pytest.raises(NotAllowed):
        services.enable_key(actor=alice, key=key)
    assert not accepts(key, "sk-oldOldOldOld1234")


def test_only_the_owner_a_team_owner_and_operators_change_a_key(
    alice: User, bob: User, charlie: User, support: User, ops: User, team: Group
) -> None:
    key, _clear = services.issue_key(actor=alice, team=team, name="shared")
    for who in (bob, charlie, support):
        with pytest.raises(NotAllowed):
            services.rotate_key(actor=who, key=key)
        with pytest.raises(NotAllowed):
            services.revoke_key(actor=who, key=key)
        with pytest.raises(NotAllowed):
            services.disable_key(actor=who, key=key)
    key.refresh_from_db()
    assert key.state == "active"
    assert key.secrets.count() == 1
    services.rotate_key(actor=ops, key=key)
    services.rename_key(actor=alice, key=key, name="still shared")
    assert key.secrets.count() == 2


def test_nobody_issues_a_key_for_somebody_else(alice: User, bob: User, team: Group) -> None:
    with pytest.raises(NotAllowed):
        services.issue_key(actor=bob, owner=alice, name="not mine")
    with pytest.raises(NotAllowed):
        services.issue_key(actor=bob, team=team, name="members do not issue")
    with pytest.raises(KeyHasNoOwner):
        services.issue_key(actor=alice, owner=alice, team=team, name="both")
    with pytest.raises(KeyHasNoOwner):
        services.issue_key(actor=alice, name="neither")
    assert not ApiKey.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("name", [FULL_KEY, f"backup of {FULL_KEY}", f"({FULL_KEY})", "aB3" * 16])
def test_a_pasted_key_is_refused_as_a_name_and_not_stored(alice: User, name: str) -> None:
    with pytest.raises(SecretPasted) as refused:
        services.issue_key(actor=alice, owner=alice, name=name)
    assert "aB3aB3" not in refused.value.message + json.dumps(refused.value.details)
    assert not ApiKey.objects.exists()
    assert "aB3aB3" not in everything_stored()


def test_limits_are_stored_in_their_usual_spelling(alice: User, issued: tuple[ApiKey, str]) -> None:
    key, _clear = issued
    end = now() + timedelta(days=30)
    services.set_key_limits(
        actor=alice,
        key=key,
        model_names=[" gpt-4o ", "gpt-4o", "", "claude"],
        networks=["203.0.113.7", "10.1.2.3/8", "2001:db8::1/32", " "],
        expires_at=end,
    )
    key.refresh_from_db()
    assert key.model_names == ["gpt-4o", "claude"]
    assert key.networks == ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32"]
    assert key.expires_at == end
    event = AuditEvent.objects.get(action="key.set_limits")
    assert event.before["networks"] == []
    assert event.after["networks"] == key.networks
    services.set_key_limits(actor=alice, key=key, model_names=key.model_names, networks=key.networks, expires_at=end)
    assert AuditEvent.objects.filter(action="key.set_limits").count() == 1


@pytest.mark.parametrize("network", ["not a network", "300.1.2.3", "10.0.0.0/33", "example.org"])
def test_a_wrong_network_changes_nothing(alice: User, issued: tuple[ApiKey, str], network: str) -> None:
    key, _clear = issued
    with pytest.raises(InvalidInput):
        services.set_key_limits(actor=alice, key=key, model_names=None, networks=["10.0.0.0/8", network], expires_at=None)
    key.refresh_from_db()
    assert key.networks == []


def test_an_end_in_the_past_is_refused(alice: User) -> None:
    with pytest.raises(InvalidInput):
        services.issue_key(actor=alice, owner=alice, name="late", expires_at=now() - timedelta(seconds=1))
    assert not ApiKey.objects.exists()


def test_an_imported_secret_is_found_again_and_belongs_to_one_key(alice: User, bob: User, settings: object) -> None:
    mine = ApiKey.objects.create(name="old one", owner=alice)
    other = ApiKey.objects.create(name="old two", owner=bob)
    first = services.import_secret(key=mine, bare="canaryOldSecret0123456789")
    again = services.import_secret(key=mine, bare="canaryOldSecret0123456789")
    assert again.pk == first.pk
    assert first.origin == KeySecret.Origin.IMPORTED
    assert first.tail == "6789"
    with pytest.raises(SecretTaken):
        services.import_secret(key=other, bare="canaryOldSecret0123456789")
    settings.KEY_PEPPERS = settings.KEY_PEPPERS + ",2:a-newer-pepper-that-is-long-enough-0123456789"  # type: ignore[attr-defined]
    assert services.import_secret(key=mine, bare="canaryOldSecret0123456789").pk == first.pk
    assert KeySecret.objects.count() == 1
    assert "canaryOldSecret" not in everything_stored()


def test_alice_bob_and_charlie_see_what_is_theirs(
    alice: User, bob: User, charlie: User, support: User, team: Group, issued: tuple[ApiKey, str]
) -> None:
    own, _clear = issued
    shared, _clear = services.issue_key(actor=alice, team=team, name="shared")
    assert list(keys_for(alice)) == [shared, own]
    assert list(keys_for(bob)) == [shared]
    assert list(keys_for(charlie)) == []
    assert list(keys_for(support)) == []
    assert set(keys_seen_by(support)) == {own, shared}
    assert list(keys_seen_by(charlie)) == []
    assert key_for(support, own.pk) == own
    for stranger, key_id in ((charlie, own.pk), (bob, own.pk), (charlie, shared.pk), (alice, 10**9), (alice, 10**30)):
        with pytest.raises(NotFound):
            key_for(stranger, key_id)


def test_no_migration_is_missing_in_keys() -> None:
    call_command("makemigrations", "keys", check=True, dry_run=True, verbosity=0)
