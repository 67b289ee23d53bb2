"""Finance's day in a real browser: issue a month, correct it, explain a balance, find a call nobody was charged for."""

import re
from typing import Any

import pytest

from billing.models import CallRefund, DeskItem, LedgerEntry, RequestLog, Statement
from billing.services.reconcile import start_and_execute
from billing.statements.months import last_ended
from config.foundation.clock import now
from config.foundation.ids import uuid7, uuid7_time
from tests.billing.helpers import broken
from tests.billing.statement_world import booked_as
from tests.browser.whole import CHROMIUM, chromium, open_page  # noqa: F401
from tests.pages.conftest import World, build_world

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


def never_billed(world: World) -> RequestLog:
    """A call that was served and priced, and that no entry charges: as if a process had lost its end."""
    call = uuid7()
    return RequestLog.objects.create(
        id=call,
        started_at=uuid7_time(call),
        user=world.alice,
        asked_model="gpt-4o",
        billed_model="gpt-4o",
        outcome="ok",
        http_status=200,
        input_tokens=900,
        output_tokens=100,
        cost_nano=3_250_000,
    )


def shown(page: Any) -> str:
    return re.sub(r"\s+", " ", page.inner_text("main"))


def test_R032_R022_R037_finance_issues_corrects_explains_and_finds(clean_cache: Any, chromium: Any, live_server: Any) -> None:  # noqa: F811
    """R032: the issued month stays while it is corrected; R022: why the balance is this; what nobody paid is at the desk."""
    world = build_world()
    month_on = last_ended("UTC", now())
    booked_as(now().replace(year=month_on.year, month=month_on.month, day=15), 0)
    page, said = open_page(chromium, live_server.url, "fin", 1440, "light")

    # Issue a month: looked at first, then fixed.
    page.goto(f"{live_server.url}/finance/statements/preview/?month={month_on:%Y-%m}&who=alice")
    page.click(".page-actions form button, header form button, main form[action$='/issue/'] button")
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
    assert "refund" in shown(page).lower()

    # A call that was never billed: the comparison finds it, the desk has it, one click charges it.
    lost = never_billed(world)
    start_and_execute("quick")
    page.goto(f"{live_server.url}/finance/desk/?kind=unbilled&state=open")
    page.click("main table a")
    page.wait_for_url("**/finance/desk/*/")
    page.select_option("select[name=act]", "settle")
    page.fill("input[name=reason]", "served, and its end was lost")
    page.click("main form.form button[type=submit]")
    page.wait_for_load_state("load")
    item = DeskItem.objects.get(request_id=lost.pk)
    assert (item.state, item.settled_nano) == ("settled", 3_250_000)
    assert [line for line in said if "status of 40" not in line] == []
    assert {code for code in broken() if code not in ("usage_hourly", "usage_keys", "usage_members", "usage_cube")} == set()
