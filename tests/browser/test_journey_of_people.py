"""People of a real old database at their own pages, the support that helps them, and the administrator's lists."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Sum

from billing.models import LedgerEntry, RequestLog
from keys.models import ApiKey
from migrations_center.services.apply.context import ImportOptions
from migrations_center.services.import_engine import Place
from migrations_center.services.imports import import_now
from migrations_center.sources.address import parse_source
from tests.browser.conftest import STAFF_PASSWORD, UPSTREAM_CREDENTIAL, UPSTREAM_NAME
from tests.browser.look import CJK, LOOKS, Look, Visitor
from tests.browser.stack import Stack
from tests.gateway.servers import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SAMPLE = settings.BASE_DIR / "tests" / "fixtures" / "old_gateways"
TOTALS = json.loads((SAMPLE / "one-api.totals.json").read_text(encoding="utf-8"))
KEYS = {key["username"]: key["key"] for key in TOTALS["keys"] if key["name"] == "main"}
PASSWORDS = {person["username"]: person["password"] for person in TOTALS["people"]}
ADMIN_LISTS = [
    "accounts/user",
    "accounts/group",
    "keys/apikey",
    "models_catalog/aimodel",
    "models_catalog/namemapentry",
    "models_catalog/upstream",
    "billing/pricerule",
    "billing/requestlog",
]
Visit = Callable[[Look], Visitor]


@pytest.fixture(scope="module")
def lived_in(portal: Stack) -> dict[str, str]:
    """The One API sample imported and served here, Alice has called three times and been refused twice.

    Gives the request ids of a good call and of the two refused ones.
    """
    place = Place(parse_source(str(SAMPLE / "one-api.sqlite3")), None)
    report = import_now(place, ImportOptions(upstream=UPSTREAM_NAME), dry_run=False)
    assert report["totals"]["balances"]["ties_out"]
    portal.settle_in()
    for _ in range(2):
        assert portal.ask(KEYS["alice"]).status_code == 200
    good = portal.ask(KEYS["alice"], "[[usage 1000 500]]")
    unknown = portal.ask(KEYS["alice"], model="no-such-model")
    dear = portal.ask(KEYS["dora"], model="gpt-4", max_tokens=4_000_000)
    assert [answer.status_code for answer in (good, unknown, dear)] == [200, 404, 402]
    calls = {"good": good, "unknown": unknown, "dear": dear}
    ids = {name: answer.headers["x-request-id"] for name, answer in calls.items()}
    until(lambda: RequestLog.objects.filter(pk__in=ids.values()).count() == 3)
    return ids


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_person_of_the_sample_at_home(portal: Stack, visit: Visit, lived_in: dict[str, str], look: Look) -> None:
    """R019 R043: the old password opens the door; balance, chart, recent calls; a key issued, seen once, rotated, revoked."""
    alice = visit(look).sign_in("alice", PASSWORDS["alice"])
    alice.whole().shows_focus()
    the_home_page(alice)
    calls_and_usage(alice, lived_in["good"])
    key = a_key_is_issued_and_seen_once(alice)
    second = rotated_with_overlap(alice, key)
    revoked_for_good(alice, portal, key, second)
    alice.open("/set-up/").whole()
    assert f"{portal.relay.url}/v1" in alice.page.content()
    assert re.search(r"sk-[A-Za-z0-9]{16}", alice.page.content()) is None


def the_home_page(alice: Visitor) -> None:
    page = alice.page
    brought = next(row[4] for row in balances() if row[1] == "alice") * 2_000
    spent = LedgerEntry.objects.filter(kind="charge", from_account__user__username="alice").aggregate(nano=Sum("amount_nano"))
    assert 0 < spent["nano"] < 50_000_000, "a few small calls"
    shown = money_in(alice.numbers(".stat.lead dd a")[0].split("\n")[0])
    assert abs(shown - (brought - spent["nano"]) / 1e9) <= 0.005, "what she brought, less what her calls cost, in cents"
    page.wait_for_selector("figure.chart canvas")
    assert page.locator("main table tbody tr:has(a[href^='/calls/'])").count() >= 5
    if alice.look.is_chinese:
        assert CJK.search(page.inner_text("main .stat.lead dt"))
        assert CJK.search(page.inner_text("main h1"))
    # A chart has its table one click away.
    alice.open("/usage/").whole()
    assert page.locator("main table").count() >= 1


def balances() -> list[list[Any]]:
    return TOTALS["balances (user_id, username, group, status, quota, used_quota, request_count)"]  # type: ignore[no-any-return]


def money_in(text: str) -> float:
    return float(re.sub(r"[^0-9.-]", "", text))


def calls_and_usage(alice: Visitor, call: str) -> None:
    alice.open("/calls/?period=30").whole()
    alice.open(f"/calls/{call.replace('-', '')}/").whole()
    text = alice.page.inner_text("main")
    assert "1,000" in text
    assert "500" in text
    assert UPSTREAM_NAME not in alice.page.content()


def a_key_is_issued_and_seen_once(alice: Visitor) -> ApiKey:
    page = alice.page
    alice.open("/keys/").whole()
    alice.follow("main a[href='/keys/new/']", r"/keys/new/$").whole()
    name = f"my script {alice.look}"
    page.fill("input[name=name]", name)
    page.select_option("select[name=purpose]", "script")
    page.click("main form.form button[type=submit]")
    clear = page.inner_text(".copy-box.once code")
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", clear)
    alice.whole()
    page.reload()
    assert clear not in page.content(), "a reloaded page neither shows the secret again nor issues a second key"
    key = ApiKey.objects.get(name=name)
    alice.open(f"/keys/{key.pk}/").whole()
    assert clear not in page.content()
    assert f"sk-...{clear[-4:]}" in page.inner_text("main")
    return key


def rotated_with_overlap(alice: Visitor, key: ApiKey) -> str:
    page = alice.page
    alice.follow(f"main a[href='/keys/{key.pk}/rotate/']", r"/rotate/$").whole(axe=False)
    page.select_option("select[name=overlap_hours]", "24")
    page.click("main form.form button[type=submit]")
    clear = page.inner_text(".copy-box.once code")
    alice.open(f"/keys/{key.pk}/").whole()
    assert clear not in page.content()
    assert page.locator("main .timeline .badge.warn").count() == 1, "the old secret is in its overlap"
    return str(clear)


def revoked_for_good(alice: Visitor, portal: Stack, key: ApiKey, clear: str) -> None:
    portal.settle_in()
    assert portal.ask(clear).status_code == 200
    alice.follow(f"main a[href='/keys/{key.pk}/revoke/']", r"/revoke/$").whole(axe=False).send(rf"/keys/({key.pk}/)?$")
    alice.whole(axe=False)
    portal.settle_in()
    answer = portal.ask(clear)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_support_finds_a_call(visit: Visit, portal: Stack, lived_in: dict[str, str], look: Look) -> None:
    """R034: by request id, key tail, model and status; neither page holds a secret, an inner name or a whole address."""
    helper = visit(look).sign_in("helper", STAFF_PASSWORD)
    helper.whole()
    page = helper.page
    dear = lived_in["dear"].replace("-", "")
    good = lived_in["good"].replace("-", "")
    page.keyboard.press("/")
    page.keyboard.type(dear)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{helper.base}/find/{dear}/")
    helper.whole().shows_focus()
    holds_nothing_inner(helper, portal)
    if look.is_chinese:
        assert CJK.search(page.inner_text("main h2 >> nth=0"))
    assert "dora" in page.inner_text("main")
    assert "402" in page.inner_text("main")

    helper.open("/find/").whole()
    searches = {
        f"tail={KEYS['alice'][-4:]}&period=1": good,
        f"tail={KEYS['dora'][-4:]}&model=gpt-4&period=1": dear,
        "status=402&period=1": dear,
        "model=no-such-model&period=1": lived_in["unknown"].replace("-", ""),
    }
    for query, wanted in searches.items():
        helper.open(f"/find/?{query}")
        assert page.locator(f"main a[href='/find/{wanted}/']").count() == 1, query
        holds_nothing_inner(helper, portal)
    helper.whole()
    helper.open(f"/find/{good}/").whole()
    holds_nothing_inner(helper, portal)
    assert "1,000" in page.inner_text("main")


def holds_nothing_inner(helper: Visitor, portal: Stack) -> None:
    """The page's source, not only what is seen of it."""
    source = helper.page.content()
    inner = [UPSTREAM_NAME, UPSTREAM_CREDENTIAL, portal.upstream.url, portal.upstream.url.removeprefix("http://"), "127.0.0.1"]
    assert [word for word in [*inner, *KEYS.values()] if word in source] == []


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_administrator_opens_the_lists(visit: Visit, lived_in: dict[str, str], look: Look) -> None:
    """Users, groups, keys, models, name map, upstreams, prices and calls in Unfold: full, whole, and without a secret."""
    chief = visit(look).sign_in("chief", STAFF_PASSWORD)
    for place in ADMIN_LISTS:
        chief.open(f"/admin/{place}/")
        chief.page.wait_for_load_state("load")
        rows = chief.page.locator("#result_list tbody tr").count()
        assert rows >= 1, place
        fits(chief, place)
        source = chief.page.content()
        assert [word for word in (UPSTREAM_CREDENTIAL, *KEYS.values()) if word in source] == []
    chief.open("/admin/").page.wait_for_load_state("load")
    fits(chief, "index")


def fits(chief: Visitor, place: str) -> None:
    wide, window, lang = chief.page.evaluate(
        "[document.scrollingElement.scrollWidth, innerWidth, document.documentElement.lang]"
    )
    if wide > window:
        chief.complain(f"{place} scrolls sideways: {wide} px in {window}")
    if lang != chief.look.language:
        chief.complain(f"{place} is in {lang}")
