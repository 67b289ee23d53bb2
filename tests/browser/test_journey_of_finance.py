"""Finance's day in a real browser: issue a month, correct it, explain a balance."""

import re
from typing import Any

import pytest

from billing.models import CallRefund, LedgerEntry, Statement
from billing.statements.months import last_ended
from config.foundation.clock import now
from tests.billing.statement_world import booked_as
from tests.browser.whole import CHROMIUM, chromium, open_page  # noqa: F401
from tests.pages.conftest import build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


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
