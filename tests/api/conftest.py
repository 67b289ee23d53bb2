from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from tests.admin.world import World, build
from tests.api.papers import add_papers


@pytest.fixture
def world(db: None) -> World:
    built = build()
    add_papers(built)
    return built


@pytest.fixture
def caller(world: World) -> Callable[[str], APIClient]:
    """A client logged in as the person of a role, or as the customer whose things the world holds."""

    def log_in(role: str) -> APIClient:
        client = APIClient()
        client.force_login(world.things["customer"] if role == "customer" else world.people[role])
        return client

    return log_in
