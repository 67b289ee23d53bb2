"""A window of the browser: how wide, in which language, and what is looked at on every page."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKS = (HERE / "checks.js").read_text(encoding="utf-8")
AXE = (HERE / "vendor" / "axe" / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa"], resultTypes: ["violations"] });
  return found.violations.filter((x) => ["serious", "critical"].includes(x.impact))
    .map((x) => `${x.id} (${x.impact}): ${x.nodes.slice(0, 3).map((n) => n.html.slice(0, 140)).join(" | ")}`);
}"""
FOCUS = """() => {
  const x = document.activeElement, style = getComputedStyle(x);
  const shown = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return { tag: x.tagName, shown, html: x.outerHTML.slice(0, 120) };
}"""
CJK = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Look:
    width: int
    language: str

    def __str__(self) -> str:
        return f"{self.width}-{self.language}"

    @property
    def is_chinese(self) -> bool:
        return self.language == "zh-hans"


# Each width and each language, twice over: all four.
LOOKS = [Look(1440, "en"), Look(390, "en"), Look(1440, "zh-hans"), Look(390, "zh-hans")]


@dataclass
class Visitor:
    """A page and everything the browser complained about on it."""

    page: Any
    base: str
    look: Look
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def arrive(cls, browser: Any, base: str, look: Look, theme: str = "light") -> "Visitor":
        locale = "zh-CN" if look.is_chinese else "en-US"
        window = browser.new_context(viewport={"width": look.width, "height": 900}, locale=locale, color_scheme=theme)
        page = window.new_page()
        page.set_default_timeout(30_000)
        visitor = cls(page, base, look)
        page.on("console", visitor._heard)
        page.on("pageerror", lambda error: visitor.complain(f"script: {error}"))
        page.on("requestfailed", visitor._failed)
        page.on("response", lambda answer: visitor.complain(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        return visitor

    def complain(self, text: str) -> None:
        self.complaints.append(f"[{self.look}] {self.page.url.removeprefix(self.base)}: {text}")

    def _heard(self, line: Any) -> None:
        if line.type in ("error", "warning"):
            self.complain(f"console: {line.text}")

    def _failed(self, request: Any) -> None:
        # A poll that is under way when the page is left for another one is given up by the browser.
        if request.failure != "net::ERR_ABORTED":
            self.complain(f"not loaded: {request.url} {request.failure}")

    def leave(self) -> None:
        self.page.context.close()

    def open(self, path: str) -> "Visitor":
        self.page.goto(self.base + path)
        return self

    def sign_in(self, name: str, password: str) -> "Visitor":
        """Through the page for strangers, in the language of the browser; then the person's own is made this look's."""
        self.open("/accounts/login/")
        assert self.page.get_attribute("html", "lang") == self.look.language
        self.page.fill("input[name=login]", name)
        self.page.fill("input[name=password]", password)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url(f"{self.base}/")
        if self.page.get_attribute("html", "lang") != self.look.language:
            self.page.click(f"button[name=language][value={self.look.language}]")
            self.page.wait_for_selector(f"html[lang={self.look.language}]")
        return self

    def whole(self, *, axe: bool = True) -> "Visitor":
        """Names, labels, headings, contrast, language, nothing wider than the window; axe finds nothing serious."""
        self.page.wait_for_load_state("load")
        for line in self.page.evaluate(CHECKS):
            self.complain(line)
        wide, window = self.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        if wide > window:
            self.complain(f"scrolls sideways: {wide} px in {window}")
        if self.page.get_attribute("html", "lang") != self.look.language:
            self.complain("not in the language that was chosen")
        if axe:
            self.page.evaluate(AXE)
            for line in self.page.evaluate(RUN_AXE):
                self.complain(f"axe: {line}")
        return self

    def shows_focus(self, steps: int = 8) -> "Visitor":
        """Going through the page with Tab, one always sees where one is."""
        for _ in range(steps):
            self.page.keyboard.press("Tab")
            here = self.page.evaluate(FOCUS)
            if here["tag"] != "BODY" and not here["shown"]:
                self.complain(f"focus cannot be seen: {here['html']}")
        return self

    def heading(self) -> str:
        return str(self.page.inner_text("main h1")).strip()

    def follow(self, selector: str, address: str) -> "Visitor":
        """Click and wait until the address matches the pattern."""
        self.page.click(selector)
        self.page.wait_for_url(re.compile(address))
        return self

    def send(self, address: str) -> "Visitor":
        """Press the one button that sends the page's form, wait for the address it leads to."""
        return self.follow("main form.form button[type=submit]", address)

    def numbers(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def data(self, element_id: str) -> Any:
        return json.loads(self.page.inner_text(f"#{element_id}") or self.page.text_content(f"#{element_id}"))
