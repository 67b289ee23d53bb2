"""An operator moves ten people of a real old database in and back, by clicks alone."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings

from accounts.models import User
from billing.invariants import check_all
from config.foundation.clock import now
from gateway.demo_old_gateway import key_digest
from migrations_center.models import Plan, WaveMember
from tests.browser.conftest import STAFF_PASSWORD, UPSTREAM_NAME
from tests.browser.look import CJK, LOOKS, Look, Visitor
from tests.browser.stack import Stack
from tests.gateway.servers import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SAMPLE = settings.BASE_DIR / "tests" / "fixtures" / "old_gateways"
TOTALS = json.loads((SAMPLE / "one-api.totals.json").read_text(encoding="utf-8"))
TEN = ["alice", "bob", "chen", "dora", "emil", "fang", "ines", "jun", "mei", "olga"]
KEYS = {key["username"]: key["key"] for key in TOTALS["keys"] if key["name"] == "main"}
BALANCES = TOTALS["balances (user_id, username, group, status, quota, used_quota, request_count)"]
Visit = Callable[[Look], Visitor]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_ten_people_are_moved_in_and_back_by_clicks(portal: Stack, visit: Visit, look: Look) -> None:
    """The import wizard to tied-out totals, a plan, a batch of ten: ready, told, switched, back (R059 R069 R075 R087 in a
    browser). Every further look imports the same file again, which changes nothing, and plans the same people anew."""
    operator = visit(look).sign_in("operator", STAFF_PASSWORD)
    operator.whole().shows_focus()
    import_the_sample(operator, portal)
    plan = make_the_plan(operator, portal)
    wave = make_the_batch(operator, plan, name=f"Ten people {look}")

    operator.follow(f"a[href='{wave}ready/']", r"/ready/$").whole(axe=False).send(rf"{wave}$")
    operator.follow(f"a[href='{wave}notify/']", r"/notify/$").whole(axe=False)
    before = sum(portal.mail.recipients[f"{name}@example.test"] for name in TEN)
    operator.send(rf"{wave}$")
    until(lambda: sum(portal.mail.recipients[f"{name}@example.test"] for name in TEN) == before + 10, 60)
    assert called_the_old_gateway(portal, "bob")

    operator.follow(f"main a[href='{wave}switch/']", r"/switch/$").whole(axe=False)
    assert "10" in operator.page.inner_text("main form button[type=submit]")
    operator.send(rf"{wave}$")
    assert not called_the_old_gateway(portal, "bob")
    until(lambda: operator.open(wave).numbers(".stats .stat.lead dd")[0].startswith("1\n"), 30, 1)
    operator.whole()
    operator.open(f"{wave}notices/").whole(axe=False)

    operator.open(wave).follow(f"main a[href='{wave}go-back/']", r"/go-back/$").whole(axe=False).send(rf"{wave}$")
    operator.whole()
    assert called_the_old_gateway(portal, "bob")
    what_was_brought_is_spent_or_closed(wave)
    operator.open("/migrations/").whole()


def import_the_sample(operator: Visitor, portal: Stack) -> None:
    """The five steps of the wizard, a worker doing the work."""
    page = operator.page
    operator.open("/migrations/imports/new/").whole()
    page.set_input_files("input[name=file]", SAMPLE / "one-api.sqlite3")
    page.fill("input[name=old_entry]", f"{portal.old_gateway.url}/v1")
    page.click("main form[enctype] button.primary")
    page.wait_for_url(re.compile(r"/migrations/imports/[0-9a-f-]{36}/$"))
    page.wait_for_selector("button[name=act][value=apply]", timeout=120_000)
    operator.whole()
    page.select_option("select[name=upstream]", UPSTREAM_NAME)
    # The decision changed, so there is a new preview first, and only then something that can land.
    page.click("button[name=act][value=apply]")
    page.wait_for_selector(
        f"select[name=upstream] option[value='{UPSTREAM_NAME}'][selected]", state="attached", timeout=120_000
    )
    page.click("button[name=act][value=apply]")
    page.wait_for_selector("a[href$='/report.json']", timeout=180_000)
    operator.whole()
    the_totals_tie_out(operator)
    assert read_by_table(operator)["users"] == TOTALS["rows"]["users"]
    assert read_by_table(operator)["tokens"] == TOTALS["rows"]["tokens"]
    operator.follow("main a[href*='kind=left_out']", r"/rows/\?").whole(axe=False)
    page.go_back()


def the_totals_tie_out(operator: Visitor) -> None:
    """In units, by the sample's own totals: what was in the source is here or was left out (root's grant): no gap."""
    cells = [cell.replace(",", "") for cell in operator.numbers("main table >> nth=0 >> tbody tr:first-child td")]
    source, landed, left_out, refused, difference, dollars = cells
    everybody = sum(row[4] for row in BALANCES)
    root = next(row[4] for row in BALANCES if row[1] == "root")
    assert (int(source), int(landed), int(left_out), int(refused)) == (everybody, everybody - root, root, 0)
    assert difference == "0"
    assert round(float(dollars.lstrip("$")) * 500_000) == everybody - root
    assert operator.page.is_visible("main section >> nth=0 >> .badge.good")


def read_by_table(operator: Visitor) -> dict[str, int]:
    rows = operator.page.locator("main table >> nth=1 >> tbody tr")
    found = {}
    for n in range(rows.count()):
        name = rows.nth(n).locator("th code").inner_text()
        found[name] = int(rows.nth(n).locator("td").first.inner_text().replace(",", ""))
    return found


def make_the_plan(operator: Visitor, portal: Stack) -> str:
    """From the result page; a source that has its plan is led to it."""
    page = operator.page
    plan = Plan.objects.first()
    if plan is None:
        operator.follow("main a[href*='/plans/new/']", r"/plans/new/").whole()
        page.fill("input[name=name]", "One API moves")
        if not page.locator("select[name=old_entry] option:not([value=''])").count():
            page.fill("input[name=entry_url]", portal.old_gateway.url)
        else:
            page.select_option("select[name=old_entry]", index=1)
        operator.send(r"/plans/\d+/$")
        plan = Plan.objects.get()
    address = f"/migrations/plans/{plan.pk}/"
    operator.open(address).whole()
    assert "One API moves" in operator.heading()
    return address


def make_the_batch(operator: Visitor, plan: str, name: str) -> str:
    page = operator.page
    operator.follow(f"a[href='{plan}waves/new/']", r"/waves/new/$").whole(axe=False)
    page.fill("input[name=name]", name)
    page.fill("input[name=planned_at]", f"{now() + timedelta(days=4):%Y-%m-%dT%H:%M}")
    operator.send(r"/people/$").whole()
    page.fill("textarea[name=names]", ", ".join(TEN))
    operator.follow("main form[role=search] button[type=submit]", r"names=")
    assert operator.numbers("main tbody th") == TEN
    operator.follow("button[name=all]", r"/waves/\d+/$")
    address = page.url.removeprefix(operator.base)
    assert operator.numbers("main table tbody th a") == TEN
    assert operator.page.locator("#gates .badge.bad").count() == 0, operator.page.inner_text("#gates")
    operator.whole()
    if operator.look.is_chinese:
        assert CJK.search(page.inner_text("#gates h2")), "the page speaks Chinese"
    return address


def called_the_old_gateway(portal: Stack, name: str) -> bool:
    """One call with the person's old key: did the double of the old gateway get it, with that key?"""
    portal.settle_in()
    portal.old_gateway.reset()
    answer = portal.ask(KEYS[name])
    assert answer.status_code == 200, answer.text
    seen = [call["key"] for call in portal.old_gateway.calls()["calls"]]
    assert seen in ([], [key_digest(KEYS[name])])
    return bool(seen)


def what_was_brought_is_spent_or_closed(wave: str) -> None:
    """Opening = spent here + closed, to the unit, for each of the ten; the ledger is clean."""
    members = WaveMember.objects.filter(wave_id=int(wave.rstrip("/").rpartition("/")[2])).select_related("user")
    assert {member.user.username for member in members} == set(TEN)
    spenders = {member.user.username for member in members if member.spent_nano}
    assert spenders == {"bob"}
    assert all(member.opening_nano == member.spent_nano + member.closed_nano for member in members)
    assert User.objects.filter(wave_memberships__in=members, api_keys__route="new").count() == 0
    assert [finding.code for finding in check_all(None) if finding.breaches] == []
