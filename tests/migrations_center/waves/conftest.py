from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.accounts.conftest import smtp  # noqa: F401 - a fixture
from tests.gateway.conftest import _is_quiet, old_gateway, relay, upstream  # noqa: F401 - fixtures
from tests.gateway.servers import Server, until
from tests.migrations_center.waves.town import Town


@pytest.fixture
def town(db: None) -> Town:
    """Ann, Ben and Cid, imported, nothing planned."""
    return Town().build("ann", "ben", "cid")


@pytest.fixture
def empty_town(db: None) -> Callable[..., Town]:
    return lambda **fields: Town().build(**fields)


@pytest.fixture
def servers(transactional_db: None, request: Any) -> Iterator[tuple[Server, Server, Server]]:
    """Relay, demo upstream and the double of the old gateway, all forgetful; the relay is quiet before the flush."""
    running, upstream_server, old_server = (request.getfixturevalue(name) for name in ("relay", "upstream", "old_gateway"))
    upstream_server.reset()
    old_server.reset()
    yield running, upstream_server, old_server
    until(lambda: _is_quiet(running), 10)
