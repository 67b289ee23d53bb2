"""The pictures of the README, drawn from the sample database after a move. Only with PICTURES set (``make pictures``)."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts.models import User
from billing.models import RequestLog
from billing.services import ledger
from config.foundation.clock import now
from config.foundation.ids import uuid7
from gateway.services import remember_old_entry
from keys.models import ApiKey
from keys.services import issue_key
from migrations_center.models import ImportRun, Source
from migrations_center.services import notices, plans, switching, waves
from tests.browser.conftest import STAFF_PASSWORD, UPSTREAM_NAME
from tests.browser.look import Look, Visitor
from tests.browser.stack import Stack
from tests.browser.test_journey_of_operations import KEYS, SAMPLE, TEN
from tests.gateway.servers import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOLDER = Path(settings.BASE_DIR) / "docs" / "pictures"
MOST_BYTES = 300_000
MODELS = {"gpt-4o": 9, "claude-3-5-sonnet-20241022": 7, "gpt-4o-mini": 4, "deepseek-chat": 3, "gemini-1.5-pro": 3, "o3-mini": 2}
DOLLAR = 10**9


def test_readme(portal: Stack, chrome: Any, tmp_path: Path) -> None:
    """Seven pictures: home, phone, Chinese, keys, the import's result, a wave, and a call at the support's desk."""
    operator = arrive(chrome, portal, Look(1280, "en"), "operator", STAFF_PASSWORD)
    run = imported_by_wizard(operator)
    wave = ten_people_switched(portal)
    refused = a_month_of_calls(portal)
    operator.open(f"/migrations/imports/{run}/")
    draw(operator, "import-result", 1000)
    draw(operator.open(f"/migrations/waves/{wave}/"), "wave", 1000)
    helper = arrive(chrome, portal, Look(1280, "en"), "helper", STAFF_PASSWORD)
    draw(helper.open(f"/find/{refused}/"), "support-call", 900)
    alice = arrive(chrome, portal, Look(1280, "en"), "alice", "alice-Pw-9631")
    draw(alice.open("/"), "home", 900)
    draw(alice.open("/keys/"), "keys", 760)
    phone = arrive(chrome, portal, Look(390, "en"), "alice", "alice-Pw-9631", theme="dark")
    draw(phone.open("/"), "home-phone", 844)
    chinese = arrive(chrome, portal, Look(1280, "zh-hans"), "alice", "alice-Pw-9631")
    draw(chinese.open("/"), "home-chinese", 900)


def arrive(chrome: Any, portal: Stack, look: Look, name: str, password: str, theme: str = "light") -> Visitor:
    return Visitor.arrive(chrome, portal.url, look, theme).sign_in(name, password)


def draw(visitor: Visitor, name: str, height: int) -> None:
    """The top of the page as it is seen without scrolling, once its chart is there."""
    page = visitor.page
    page.set_viewport_size({"width": visitor.look.width, "height": height})
    page.wait_for_load_state("networkidle")
    if page.locator("figure.chart").count():
        page.wait_for_selector("figure.chart canvas")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size < MOST_BYTES
    assert visitor.complaints == []


def imported_by_wizard(operator: Visitor) -> str:
    page = operator.page
    operator.open("/migrations/imports/new/")
    page.set_input_files("input[name=file]", SAMPLE / "one-api.sqlite3")
    page.click("main form[enctype] button.primary")
    page.wait_for_selector("select[name=upstream]", timeout=120_000)
    page.select_option("select[name=upstream]", UPSTREAM_NAME)
    page.click("button[name=act][value=preview]")
    page.wait_for_selector(
        f"select[name=upstream] option[value='{UPSTREAM_NAME}'][selected]", state="attached", timeout=120_000
    )
    page.click("button[name=act][value=apply]")
    page.wait_for_selector("a[href$='/report.json']", timeout=180_000)
    return str(ImportRun.objects.get().pk)


def ten_people_switched(portal: Stack) -> int:
    """A wave of ten in its observation, with a few calls since."""
    operator = User.objects.get(username="operator")
    entry = remember_old_entry(actor=operator, name="Old gateway", base_url=portal.old_gateway.url)
    plan = plans.create_plan(actor=operator, source=Source.objects.get(), name="One API moves", old_entry=entry).plan
    wave = waves.create_wave(actor=operator, plan=plan, name="First ten", planned_at=now() + timedelta(days=4))
    ids = list(User.objects.filter(username__in=TEN).values_list("pk", flat=True))
    waves.add_members(actor=operator, wave=wave, user_ids=ids)
    waves.mark_ready(actor=operator, wave=wave, reason="rehearsed on Friday")
    notices.notify(actor=operator, wave=wave)
    until(lambda: sum(portal.mail.recipients.values()) >= len(TEN), 60)
    switching.switch(actor=operator, wave=wave, reason="all green")
    until(lambda: sum(portal.mail.recipients.values()) >= 2 * len(TEN), 60)
    portal.settle_in()
    for name in TEN[:6]:
        for _ in range(1 + len(name) % 3):
            assert portal.ask(KEYS[name], "[[usage 900 120]]").status_code == 200
    return int(wave.pk)


def a_month_of_calls(portal: Stack) -> str:
    """Alice's last sixty days here, keys of several kinds, and a call of hers that was refused: its id."""
    alice = User.objects.get(username="alice")
    key = ApiKey.objects.filter(owner=alice, name="main").get()
    issue_key(actor=alice, owner=alice, name="Cursor on the laptop", purpose="personal")
    issue_key(actor=alice, owner=alice, name="nightly report", purpose="production", expires_at=now() + timedelta(days=40))
    chance = random.Random(7)
    for day in range(59, -1, -1):
        for model in chance.choices(list(MODELS), list(MODELS.values()), k=2 + (day * 5) % 7):
            record(alice, key, model, now() - timedelta(days=day, minutes=chance.randrange(5, 60)), chance)
    refused = portal.ask(KEYS["alice"], model="gpt-4", max_tokens=8_000_000)
    assert refused.status_code == 402
    served = portal.ask(KEYS["alice"], "[[usage 1204 88]]", model="our-chat", max_tokens=100)
    assert served.status_code == 200
    until(lambda: RequestLog.objects.filter(pk=served.headers["x-request-id"]).exists())
    # The worker folds the figures of the chart every few seconds.
    until(lambda: not usage_waits(), 30, 0.5)
    return refused.headers["x-request-id"].replace("-", "")


def usage_waits() -> bool:
    from billing.models import UsageDelta

    return UsageDelta.objects.exists()


def record(person: User, key: ApiKey, model: str, at: Any, chance: random.Random) -> None:
    """One call of the past: held and settled as the relay does it."""
    call = uuid7(int(at.timestamp() * 1000))
    cost = chance.randrange(2, 40) * DOLLAR // 100
    held = ledger.ReserveRequest(call, person.pk, None, key.pk, cost, now() + timedelta(minutes=5), {})
    assert ledger.reserve([held])[0].status == "held"
    log = {
        "user_id": person.pk,
        "key_id": key.pk,
        "key_name": key.name,
        "key_tail": key.secrets.all()[0].tail,
        "group_code": "one-api/default",
        "endpoint": "/v1/chat/completions",
        "asked_model": model,
        "billed_model": model,
        "served_model": model,
        "outcome": "ok",
        "http_status": 200,
        "duration_ms": chance.randrange(600, 4_000),
        "input_tokens": chance.randrange(800, 24_000),
        "output_tokens": chance.randrange(40, 1_500),
        "usage_source": "upstream",
    }
    assert ledger.record_calls([ledger.CallEvent(call, cost, True, "", log)])[0].status == "recorded"
