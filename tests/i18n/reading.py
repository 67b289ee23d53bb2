"""What a person reads on a page: its words and labels, without code, icons and scripts."""

import re
from html.parser import HTMLParser

SILENT = {"script", "style", "code", "pre", "kbd", "samp", "template", "svg", "textarea", "time"}
EMPTY = {"input", "img", "br", "meta", "link", "hr", "source", "col", "wbr", "area", "base", "embed", "track"}
LABELS = ("title", "aria-label", "placeholder", "alt", "data-label")


class Reader(HTMLParser):
    """Collects every piece of text once, and the language the page says it is in."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.lang = ""
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.lang = given.get("lang", "")
        self._read_labels(tag, given)
        if tag in EMPTY:
            return
        # Names of other languages are written in that language; the admin's icons are words of a font.
        is_other = bool(given.get("lang")) and tag != "html"
        if self._silent or tag in SILENT or is_other or "material-symbols" in given.get("class", ""):
            self._silent.append(tag)

    def _read_labels(self, tag: str, given: dict[str, str]) -> None:
        if self._silent or tag == "time":
            return
        self._keep(*(given.get(name, "") for name in LABELS))
        if tag == "input" and given.get("type") in ("submit", "button"):
            self._keep(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._keep(data)

    def _keep(self, *texts: str) -> None:
        self.texts += [re.sub(r"\s+", " ", text).strip() for text in texts if text.strip()]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader
