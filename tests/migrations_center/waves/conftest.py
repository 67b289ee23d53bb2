from collections.abc import Callable

import pytest

from tests.migrations_center.waves.town import Town


@pytest.fixture
def town(db: None) -> Town:
    """Ann, Ben and Cid, imported, nothing planned."""
    return Town().build("ann", "ben", "cid")


@pytest.fixture
def empty_town(db: None) -> Callable[..., Town]:
    return lambda **fields: Town().build(**fields)
