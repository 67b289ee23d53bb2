"""A person's own pages: what is there, what a stranger gets, and what is never in them."""

import csv
import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing.models import LedgerEntry, PriceBook, RequestLog
from billing.pricing import RuleFigures
from billing.services import prices
from config.foundation.clock import now
from keys.models import ApiKey, KeySecret
from keys.services import issue_key, rotate_key
from models_catalog.models import AIModel, ModelAccess
from tests.pages.conftest import DOLLAR, World, one_call

SignIn = Callable[[User], Client]
OWN_PAGES = ["home", "call_list", "usage", "key_list", "key_issue", "billing", "code_redeem", "model_list", "setup_guide"]
WHOLE_KEY = re.compile(r"sk-[A-Za-z0-9]{16}")


def text_of(response: object) -> str:
    if getattr(response, "streaming", False):
        return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return response.content.decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("stem", OWN_PAGES)
def test_each_own_page_works_for_somebody_with_calls_and_for_a_newcomer(world: World, as_person: SignIn, stem: str) -> None:
    for person in (world.alice, world.charlie, world.support):
        response = as_person(person).get(reverse(stem))
        assert response.status_code == 200
        page = text_of(response)
        assert page.count("<h1") == 1
        assert not re.search(r"<script(?![^>]*(src=|application/json))", page), "an inline script"
        assert " style=" not in page, "an inline style"


def test_home_shows_the_balance_today_and_the_latest_call(world: World, as_person: SignIn) -> None:
    page = text_of(as_person(world.alice).get("/"))
    cost = RequestLog.objects.get(id=world.call_id).cost_nano
    assert cost == 1204 * 2500 + 88 * 10000
    assert "$10.00" in page  # 9.99611 to two places
    assert f"/calls/{world.call_id.hex}/" in page
    assert "lasts more than a year" in page
    assert "nightly job" in page


def test_a_call_page_shows_the_three_names_and_the_arithmetic(world: World, as_person: SignIn) -> None:
    page = text_of(as_person(world.alice).get(reverse("call_detail", args=[world.call_id.hex])))
    for said in ("our-chat", "gpt-4o", "gpt-4o-2024-11-20", "$0.00389", "1204", "2.5 per 1M", "0.00301", "0.00088", "settled"):
        assert said in page, said


def test_r018_alice_bob_charlie_and_a_bad_id(world: World, as_person: SignIn) -> None:
    call = reverse("call_detail", args=[world.call_id.hex])
    key = reverse("key_detail", args=[world.key.pk])
    for address in (call, key):
        assert as_person(world.alice).get(address).status_code == 200
        assert as_person(world.bob).get(address).status_code == 404
        assert as_person(world.charlie).get(address).status_code == 404
        assert Client().get(address).status_code == 302
    for wrong in ("/calls/not-an-id/", f"/calls/{'0' * 32}/", "/keys/999999999/", "/keys/99999999999999999999999/"):
        assert as_person(world.alice).get(wrong).status_code == 404, wrong
    # Staff are led to the search to read other people's calls, and see a key without its owner's buttons.
    assert as_person(world.support).get(call)["Location"] == f"/find/{world.call_id.hex}/"
    page = text_of(as_person(world.support).get(key))
    assert reverse("key_rotate", args=[world.key.pk]) not in page


@pytest.mark.parametrize("verb", ["change", "rotate", "disable", "revoke", "enable"])
def test_nobody_else_changes_a_key_by_its_address(world: World, as_person: SignIn, verb: str) -> None:
    address = reverse(f"key_{verb}", args=[world.key.pk])
    for stranger in (world.bob, world.charlie):
        assert as_person(stranger).post(address, {"reason": "mine now"}).status_code == 404
    assert as_person(world.support).post(address, {"reason": "mine now"}).status_code in {302, 403}
    key = ApiKey.objects.get(pk=world.key.pk)
    assert (key.state, key.name, key.secrets.count()) == ("active", "nightly job", 1)


def test_r019_the_secret_is_shown_once_and_a_reload_issues_no_second_key(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    form = browser.get(reverse("key_issue"))
    sent = {
        "name": "laptop",
        "purpose": "personal",
        "limit": "2.50",
        "networks": "",
        "once": form.context["form"]["once"].value(),
    }
    first = browser.post(reverse("key_issue"), sent)
    shown = WHOLE_KEY.search(text_of(first))
    assert shown is not None
    assert "no-store" in first["Cache-Control"]
    key = ApiKey.objects.get(name="laptop")
    assert key.spend_limits.get().limit_nano == 5 * DOLLAR // 2
    again = browser.post(reverse("key_issue"), sent, follow=True)
    assert not WHOLE_KEY.search(text_of(again))
    assert ApiKey.objects.filter(name="laptop").count() == 1
    for stem in ("key_detail", "key_change", "key_rotate"):
        page = text_of(browser.get(reverse(stem, args=[key.pk])))
        assert not WHOLE_KEY.search(page)
        assert stem != "key_detail" or f"sk-...{key.secrets.get().tail}" in page


def test_r019_rotating_on_the_page_keeps_the_old_secret_for_the_overlap(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    address = reverse("key_rotate", args=[world.key.pk])
    once = browser.get(address).context["form"]["once"].value()
    shown = text_of(browser.post(address, {"overlap_hours": "24", "once": once}))
    assert WHOLE_KEY.search(shown)
    assert f"sk-...{world.clear[-4:]}" in shown
    old = KeySecret.objects.get(key=world.key, tail=world.clear[-4:])
    assert old.valid_until is not None
    assert timedelta(hours=23) < old.valid_until - now() <= timedelta(hours=24)
    browser.post(address, {"overlap_hours": "24", "once": once})
    assert world.key.secrets.count() == 2


def test_a_pasted_key_is_refused_and_not_repeated(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    pasted = "sk-" + "Zz9" * 16
    response = browser.post(reverse("key_issue"), {"name": pasted, "purpose": "test", "once": "0" * 32})
    assert response.status_code == 200
    assert not ApiKey.objects.filter(name=pasted).exists()
    assert "looks like a whole API key" in text_of(response)


def test_revoking_lists_the_consequences_and_needs_a_post(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    address = reverse("key_revoke", args=[world.key.pk])
    page = text_of(browser.get(address))
    assert "1 valid secret ends" in page
    assert ApiKey.objects.get(pk=world.key.pk).state == "active"
    done = browser.post(address, {"reason": "lost laptop"}, follow=True)
    assert "revoked for good" in text_of(done)
    key = ApiKey.objects.get(pk=world.key.pk)
    assert (key.state, key.state_reason) == ("revoked", "lost laptop")


def test_changing_a_key_keeps_what_was_not_touched(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    address = reverse("key_change", args=[world.key.pk])
    form = browser.get(address).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields if name != "model_names"}
    browser.post(address, {**sent, "name": "weekly job", "networks": "203.0.113.0/24\n198.51.100.7"})
    key = ApiKey.objects.get(pk=world.key.pk)
    assert key.name == "weekly job"
    assert key.networks == ["203.0.113.0/24", "198.51.100.7/32"]
    assert key.model_names is None
    assert key.expires_at is None
    refused = browser.post(address, {**sent, "networks": "nowhere"})
    assert "is not a network" in text_of(refused)


def test_the_calls_filter_by_the_address_and_export_what_is_filtered(world: World, as_person: SignIn) -> None:
    failed = one_call(world.alice, world.key, outcome="no_balance", status=402, error_code="insufficient_quota")
    evil = one_call(world.alice, world.key, outcome="unknown_model", status=404, asked_model="=cmd|' /C calc'!A0")
    browser = as_person(world.alice)
    page = text_of(browser.get("/calls/?outcome=no_balance"))
    assert failed.hex in page
    assert world.call_id.hex not in page
    assert "Result: balance short" in page
    response = browser.get("/calls/?outcome=failed&export=csv")
    assert response["Content-Disposition"] == 'attachment; filename="calls.csv"'
    rows = list(csv.DictReader(io.StringIO(text_of(response).removeprefix("\ufeff"))))
    assert [row["request_id"] for row in rows] == [evil.hex, failed.hex]
    assert rows[0]["asked_model"] == "'=cmd|' /C calc'!A0"
    assert rows[1]["cost_usd"] == "0.000000000"


def test_calls_go_on_by_position(world: World, as_person: SignIn) -> None:
    made = [
        one_call(world.alice, world.key, at=now() - timedelta(minutes=n), outcome="timeout", status=504) for n in range(2, 62)
    ]
    browser = as_person(world.alice)
    first = text_of(browser.get("/calls/?outcome=timeout"))
    older = re.search(r'href="(\?[^"]*before=[^"]*)"', first)
    assert older is not None
    second = text_of(browser.get("/calls/" + older[1].replace("&amp;", "&")))
    on_first = [x.hex for x in made if f"/calls/{x.hex}/" in first]
    on_second = [x.hex for x in made if f"/calls/{x.hex}/" in second]
    assert on_first + on_second == [x.hex for x in made]
    assert (len(on_first), len(on_second)) == (50, 10)


def test_staff_see_only_their_own_calls_on_their_own_page(world: World, as_person: SignIn) -> None:
    assert world.call_id.hex not in text_of(as_person(world.support).get("/calls/?period=400"))


def test_billing_explains_each_entry_with_the_balance_after_it(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    page = text_of(browser.get("/billing/"))
    assert "$9.99611" in page
    assert "invoice 7" in page
    assert world.call_id.hex not in page
    with_calls = text_of(browser.get("/billing/?calls=yes"))
    assert world.call_id.hex in with_calls
    assert "-$0.00389" in with_calls
    export = text_of(browser.get("/billing/?calls=yes&export=csv"))
    assert "-0.003890000,9.996110000" in export
    assert "$10.00" not in text_of(as_person(world.charlie).get("/billing/?calls=yes"))


def test_models_show_the_price_of_a_million_tokens(world: World, as_person: SignIn) -> None:
    page = text_of(as_person(world.alice).get("/models/"))
    assert "$2.50" in page
    assert "$10.00" in page
    assert "no price yet" in page  # our-chat is open but not priced


def test_models_that_are_paid_by_image_or_second_show_those_prices_and_no_price_of_tokens(
    world: World, as_person: SignIn
) -> None:
    sold = {
        "painter": RuleFigures(unit_prices={"image:*:*": 40_000_000, "image:*:high": 160_000_000}),
        "narrator": RuleFigures(character_nano=15 * DOLLAR),
        "thinker": RuleFigures(input_nano=3 * DOLLAR, cache_write_nano=4 * DOLLAR, output_nano=9 * DOLLAR),
    }
    for name in sold:
        ModelAccess.objects.create(model=AIModel.objects.create(name=name), group_code="*")
    book = PriceBook.objects.get(code="portal")
    prices.publish_version(actor=world.admin, book=book, rules=sold, multipliers={}, note="")
    page = as_person(world.alice).get("/models/")
    rows = {line["row"].model.name: line["row"] for line in page.context["lines"]}
    assert rows["painter"].others == {"image:*:*": 40_000_000, "image:*:high": 160_000_000}
    assert rows["narrator"].others == {"characters": 15 * DOLLAR}
    assert rows["thinker"].others == {"cache_write": 4 * DOLLAR}
    assert [name for name, row in rows.items() if row.basis and not row.counts_tokens] == ["narrator", "painter"]
    assert "an image high" in text_of(page)
    assert "$0.00" not in text_of(page)
    told = {row["model_name"]: row for row in as_person(world.alice).get("/api/portal/prices/").json()["results"]}
    assert told["painter"]["others"] == {"image:*:*": "0.040000000", "image:*:high": "0.160000000"}


def test_keys_are_found_by_a_part_of_the_name_or_by_the_tail(world: World, as_person: SignIn) -> None:
    browser = as_person(world.alice)
    assert "key-q" not in text_of(browser.get("/keys/"))
    made = [issue_key(actor=world.alice, owner=world.alice, name=f"robot {number}") for number in range(9)]
    issue_key(actor=world.bob, owner=world.bob, name="robot of bob")
    assert "key-q" in text_of(browser.get("/keys/"))

    def names(query: str) -> set[str]:
        return {row["key"].name for row in browser.get(f"/keys/?{query}").context["rows"]}

    assert names("q=ROBOT") == {f"robot {number}" for number in range(9)}
    assert names(f"q=sk-...{made[3][1][-4:]}") == {"robot 3"}
    assert names("q=robot+3&state=revoked") == set()
    assert "No key has this in its name" in text_of(browser.get("/keys/?q=nothing"))


def test_a_wrong_code_changes_nothing(world: World, as_person: SignIn) -> None:
    before = LedgerEntry.objects.count()
    page = text_of(as_person(world.alice).post("/billing/redeem/", {"code": "no-such-code"}))
    assert "not known, was used" in page
    assert LedgerEntry.objects.count() == before


def test_r005_set_up_cards_in_the_shape_each_client_wants_without_a_key(
    world: World, as_person: SignIn, settings: object
) -> None:
    settings.PUBLIC_URL = "https://ai.example.org"  # type: ignore[attr-defined]
    cards = as_person(world.alice).get("/set-up/").context["cards"]
    shape = {card.slug: dict(card.fields) for card in cards}
    assert shape["cursor"]["Base URL"] == "https://ai.example.org/v1"
    assert shape["cherry-studio"]["API host"] == "https://ai.example.org"
    assert shape["lobechat"]["API proxy address"] == "https://ai.example.org/v1"
    assert shape["chatbox"]["API path"] == "/v1/chat/completions"
    snippets = {card.slug: card.snippet for card in cards if card.snippet}
    assert set(snippets) == {"claude-code", "codex-cli", "env", "python", "node", "litellm", "curl"}
    assert 'ANTHROPIC_BASE_URL="https://ai.example.org"\n' in snippets["claude-code"]
    assert 'base_url="https://ai.example.org/v1"' in snippets["python"]
    compile(snippets["python"], "snippet", "exec")
    for language in ("en", "zh-hans"):
        User.objects.filter(pk=world.alice.pk).update(language=language)
        page = text_of(as_person(world.alice).get("/set-up/"))
        assert f"sk-...{world.clear[-4:]}" in page
        assert not WHOLE_KEY.search(page)
        assert world.clear not in page


@pytest.mark.slow
def test_r005_the_python_snippet_runs_as_it_is_shown(world: World, as_person: SignIn, settings: object) -> None:
    """Against the demo's upstream, with the key in the variable the card names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.PUBLIC_URL = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    cards = as_person(world.alice).get("/set-up/").context["cards"]
    snippet = next(card.snippet for card in cards if card.slug == "python")
    upstream = subprocess.Popen([sys.executable, "-m", "gateway.demo_upstream", "--port", str(port)])
    try:
        for _attempt in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        run = subprocess.run(
            [sys.executable, "-c", snippet],
            env={**os.environ, "PORTAL_API_KEY": world.clear},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        upstream.terminate()
        upstream.wait(10)
    assert run.returncode == 0, run.stderr[-500:]
    assert run.stdout.strip()


def test_the_cards_of_a_strangers_key_are_not_shown(world: World, as_person: SignIn) -> None:
    assert as_person(world.charlie).get(f"/set-up/?key={world.key.pk}").status_code == 404


def test_canaries_no_page_repeats_a_secret(world: World, as_person: SignIn) -> None:
    rotated = rotate_key(actor=world.alice, key=world.key)
    _other, clear = issue_key(actor=world.alice, owner=world.alice, name="second")
    addresses = [reverse(stem) for stem in OWN_PAGES] + [
        reverse("key_detail", args=[world.key.pk]),
        reverse("call_detail", args=[world.call_id.hex]),
        "/calls/?export=csv",
        "/billing/?calls=yes&export=csv",
        "/usage/?export=csv",
    ]
    for person in (world.alice, world.support, world.finance, world.ops, world.admin):
        for address in addresses:
            page = text_of(as_person(person).get(address))
            for secret in (world.clear, rotated, clear):
                assert secret.removeprefix("sk-") not in page, address
