"""Pages of creative tasks and templates in a real browser, in both widths, themes and languages."""

from typing import Any

import pytest

from tests.browser.studio import PAGES, studio_of
from tests.browser.whole import CHROMIUM, LOOKS, Look, chromium, complaints_of  # noqa: F401
from tests.pages.conftest import build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def places(transactional_db: Any, clean_cache: Any) -> dict[str, str]:
    return studio_of(build_world())


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_of_tasks_is_whole(places: dict[str, str], chromium: Any, live_server: Any, look: Look) -> None:  # noqa: F811
    assert complaints_of(PAGES, places, chromium, live_server.url, look) == {}
