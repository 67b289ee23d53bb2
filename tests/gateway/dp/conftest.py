"""A company that calls through a data plane of its own."""

import pytest

from tests.gateway.planes import Company, Plane, company


@pytest.fixture
def world(db: None) -> Company:
    return company()


@pytest.fixture
def plane(world: Company) -> Plane:
    return Plane.new()
