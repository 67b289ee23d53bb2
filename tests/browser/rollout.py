"""What the pages of moving step by step need beside the world of ``test_pictures``, and those pages."""

from tests.pages.conftest import World

# picture, who looks, address
PAGES = [
    ("access-explain", "sue", "/access/explain/"),
    ("access-allowed", "sue", "/access/explain/?key=%23{key}&model=gpt-4o"),
    ("access-refused", "sue", "/access/explain/?key=%23{key}&model=no-such-model&at=2026-01-01T10:00"),
]


def rollout_of(world: World) -> dict[str, str]:
    """What the addresses of PAGES name."""
    return {}
