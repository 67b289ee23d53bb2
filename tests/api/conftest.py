from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from tests.admin.world import World, build


@pytest.fixture
def world(db: None) -> World:
    return build()


@pytest.fixture
def caller(world: World) -> Callable[[str], APIClient]:
    """A client logged in as the person of a role, or as the customer whose things the world holds."""

    def log_in(role: str) -> APIClient:
        client = APIClient()
        client.force_login(world.things["customer"] if role == "customer" else world.people[role])
        return client

    return log_in
