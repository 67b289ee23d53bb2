import pytest

from tests.admin.world import World, build


@pytest.fixture
def world(db: None) -> World:
    return build()
