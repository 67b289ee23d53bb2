"""Secrets and passwords of a checkout: made once, kept, readable for their owner only."""

import json
import stat

import pytest

from config.checks import SHORTEST_SECRET, peppers_are_usable
from config.stack import keepsakes, places


def test_the_second_start_has_the_secrets_of_the_first(tmp_path):
    first = keepsakes.load(tmp_path)
    assert keepsakes.load(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_two_checkouts_share_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = keepsakes.load(tmp_path / "a"), keepsakes.load(tmp_path / "b")
    assert set(first) == set(second)
    assert set(first.values()).isdisjoint(second.values())


def test_the_secrets_pass_the_checks_of_the_settings(tmp_path):
    made = keepsakes.settings_in(keepsakes.load(tmp_path))
    assert len(made["SECRET_KEY"]) >= SHORTEST_SECRET
    assert len(made["FIELD_KEYS"]) >= SHORTEST_SECRET
    assert peppers_are_usable(made["KEY_PEPPERS"])


def test_every_demo_login_has_a_password_of_its_own(tmp_path):
    passwords = keepsakes.passwords_in(keepsakes.load(tmp_path))
    assert set(passwords) == {"admin", "ops", "support", "finance", "demo"}
    assert len(set(passwords.values())) == 5
    assert all(len(password) == 19 for password in passwords.values())


def test_a_secret_that_came_later_is_added_and_the_others_stay(tmp_path):
    first = keepsakes.load(tmp_path)
    kept = {name: value for name, value in first.items() if name != "FIELD_KEYS"}
    places.write_private(tmp_path / "secrets.json", json.dumps(kept))
    second = keepsakes.load(tmp_path)
    assert {name: second[name] for name in kept} == kept
    assert second["FIELD_KEYS"] != first["FIELD_KEYS"]


def test_a_damaged_file_is_not_overwritten(tmp_path):
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(places.PlaceError, match="cannot be read"):
        keepsakes.load(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == "{"
