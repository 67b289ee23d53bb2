"""Finance's day in a real browser: issue a month, correct it, explain a balance, compare two price books, find what was
never billed."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import AuditEvent
from billing.models import CallRefund, DeskItem, LedgerEntry, Statement
from billing.pricing import RuleFigures
from billing.services import prices
from billing.statements.months import last_ended
from config.foundation.clock import now
from tests.billing.helpers import broken
from tests.billing.reconcile.test_runs import unbilled
from tests.billing.statement_world import booked_as
from tests.browser.whole import CHROMIUM, chromium, open_page  # noqa: F401
from tests.pages.conftest import build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


# Quota of an old gateway in a dollar.
UNIT = Decimal(500_000)


def shown(page: Any) -> str:
    return re.sub(r"\s+", " ", page.inner_text("main"))


def test_R032_R022_finance_issues_corrects_and_explains(clean_cache: Any, chromium: Any, live_server: Any) -> None:  # noqa: F811
    """R032: the issued month stays while it is corrected; R022: why the balance is this."""
    world = build_world()
    month_on = last_ended("UTC", now())
    booked_as(now().replace(year=month_on.year, month=month_on.month, day=15), 0)
    page, said = open_page(chromium, live_server.url, "fin", 1440, "light")

    # Issue a month: looked at first, then fixed.
    page.goto(f"{live_server.url}/finance/statements/preview/?month={month_on:%Y-%m}&who=alice")
    page.click("button:has-text('Issue this statement')")
    page.wait_for_url("**/statements/*/")
    statement = Statement.objects.get(user=world.alice)
    issued = {file.pk: bytes(file.content) for file in statement.files.all()}
    assert len(issued) == 6
    assert "XLSX" in page.inner_text("body")

    # Correct it: a call of that month is given back, by two people.
    page.goto(f"{live_server.url}/find/{world.call_id.hex}/")
    page.click(f"a[href*='refunds/new/?call={world.call_id.hex}']")
    page.fill("input[name=reason]", "the answer was cut short")
    page.click("main form.form button.primary")
    assert "Would come back" in shown(page)
    page.click("main form.form button[name=confirm]")
    page.wait_for_url("**/approvals/*/")
    address = page.url
    assert not CallRefund.objects.exists()
    second, _said = open_page(chromium, live_server.url, "root", 390, "dark")
    second.goto(address)
    second.click("button[value=approve]")
    second.wait_for_load_state("load")
    charged = sum(LedgerEntry.objects.filter(kind="charge", transaction_id=world.call_id).values_list("amount_nano", flat=True))
    assert CallRefund.objects.get().amount_nano == charged > 0
    assert {file.pk: bytes(file.content) for file in statement.files.all()} == issued

    # Why is the balance this: the refund is one of the lines, and they add up.
    page.goto(f"{live_server.url}/billing/explained/?who=alice")
    assert "Money given back for a call" in shown(page)


def test_R023_finance_compares_two_price_books(clean_cache: Any, chromium: Any, live_server: Any) -> None:  # noqa: F811
    """R023: two books as money per 1M tokens and per item, whatever each calculates with."""
    world = build_world()
    old = prices.create_book(actor=world.admin, code="old-gateway", name="Old gateway", formula="new_api", quota_per_unit=UNIT)
    # A ratio of 1 is 2 dollars for 1M tokens; what is written costs four times what is read.
    rule = RuleFigures(
        source_figures={"model_ratio": "1", "completion_ratio": "4", "cache_ratio": "1", "create_cache_ratio": "1"}
    )
    picture = RuleFigures(basis="call", call_nano=40_000_000)
    prices.publish_version(actor=world.admin, book=old, rules={"gpt-4o": rule}, multipliers={}, note="as imported")
    ours = prices.create_book(actor=world.admin, code="next", name="Next year", formula="portal")
    figures = {"gpt-4o": RuleFigures(input_nano=3 * 10**9, output_nano=6 * 10**9), "picture": picture}
    prices.publish_version(actor=world.admin, book=ours, rules=figures, multipliers={}, note="next year")
    for width, theme in ((1440, "light"), (390, "dark")):
        page, said = open_page(chromium, live_server.url, "fin", width, theme)
        page.goto(f"{live_server.url}/prices/")
        page.click("a:has-text('Compare two versions')")
        page.select_option("select[name=a]", label=str(old.versions.get()))
        page.select_option("select[name=b]", label=str(ours.versions.get()))
        page.fill("input[name=input]", "1000000")
        page.fill("input[name=output]", "1000000")
        page.click("form.filters button[type=submit]")
        page.wait_for_url("**output=1000000**")
        told = shown(page)
        for amount in (
            "$2.00",
            "$3.00",
            "+50.0 %",
            "$8.00",
            "$6.00",
            "-25.0 %",
            "$10.00",
            "$9.00",
            "-10.0 %",
            "$0.04",
            "no price",
        ):
            assert amount in told, (amount, told)
        # Only what costs more or less is asked for, and the address keeps the question.
        page.fill("form.filters input[name=q]", "gpt")
        page.click("form.filters button[type=submit]")
        page.wait_for_url("**q=gpt**")
        assert page.locator("main code.name").all_inner_texts() == ["gpt-4o"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert said == []


@pytest.mark.usefixtures("clean_cache", "in_place")
def test_X7_finance_bills_what_never_was(chromium: Any, live_server: Any) -> None:  # noqa: F811
    """X7: a usage without a charge is found by the comparison, worked at the desk to its end, once, and explained."""
    world = build_world()
    call = unbilled(world.alice, 3_000_000)
    before = balance_of(world.alice)
    page, said = open_page(chromium, live_server.url, "fin", 1440, "light")
    page.goto(f"{live_server.url}/finance/reconcile/")
    page.click("button:has-text('Compare everything now')")
    page.wait_for_url("**/reconcile/runs/*/")
    assert "Every served call was charged or is at the desk" in shown(page)

    page.goto(f"{live_server.url}/finance/desk/")
    assert "1 unbilled" in shown(page)
    page.click(f"a:has-text('{call.hex}')")
    assert "$0.003" in shown(page)
    # What it was, in the search of staff; then back to the desk.
    page.click("a:has-text('The call')")
    page.wait_for_url("**/find/*/")
    assert "gpt-4o" in shown(page)
    page.go_back()
    page.wait_for_url("**/finance/desk/*/")
    page.select_option("select[name=act]", "settle")
    page.fill("input[name=reason]", "served, and found by reconciliation")
    page.click("button:has-text('Close this item')")
    page.wait_for_selector("text=was charged, once")
    told = page.inner_text("body")
    assert "served, and found by reconciliation" in told
    assert page.locator("button:has-text('Close this item')").count() == 0
    item = DeskItem.objects.get()
    assert (item.state, item.settled_nano, item.request_id) == ("settled", 3_000_000, call)
    assert balance_of(world.alice) == before - 3_000_000
    assert LedgerEntry.objects.filter(kind="desk").count() == 1
    assert AuditEvent.objects.filter(action="desk.settled", actor=world.finance).count() == 1

    # Compared again nothing waits, and the customer's balance says what was taken.
    page.goto(f"{live_server.url}/finance/reconcile/")
    page.click("button:has-text('Compare everything now')")
    page.wait_for_url("**/reconcile/runs/*/")
    page.goto(f"{live_server.url}/finance/desk/")
    assert "The desk is empty" in shown(page)
    page.goto(f"{live_server.url}/billing/explained/?who=alice")
    assert "0.003" in shown(page)
    assert said == []
    assert broken() == {}


def balance_of(person: Any) -> int:
    return sum(account.balance_nano for account in person.purses.all())


@pytest.fixture
def in_place() -> Iterator[None]:
    """Tasks run where they are started."""
    from config.celery import app

    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False
