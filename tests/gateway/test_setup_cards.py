"""Set-up cards (R005): every client, both languages, never a key; what the SDK card says works as it stands."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.utils import translation

from gateway.selectors import models_open_to
from gateway.setup_cards import Card, cards
from tests.gateway.world import World

# Client: the address as that client wants it. Those without /v1 add it themselves.
SHAPES = {
    "cursor": "{origin}/v1",
    "cherry-studio": "{origin}",
    "lobechat": "{origin}/v1",
    "chatbox": "{origin}",
    "claude-code": "{origin}",
    "codex-cli": "{origin}/v1",
    "python": "{origin}/v1",
    "env": "{origin}/v1",
}
ORIGIN = "https://gateway.example.org"


def text_of(card: Card) -> str:
    return "\n".join([card.name, card.snippet, card.note, *card.steps, *(f"{label}: {value}" for label, value in card.fields)])


def base_of(card: Card) -> str:
    """The base URL on a card, from its fields or its snippet."""
    found = [value for _label, value in card.fields if value.startswith("http")]
    found += re.findall(r'(?:BASE_URL|base_url)\s*=\s*"([^"]+)"', card.snippet)
    return found[0]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("client", SHAPES)
def test_R005_each_card_has_its_clients_address_and_a_masked_key(client: str, language: str):
    with translation.override(language):
        found = {card.slug: card for card in cards(origin=ORIGIN, tail="a1b2", model="gpt-4o", served=frozenset())}
    card = found[client]
    assert base_of(card) == SHAPES[client].format(origin=ORIGIN)
    text = text_of(card)
    assert not re.search(r"sk-[A-Za-z0-9]{16}", text)
    if card.fields:
        assert "sk-...a1b2" in text
    else:
        assert "PORTAL_API_KEY" in text
    if client != "env":
        assert "gpt-4o" in text
    assert card.steps


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R005_the_page_offers_only_models_of_the_key_and_the_sdk_snippet_runs_as_it_stands(
    world: World, client: Any, settings: Any
):
    settings.PUBLIC_URL = world.relay.url
    person = world.person("1")
    key, clear = world.key(person, model_names=["demo-chat"])
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    for language in ("en", "zh-hans"):
        page = client.get("/set-up/", {"key": key.pk, "model": "demo-embedding"}, headers={"Accept-Language": language})
        text = page.content.decode()
        assert page.context["models"] == models_open_to(person, key.pk) == ["demo-chat"]
        assert page.context["model"] == "demo-chat", "a model the key may not call is not put on a card"
        assert not re.search(r"sk-[A-Za-z0-9]{16}", text)
        assert clear not in text
    (snippet,) = [card.snippet for card in page.context["cards"] if card.slug == "python"]
    ended = subprocess.run(
        [sys.executable, "-c", snippet],
        env={**os.environ, "PORTAL_API_KEY": clear},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    assert "demo upstream" in ended.stdout
