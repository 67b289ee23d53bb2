"""Real processes around the test database. The relay lives through the whole run; its rows are flushed after each test."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.servers import Server, running, start_old_gateway, start_relay, start_upstream, until
from tests.gateway.world import World


@pytest.fixture(scope="session")
def upstream() -> Iterator[Server]:
    with running(start_upstream()) as server:
        yield server


@pytest.fixture(scope="session")
def old_gateway() -> Iterator[Server]:
    with running(start_old_gateway()) as server:
        yield server


@pytest.fixture(scope="session")
def relay(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    with django_db_blocker.unblock():
        server = start_relay()
    with running(server):
        yield server


@pytest.fixture
def world(transactional_db: None, relay: Server, upstream: Server) -> Iterator[World]:
    """A fresh world; the upstream has forgotten its calls."""
    upstream.reset()
    yield World(upstream, relay).build()
    # The flush that follows locks every table: the relay has nothing to write, and does not read the configuration just now.
    until(lambda: _is_quiet(relay), 10)


def _is_quiet(relay: Server) -> bool:
    state = httpx.get(f"{relay.url}/healthz").json()
    return not state["waiting_events"] and not state["open_calls"] and 0.1 < state["config_age_seconds"] < 28
