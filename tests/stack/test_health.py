"""/healthz and /readyz: what they say when all is well, and the name of what is not."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from config.foundation.clock import now
from config.tasks import HEARTBEAT_KEY, heartbeat_task

NOWHERE = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}


@pytest.fixture
def beating(clean_cache):
    heartbeat_task()
    yield
    cache.delete(HEARTBEAT_KEY)


def test_healthz_asks_no_server(client, django_assert_num_queries):
    # No database mark: a query would fail this test.
    client.cookies["sessionid"] = "a-session-that-would-need-the-database"
    with override_settings(CACHES=NOWHERE):
        response = client.get("/healthz", headers={"host": "10.1.2.3"})
    assert response.status_code == 200
    assert response.json() == {"status": "alive"}
    assert response["Cache-Control"].startswith("max-age=0")


@pytest.mark.django_db
def test_readyz_is_ready(client, beating):
    response = client.get("/readyz")
    body = response.json()
    assert (response.status_code, body["status"], body["failing"]) == (200, "ready", [])
    assert set(body["checks"]) == {"database", "migrations", "redis", "worker_and_beat"}
    assert body["checks"]["migrations"]["unapplied"] == 0
    assert 0 <= body["checks"]["worker_and_beat"]["age_seconds"] < 30


@pytest.mark.django_db
def test_readyz_misses_a_heartbeat_that_never_came(client, clean_cache):
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["failing"] == ["worker_and_beat"]


@pytest.mark.django_db
def test_readyz_misses_a_heartbeat_that_stopped(client, clean_cache):
    cache.set(HEARTBEAT_KEY, now().timestamp() - 31)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["failing"]) == (503, ["worker_and_beat"])
    assert response.json()["checks"]["worker_and_beat"]["age_seconds"] >= 31


@pytest.mark.django_db
def test_readyz_names_an_unapplied_migration(client, beating):
    MigrationRecorder(connection).record_unapplied("keys", "0001_initial")
    response = client.get("/readyz")
    assert (response.status_code, response.json()["failing"]) == (503, ["migrations"])
    assert response.json()["checks"]["migrations"]["unapplied"] == 1


@pytest.mark.django_db
def test_readyz_names_redis_and_not_its_address(client, beating):
    with override_settings(CACHES=NOWHERE):
        response = client.get("/readyz")
    body = response.json()
    assert (response.status_code, body["failing"]) == (503, ["redis", "worker_and_beat"])
    assert body["checks"]["database"]["ok"] is True
    assert "127.0.0.1" not in response.content.decode()


def test_readyz_names_the_database_and_not_its_address(client, beating, django_db_blocker, monkeypatch):
    with django_db_blocker.unblock():
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere/canary-folder")
        response = client.get("/readyz")
        connection.close()
    body = response.json()
    assert (response.status_code, body["failing"]) == (503, ["database", "migrations"])
    assert body["checks"]["redis"]["ok"] is True
    assert "canary" not in response.content.decode()


def test_a_probe_takes_no_post(client):
    assert client.post("/healthz").status_code == 405
