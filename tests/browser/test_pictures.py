"""Every page of people, support and finance in a real browser: two widths, two themes, nothing refused by the policy.

With PICTURES=<folder> (``make pictures``) each page is also drawn there; the table below is the gallery.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from billing.models import PriceBook
from billing.pricing import RuleFigures
from billing.services.prices import publish_version
from billing.services.usage import fold_usage
from config.foundation.clock import now
from keys.services import issue_key, rotate_key
from tests.billing.stripe_double import StripeDouble
from tests.browser import desk, engines, papers, profiles, rollout, watch
from tests.browser.whole import CHECKS, CHROMIUM, LOOKS, Look, chromium, complaints_of, open_page  # noqa: F401
from tests.pages.conftest import World, build_world, one_call

# picture, who looks ("" for nobody signed in), address
PAGES = [
    ("sign-in", "", "/accounts/login/"),
    ("password-reset", "", "/accounts/password/reset/"),
    ("not-found", "", "/no-such-page/"),
    ("home", "alice", "/"),
    ("home-newcomer", "charlie", "/"),
    ("calls", "alice", "/calls/?period=30"),
    ("calls-none", "charlie", "/calls/"),
    ("call", "alice", "/calls/{call}/"),
    ("usage", "alice", "/usage/"),
    ("billing", "alice", "/billing/?calls=yes"),
    ("code-redeem", "alice", "/billing/redeem/"),
    ("failed-calls", "alice", "/billing/failed-calls/"),
    ("models", "alice", "/models/"),
    ("model-health", "alice", "/models/health/"),
    ("errors", "alice", "/errors/"),
    ("fallbacks", "fin", "/fallbacks/"),
    ("keys", "alice", "/keys/"),
    ("key-issue", "alice", "/keys/new/"),
    ("key", "alice", "/keys/{key}/"),
    ("key-change", "alice", "/keys/{key}/change/"),
    ("key-rotate", "alice", "/keys/{key}/rotate/"),
    ("key-revoke", "alice", "/keys/{key}/revoke/"),
    ("set-up", "alice", "/set-up/"),
    ("password", "alice", "/accounts/password/change/"),
    ("e-mail", "alice", "/accounts/email/"),
    ("second-factor", "alice", "/accounts/2fa/"),
    ("signed-in", "alice", "/accounts/sessions/"),
    ("home-support", "sue", "/"),
    ("find", "sue", "/find/"),
    ("find-person", "sue", "/find/?person=alice&period=30&as=person"),
    ("find-nothing", "sue", "/find/?q=nothing-we-know"),
    ("find-call", "sue", "/find/{failed}/"),
    ("not-allowed", "sue", "/finance/ledger/"),
    ("home-finance", "fin", "/"),
    ("ledger", "fin", "/finance/ledger/"),
    ("top-up", "fin", "/finance/top-up/"),
    ("code-batches", "fin", "/finance/codes/"),
    ("code-batch", "fin", "/finance/codes/{batch}/"),
    ("code-batch-new", "fin", "/finance/codes/new/"),
    ("code-batch-void", "fin", "/finance/codes/{batch}/void/"),
    ("code-batch-worth", "fin", "/finance/codes/{batch}/revalue/"),
    ("approvals", "fin", "/finance/approvals/"),
    ("approval", "fin", "/finance/approvals/{approval}/"),
    ("adjust", "fin", "/finance/adjust/"),
    *papers.PAGES,
    *desk.PAGES,
    ("override", "root", "/finance/override/"),
    ("prices", "fin", "/prices/"),
    ("price-import", "fin", "/prices/books/portal/import/"),
    ("price-compare", "fin", "/prices/compare/?a={first_prices}&b={second_prices}"),
    ("outcome-rules", "fin", "/prices/outcomes/"),
    *watch.PAGES,
    *rollout.PAGES,
    *engines.PAGES,
    *profiles.PAGES,
    ("payment-start", "alice", "/billing/top-up/"),
    ("payments", "fin", "/finance/payments/"),
    ("unmatched", "fin", "/finance/unmatched/"),
    ("unmatched-one", "fin", "/finance/unmatched/{incoming}/"),
    ("unmatched-new", "fin", "/finance/unmatched/new/"),
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def places(transactional_db: Any, clean_cache: Any, settings: Any) -> Iterator[dict[str, str]]:
    """A month of calls, keys of several kinds and a failed call; gives what the addresses of PAGES name."""
    world = build_world()
    _fill(world)
    failed = one_call(world.alice, world.key, outcome="no_balance", status=402, error_code="insufficient_quota")
    fold_usage()
    first, second = _prices()
    double = StripeDouble()
    yield {
        **papers.papers_of(world),
        "call": world.call_id.hex,
        "key": str(world.key.pk),
        "failed": failed.hex,
        "first_prices": first,
        "second_prices": second,
        **desk.desk_of(world),
        **watch.watch_of(world),
        **rollout.rollout_of(world),
        **desk.paid_and_disputed(world, double, settings),
        **engines.planes_of(world),
        **profiles.profiles_of(world),
    }
    double.stop()


def _prices() -> tuple[str, str]:
    """A dearer version with pictures and videos, to compare with the first."""
    book = PriceBook.objects.get(code="portal")
    first = book.versions.get()
    units = {"image:1024x1024:hd": 80_000_000, "image:1024x1024:*": 40_000_000, "video:720p": 100_000_000}
    rules = {
        "gpt-4o": RuleFigures(input_nano=2_750_000_000, cached_nano=1_375_000_000, output_nano=9_000_000_000),
        "image-and-video": RuleFigures(unit_prices=units, minimum_nano=1_000_000, rounding="up", rounding_step_nano=1000),
        "a-model-with-a-rather-long-name-as-vendors-like-to-give-them-2026-11-preview": RuleFigures(call_nano=7_000_000),
    }
    second = publish_version(actor=None, book=book, rules=rules, multipliers={("svip", ""): Decimal("0.8")})
    return str(first.pk), str(second.pk)


def _fill(world: World) -> None:
    rotate_key(actor=world.alice, key=world.key)
    issue_key(actor=world.alice, owner=world.alice, name="Cursor on the laptop", purpose="personal")
    long_name = "the rather long name that people really give to a key when nobody stops them from doing so"
    issue_key(actor=world.alice, owner=world.alice, name=long_name, expires_at=now() + timedelta(days=3))
    for day in range(1, 28):
        for n in range(1 + (day * 7) % 4):
            one_call(world.alice, world.key, at=now() - timedelta(days=day, hours=n))
    one_call(world.alice, world.key, at=now() - timedelta(hours=2), outcome="upstream_error", status=502)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_is_whole(places: dict[str, str], chromium: Any, live_server: Any, look: Look) -> None:  # noqa: F811
    assert complaints_of(PAGES, places, chromium, live_server.url, look) == {}


def test_keyboard_theme_menu_and_copying(places: dict[str, str], chromium: Any, live_server: Any) -> None:  # noqa: F811
    page, said = open_page(chromium, live_server.url, "sue", 1440, "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "top-search"
    page.click("[data-theme-switch]")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-theme") == "dark", "the server knows the choice at the next page"
    page.click("[popovertarget=account-menu]")
    assert page.is_visible("#account-menu")
    page.keyboard.press("Escape")
    assert not page.is_visible("#account-menu")
    page.goto(f"{live_server.url}/find/{places['failed']}/")
    page.click(".copy-box.tall [data-copy]")
    page.locator("#live:not(:empty)").wait_for(state="attached")
    assert page.inner_text("#live") in {"Copied", "Selected: copy it by hand"}
    page.context.close()
    page, more = open_page(chromium, live_server.url, "alice", 390, "light")
    assert not page.is_visible("#rail")
    page.click(".menu-button")
    assert page.is_visible("#rail")
    page.click("#rail a:has-text('Keys')")
    page.wait_for_url(f"{live_server.url}/keys/")
    page.context.close()
    assert said + more == []


def test_a_pasted_key_is_cut_before_it_leaves_the_browser(places: dict[str, str], chromium: Any, live_server: Any) -> None:  # noqa: F811
    page, said = open_page(chromium, live_server.url, "sue", 1440, "light")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    key = "sk-" + "Zz9" * 15 + "a1b2"
    page.fill("#top-search", key)
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    assert [address for address in asked if "Zz9" in address] == []
    assert any(address.endswith("tail=a1b2&period=30&as=tail") for address in asked), asked
    page.context.close()
    assert said == []


def test_a_key_is_issued_seen_once_and_revoked(places: dict[str, str], chromium: Any, live_server: Any) -> None:  # noqa: F811
    page, said = open_page(chromium, live_server.url, "alice", 390, "dark")
    page.goto(f"{live_server.url}/keys/new/")
    page.fill("input[name=name]", "phone")
    page.check("input[name=model_names][value='gpt-4o']")
    page.click("form.form button[type=submit]")
    clear = page.inner_text(".copy-box.once code")
    assert clear.startswith("sk-")
    assert len(clear) == 51
    page.click("text=I have stored it")
    assert clear not in page.content()
    assert f"sk-...{clear[-4:]}" in page.inner_text("main")
    page.click("a:has-text('Revoke')")
    page.click("button:has-text('for good')")
    page.wait_for_load_state("networkidle")
    assert "The key is revoked for good." in page.inner_text(".messages")
    page.context.close()
    assert said == []


def test_chinese_is_set_on_the_page_and_stays_with_the_person(places: dict[str, str], chromium: Any, live_server: Any) -> None:  # noqa: F811
    page, said = open_page(chromium, live_server.url, "alice", 1440, "light")
    page.click("button[name=language]")
    page.wait_for_load_state("networkidle")
    assert page.get_attribute("html", "lang") == "zh-hans"
    assert User.objects.get(username="alice").language == "zh-hans"
    assert page.evaluate(CHECKS) == []
    page.context.close()
    assert said == []


def test_the_checks_find_what_is_wrong(chromium: Any) -> None:  # noqa: F811
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.set_content(
        """<html><body><h1 style="color:#aaa;background:#fff">pale</h1><h1>second</h1><input name="bare"><button></button>
        <img src="data:,"><p id="x">a</p><p id="x" style="width:900px">wide</p><table><thead><tr><th>a</th></tr></thead></table>
        <progress></progress></body></html>"""
    )
    found = " | ".join(page.evaluate(CHECKS))
    for fault in ("no lang", "no title", "2 h1", "id x twice", "no name", "no alt", "no label", "no caption", "no scope"):
        assert fault in found, fault
    assert "contrast 2.3" in found
    assert "progress" in found
    assert "px wider" in found
