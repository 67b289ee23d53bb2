"""A gallery of pages in a real browser: both widths, themes and languages, nothing refused by the policy.

With PICTURES=<folder> (``make pictures``) each page is also drawn there.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from accounts.models import User
from tests.pages.conftest import PASSWORD

CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), "")
PICTURES = os.environ.get("PICTURES", "")
CHECKS = (Path(__file__).parent / "checks.js").read_text(encoding="utf-8")


class Look(NamedTuple):
    width: int
    theme: str
    language: str

    def __str__(self) -> str:
        return "-".join(map(str, self))


# Every width, theme and language, each with each of the others once.
LOOKS = (Look(1440, "light", "en"), Look(1440, "dark", "zh-hans"), Look(390, "light", "zh-hans"), Look(390, "dark", "en"))


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, base: str, who: str, width: int, theme: str, language: str = "en") -> tuple[Any, list[str]]:
    """A page of somebody signed in ("" for nobody) and the list its console errors go to."""
    locale = {"en": "en-US", "zh-hans": "zh-CN"}[language]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, locale=locale)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    if who:
        page.goto(f"{base}/accounts/login/")
        page.fill("input[name=login]", who)
        page.fill("input[name=password]", PASSWORD)
        page.click("form.form button[type=submit]")
        page.wait_for_url(f"{base}/")
    return page, said


def complaints_of(
    pages: Sequence[tuple[str, str, str]], places: Mapping[str, str], browser: Any, base: str, look: Look
) -> dict[str, list[str]]:
    """What is wrong with each page (picture, who looks, address): console errors, something wider than the window,
    things without name or label, texts with less contrast than 4.5:1, another language than asked for."""
    User.objects.update(language=look.language)
    complaints: dict[str, list[str]] = {}
    for who in dict.fromkeys(who for _name, who, _address in pages):
        page, said = open_page(browser, base, who, *look)
        for name, _who, address in [entry for entry in pages if entry[1] == who]:
            page.goto(base + address.format(**places))
            page.wait_for_load_state("load")
            # A page that is refused or missing says so in the console by itself.
            found = [line for line in said if "status of 404" not in line and "status of 403" not in line]
            found += page.evaluate(CHECKS)
            if (language := page.get_attribute("html", "lang")) != look.language:
                found.append(f"in {language}")
            if found:
                complaints[name] = found
            said.clear()
            if PICTURES:
                Path(PICTURES).mkdir(parents=True, exist_ok=True)
                page.screenshot(path=f"{PICTURES}/{name}-{look.width}-{look.theme}.png", full_page=True)
        page.context.close()
    return complaints
