"""Every page as every role: Chinese pages hold no English words, English pages no Chinese ones."""

import re
import zoneinfo
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.translation import trans_real

from accounts.models import Role, User
from tests.i18n.reading import Reader, read
from tests.i18n.world import Places, build

CJK = re.compile(r"[\u3400-\u9fff\uff01-\uff60]")
WORD = re.compile(r"[A-Za-z]{3,}")
APPS = ("accounts", "billing", "gateway", "keys", "migrations_center", "models_catalog")
STAFF = (Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE)
# No pages to read: answers for programs, and what needs a provider outside.
NO_PAGES = ("api/", "healthz", "readyz", "accounts/oidc/", "accounts/social/", "admin/jsi18n/", "admin/r/")
# The same in both languages: products, formats, standards, names of columns and settings of other programs.
SAME = """
API APIs URL URLs HTTP HTTPS HTML CSV XLSX JSON SQLite UTF UTC TOTP USD PIN OpenAI Anthropic Claude Code Codex CLI SDK Python
Node Cursor Cherry Studio LobeChat Chatbox Bearer Base Key Keys Override Add Verify model Settings Models Cookie New One Token
tokens English curl toml config LiteLLM mcp
"""
LANGUAGE_NAMES = {"English", "中文", "简体中文"}
# Technical texts: addresses, ids, masked keys, lines of the audit trail, tables and columns of the old product.
TECHNICAL = re.compile(
    r"https?://\S+|\w+://\S+|\S+@\S+|[0-9a-f-]{16,}|(sk-)?\.\.\.\S+|^\w+: .*|\b\w+\.\w+(\.\w+)*\b|/v1\S*|\w+_\w+"
)
OLD_TABLES = {"abilities", "channels", "groups", "logs", "options", "redemptions", "tokens", "users"}


@pytest.fixture
def places(db: Any, clean_cache: Any, fresh_catalogue: None) -> Places:
    return build()


def addresses(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    """Every address without arguments."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and not re.search(r"[<(^?]", route) and not route.startswith(NO_PAGES):
            yield f"/{route}"


def looks(places: Places, language: str, roles: Collection[str]) -> Iterator[tuple[str, Reader, bool]]:
    """Who looked where, what was read, and whether it was a whole page, for everything that is text for people."""
    everywhere = list(addresses())
    assert len(everywhere) > 80
    for role in roles:
        person = places.readers.get(role)
        browser = Client(headers={"accept-language": language})
        for address in [*everywhere, *(places.details if role in STAFF or role == "owner" else ())]:
            if address.startswith("/admin/") and role not in STAFF:
                continue
            if address in places.admin_details and role != Role.ADMIN:
                continue
            answer = _visit(browser, person, address)
            if answer["Content-Type"].startswith("text/html") and not answer.streaming:
                text = answer.content.decode()
                yield f"{role} {address}", read(text), "<html" in text


def _visit(browser: Client, person: User | None, address: str) -> HttpResponse:
    # A page before this one may have ended the session.
    if person is not None and "_auth_user_id" not in browser.session:
        browser.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer: Any = browser.get(address, follow=True)
    assert answer.status_code < 500, address
    return answer


def stored_texts() -> set[str]:
    """Every text somebody typed, imported or recorded: it is shown as it is in every language."""
    found: set[str] = set()
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            names = [field.name for field in model._meta.fields if isinstance(field, models.CharField | models.TextField)]
            for row in model._default_manager.values_list(*names) if names else ():
                for value in filter(None, row):
                    found |= {re.sub(r"\s+", " ", line).strip() for line in (value, *value.splitlines())}
    return found


def translated() -> set[str]:
    """Every English text that has another, Chinese one, of ours and of the installed packages."""
    known = trans_real.translation("zh-hans")._catalog  # type: ignore[attr-defined]
    found = set()
    for key, value in known.items():
        single = (key[0] if isinstance(key, tuple) else key).rpartition("\x04")[2]
        if isinstance(value, str) and value != single and CJK.search(value):
            found.add(re.sub(r"\s+", " ", single).strip())
    return found - {""}


class Leaks:
    """Tells a text that stayed English from names, ids and other data."""

    def __init__(self) -> None:
        self.stored = stored_texts()
        self.stored |= {text[:1].upper() + text[1:] for text in self.stored}
        self.translated = translated()
        short = (text for text in self.stored if len(text.split()) <= 4)
        self.words = {word.lower() for text in short for word in WORD.findall(text)} | {
            word.lower() for word in (*SAME.split(), *OLD_TABLES)
        }
        self.zones = {word.replace("_", " ") for word in zoneinfo.available_timezones()}

    def __contains__(self, text: str) -> bool:
        if text in self.stored or text in LANGUAGE_NAMES or text in self.zones:
            return False
        if text in self.translated:
            return True
        if CJK.search(text):
            return False
        rest = TECHNICAL.sub(" ", text)
        return any(word.lower() not in self.words for word in WORD.findall(rest))


def test_chinese_pages_are_chinese(places: Places) -> None:
    leaks, found, count = Leaks(), {}, 0
    assert {text for text in ("Sign out", "Words that nobody marked", "nightly job") if text in leaks} == {
        "Sign out",
        "Words that nobody marked",
    }
    for where, page, is_whole in looks(places, "zh-hans", ("anonymous", *places.readers)):
        count += 1
        assert page.lang == ("zh-hans" if is_whole else ""), where
        for text in page.texts:
            if text not in found and text in leaks:
                found[text] = where
    assert count > 500
    assert found == {}


def test_english_pages_are_english(places: Places) -> None:
    User.objects.update(language="en")
    places.reload()
    stored, found = stored_texts() | LANGUAGE_NAMES, {}
    for where, page, is_whole in looks(places, "en", ("anonymous", Role.ADMIN, "owner")):
        assert page.lang == ("en" if is_whole else ""), where
        found |= {text: where for text in page.texts if CJK.search(text) and text not in stored}
    assert found == {}
