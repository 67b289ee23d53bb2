"""The admin in a real browser under the policy of production: nothing is refused, nothing fails, things can be clicked."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.world import PASSWORD, World, build

CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), "")
SHOTS = os.environ.get("SHOTS_DIR", "")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def world(transactional_db: Any) -> World:
    return build()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A page of 1440 px whose console errors, page errors and failed answers fail the test."""
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.on(
            "console",
            lambda said: complaints.append(f"{said.text} {said.location}") if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        yield page
        browser.close()
    assert complaints == []


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def log_in(page: Any, base: str, username: str) -> None:
    page.goto(f"{base}/admin/")
    page.fill("input[name=login]", username)
    page.fill("input[name=password]", PASSWORD)
    shot(page, "admin-login")
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{base}/admin/")


def test_operations_change_an_upstream_and_publish_the_name_map(world: World, live_server: Any, page: Any) -> None:
    base = live_server.url
    log_in(page, base, "ops-person")
    shot(page, "admin-index")
    page.click("nav >> text=Upstreams")
    page.wait_for_selector("text=...wxyz")
    shot(page, "admin-upstreams")
    page.click("text=upstream one")
    assert page.input_value("input[name=credential]") == ""
    assert page.input_value("textarea[name=served_models]") == "model-one"
    shot(page, "admin-upstream")
    page.mouse.wheel(0, 2000)
    page.wait_for_timeout(300)
    shot(page, "admin-upstream-below")
    page.fill("input[name=priority]", "9")
    page.fill("input[name=reason]", "evening load")
    page.click("button[name=_save]")
    page.wait_for_selector("text=was changed successfully")
    world.things["upstream"].refresh_from_db()
    assert world.things["upstream"].priority == 9
    page.goto(f"{base}/admin/models_catalog/namemapentry/")
    shot(page, "admin-name-map")
    page.click("text=Publish changes")
    page.fill("textarea[name=lines]", "withdrawn, retired")
    page.fill("input[name=reason]", "no longer served")
    shot(page, "admin-name-map-publish")
    page.click("button:has-text('Publish')")
    page.wait_for_selector("text=Version 2 is published.")


def test_lists_filters_and_actions_of_an_administrator(world: World, live_server: Any, page: Any) -> None:
    base = live_server.url
    log_in(page, base, "admin-person")
    page.goto(f"{base}/admin/accounts/user/?q=customer")
    shot(page, "admin-people")
    page.goto(f"{base}/admin/billing/requestlog/")
    shot(page, "admin-calls")
    page.goto(f"{base}/admin/billing/requestlog/{world.things['call'].pk}/change/")
    shot(page, "admin-call")
    page.goto(f"{base}/admin/accounts/auditevent/")
    shot(page, "admin-audit")
    page.goto(f"{base}/admin/keys/apikey/")
    page.check("input[name=_selected_action]")
    page.select_option("select[name=action]", "disable")
    shot(page, "admin-keys")
    page.click("button:has-text('Run')")
    page.wait_for_selector("text=1 done, 0 refused.")
    world.things["key"].refresh_from_db()
    assert world.things["key"].state == "disabled"


def test_the_page_of_the_api_is_drawn_under_its_policy(world: World, live_server: Any, page: Any) -> None:
    base = live_server.url
    log_in(page, base, "ops-person")
    page.goto(f"{base}/api/portal/docs/")
    page.click("#operations-tag-keys")
    page.wait_for_selector("text=/api/portal/keys/{id}/rotate/")
    page.fill(".operation-filter-input", "top-ups")
    page.click("#operations-tag-top-ups")
    page.click("text=/api/portal/top-ups/")
    page.wait_for_selector("text=Money that came in.")
    shot(page, "api-docs")


def test_finance_drafts_and_publishes_prices(world: World, live_server: Any, page: Any) -> None:
    base = live_server.url
    log_in(page, base, "finance-person")
    page.goto(f"{base}/admin/billing/pricebook/")
    page.check("input[name=_selected_action]")
    page.select_option("select[name=action]", "draft")
    page.click("button:has-text('Run')")
    page.wait_for_selector("textarea[name=rules_csv]")
    shot(page, "admin-price-draft")
    lines = page.input_value("textarea[name=rules_csv]")
    assert "model-one,token,2.5," in lines
    page.fill("textarea[name=rules_csv]", lines.replace("model-one,token,2.5,", "model-one,token,2,"))
    page.click("button[name=_save]")
    page.wait_for_selector("text=was changed successfully")
    page.check("tbody tr:first-child input[name=_selected_action]")
    page.select_option("select[name=action]", "publish")
    page.click("button:has-text('Run')")
    page.wait_for_selector("text=1 done, 0 refused.")
    shot(page, "admin-price-versions")
    world.things["book"].refresh_from_db()
    newest = world.things["book"].versions.first()
    assert (newest.number, newest.rules.get().input_nano) == (2, 2_000_000_000)
