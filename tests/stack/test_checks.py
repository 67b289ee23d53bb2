"""The system checks say what is wrong with the settings, and how to put it right."""

import pytest
from django.core.checks import run_checks
from django.test import override_settings

LONG = "x" * 32


@pytest.fixture
def elsewhere(settings, monkeypatch):
    """The tests may run on the very servers that one of the checks warns of."""
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "db.example.org")


def ids(**settings):
    with override_settings(**settings):
        return {
            message.id for message in run_checks(include_deployment_checks=True) if (message.id or "").startswith("portal.")
        }


def test_the_test_settings_are_fine(elsewhere):
    assert ids() == set()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"SECRET_KEY": "short"}, "portal.E001"),
        ({"SECRET_KEY": ""}, "portal.E001"),
        ({"KEY_PEPPERS": ""}, "portal.E002"),
        ({"KEY_PEPPERS": "1:short"}, "portal.E002"),
        ({"KEY_PEPPERS": f"one:{LONG}"}, "portal.E002"),
        ({"KEY_PEPPERS": f"1:{LONG},1:{LONG}"}, "portal.E002"),
        ({"FIELD_KEYS": []}, "portal.E003"),
        ({"FIELD_KEYS": [LONG, "short"]}, "portal.E003"),
        ({"MFA_TOTP_INSECURE_BYPASS_CODE": "000000"}, "portal.E004"),
        ({"PUBLIC_URL": "portal.example.org"}, "portal.E005"),
        ({"PUBLIC_URL": "https://portal.example.org", "HTTPS": False, "ALLOWED_HOSTS": ["portal.example.org"]}, "portal.W001"),
        ({"PUBLIC_URL": "http://portal.example.org", "DEMO": True}, "portal.W002"),
        ({"PUBLIC_URL": "https://portal.example.org", "HTTPS": True, "ALLOWED_HOSTS": ["*"]}, "portal.W003"),
        ({"HOLD_SECONDS": 600, "UPSTREAM_TIMEOUT_SECONDS": 600}, "portal.E006"),
        ({"LEASE_SHARE_PERCENT": 51}, "portal.E010"),
        ({"LEASE_SECONDS": 0}, "portal.E010"),
        ({"RELAY_MONEY": "trust"}, "portal.E011"),
    ],
)
def test_a_setting_that_cannot_work_has_a_number(elsewhere, wrong, expected):
    assert ids(**wrong) == {expected}


def test_two_peppers_are_fine(elsewhere):
    assert ids(KEY_PEPPERS=f"1:{LONG},2:{LONG}") == set()


def test_the_bundled_server_in_production_is_a_warning(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "/tmp/portal-0-0123456789")
    assert ids() == {"portal.W004"}
    assert ids(DEMO=True) == set()


@pytest.mark.django_db
def test_this_postgresql_is_new_enough():
    assert "portal.E007" not in {message.id for message in run_checks(databases=["default"])}


@pytest.mark.django_db
def test_an_older_postgresql_is_refused(monkeypatch):
    monkeypatch.setattr("config.checks.OLDEST_POSTGRES", 990_000)
    assert "portal.E007" in {message.id for message in run_checks(databases=["default"])}
