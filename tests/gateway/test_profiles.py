"""R049: use profiles at the entry: keys call only the profile's models, a change of the profile reaches calls and set-up
cards without a word to any client, and the places that hold a model's name shrink from 14 to 1."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Group, GroupMembership, User
from billing.models import RequestLog
from billing.pricing import RuleFigures
from gateway.planes.keys_feed import key_page
from gateway.selectors_profiles import places_of_names
from keys.models import ApiKey, UseProfile
from keys.services_limits import CallFigures
from keys.services_profiles import bind_key, change_profile, create_profile
from tests.gateway.servers import until
from tests.gateway.world import World, balance, charges, log_of

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def team_of(world: World) -> tuple[User, Group]:
    """A team with money, and its owner."""
    lead = world.person("1")
    team = Group.objects.create(code="writers", name="Writers", kind=Group.Kind.TEAM, usable_codes=[world.group.code])
    GroupMembership.objects.create(group=team, user=lead, team_role="owner")
    for model in world.models.values():
        model.access.create(group_code=team.code)
    world.top_up(team, 1_000_000_000)
    return lead, team


def profile_of(lead: User, team: Group | None, **given: Any) -> UseProfile:
    values = {"use": "coding", "name": "Our code", "alias": "coding", "default_model": "demo-chat", **given}
    return create_profile(actor=lead, team=team, **values)


def test_R049_a_key_bound_to_a_profile_calls_only_its_models(world: World, team_of: tuple[User, Group]):
    """R049: the profile's name and its models are served, everything else is refused before any cost."""
    lead, team = team_of
    world.publish({"demo-slow": RuleFigures(input_nano=2_000_000, output_nano=6_000_000)})
    profile = profile_of(lead, team, model_names=["demo-no-usage"])
    key, clear = world.key(team=team)
    bind_key(actor=lead, key=key, profile=profile)
    world.settle_in()
    answer = world.ask(clear, "[[usage 100 10]]", "coding")
    assert answer.status_code == 200
    row = log_of(answer.headers["x-request-id"])
    # R046: asked, billed and served are three names, and the price is the billed one's.
    assert (row.asked_model, row.billed_model, row.served_model, row.cost_nano) == ("coding", "demo-chat", "demo-chat", 130)
    assert world.ask(clear, "hi", "demo-no-usage").status_code == 200
    for other in ("demo-slow", "demo-embedding", "writing"):
        refused = world.ask(clear, "hi", other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed_for_key"), other
        assert charges(refused.headers["x-request-id"]) == []
    assert world.upstream.calls()["by_model"] == {"demo-chat": 1, "demo-no-usage": 1}
    listed = httpx.get(f"{world.relay.url}/v1/models", headers={"Authorization": f"Bearer {clear}"}).json()["data"]
    assert {one["id"] for one in listed} == {"coding", "demo-chat", "demo-no-usage"}
    # The name stands for nothing where no profile is followed.
    _, free = world.key(team=team)
    assert world.ask(free, "hi", "coding").json()["error"]["code"] == "model_not_found"
    # The lead writes another model: the next call of the unchanged client is answered by that one, at its price.
    change_profile(actor=lead, profile=profile, default_model="demo-slow", model_names=[])
    world.settle_in()
    answer = world.ask(clear, "[[usage 100 1]]", "coding")
    row = log_of(answer.headers["x-request-id"])
    assert (row.asked_model, row.billed_model, row.cost_nano) == ("coding", "demo-slow", 206)
    assert world.ask(clear, "hi", "demo-chat").json()["error"]["code"] == "model_not_allowed_for_key"


def test_R049_defaults_and_limits_of_a_profile_hold_for_every_key_that_follows_it(world: World, team_of: tuple[User, Group]):
    lead, team = team_of
    parameters = {"max_output": 77, "temperature": 0.5, "effort": "low", "size": "512x512"}
    profile = profile_of(
        lead, team, parameters=parameters, figures=CallFigures(requests_per_minute=3), model_names=["demo-image"]
    )
    clears = []
    for _ in range(2):
        key, clear = world.key(team=team)
        bind_key(actor=lead, key=key, profile=profile)
        clears.append(clear)
    world.settle_in()
    headers = {"Authorization": f"Bearer {clears[0]}"}
    asked = {"model": "coding", "messages": [{"role": "user", "content": "hi [[usage 100 10]]"}], "temperature": 1}
    answer = httpx.post(f"{world.relay.url}/v1/chat/completions", json=asked, headers=headers)
    row = log_of(answer.headers["x-request-id"])
    # The request's own word counts, the profile's fills the gaps, and the hold follows what was filled in.
    assert world.upstream.calls()["last_keys"] == ["max_tokens", "messages", "model", "reasoning_effort", "temperature"]
    assert row.held_nano < 1000
    asked = {"model": "demo-image", "prompt": "a house"}
    httpx.post(f"{world.relay.url}/v1/images/generations", json=asked, headers=headers)
    assert "size" in world.upstream.calls()["last_keys"]
    # Two keys share one limit: the third call passes, the fourth does not, whichever key makes it.
    got = [world.ask(clear, "hi", "coding") for clear in (clears[1], clears[0], clears[1])]
    assert 429 in [one.status_code for one in got]
    refused = next(one for one in got if one.status_code == 429).json()["error"]
    assert (refused["code"], refused["limit_of"]) == ("requests_per_minute_exceeded", "profile")


def test_R049_a_change_of_the_profile_is_on_its_five_cards(world: World, team_of: tuple[User, Group], client: Client):
    """R049: five cards in two languages, none of which holds a model's name where a client would; the change is on all."""
    lead, team = team_of
    client.force_login(lead, backend=BACKEND)
    for use in UseProfile.Use.values:
        profile = profile_of(lead, team, use=use, alias=f"our-{use}")
        shown = []
        for model, language in (("demo-chat", "en"), ("demo-embedding", "en"), ("demo-embedding", "zh-hans")):
            change_profile(actor=lead, profile=profile, default_model=model, model_names=[])
            User.objects.filter(pk=lead.pk).update(language=language)
            page = client.get(reverse("profile_detail", args=[profile.pk]))
            assert f'lang="{language}"'.lower() in page.content.decode().lower()
            cards = page.context["cards"]
            assert len(cards) == 5
            for card in cards:
                typed = card.snippet + "".join(value for _, value in card.fields)
                assert model not in typed
                assert f"our-{use}" in typed or card.slug == "env"
                assert card.answers == model
            # Once on each card, and once among the models of the profile.
            assert page.content.decode().count(f"<code>{model}</code>") == 6
            shown.append([card.snippet for card in cards])
        assert shown[0] == shown[1] == shown[2], "nothing that was typed into a client has to change"


def test_R049_the_places_that_hold_a_model_s_name_shrink_from_14_to_1(world: World, team_of: tuple[User, Group]):
    """R049: seven keys with a list each, each used by one program that names a model: 14 places. One profile: 1."""
    lead, team = team_of
    keys: list[tuple[ApiKey, str]] = [world.key(team=team, model_names=["demo-chat"]) for _ in range(7)]
    agents = ("openai/python", "openai/js", "claude-cli/2", "cursor/1", "codex_exec/1", "litellm/1", "curl/8")

    def call(model: str) -> None:
        for (_, clear), agent in zip(keys, agents, strict=True):
            answer = httpx.post(
                f"{world.relay.url}/v1/chat/completions",
                json={"model": model, "messages": [{"role": "user", "content": "[[usage 10 1]]"}], "max_tokens": 9},
                headers={"Authorization": f"Bearer {clear}", "User-Agent": agent},
            )
            assert answer.status_code == 200, answer.text
            log_of(answer.headers["x-request-id"])

    world.settle_in()
    profile = profile_of(lead, team)
    count: Callable[[], int] = lambda: len(places_of_names(lead, profile))  # noqa: E731
    call("demo-chat")
    until(lambda: count() == 14, 15)
    kinds = [place.kind for place in places_of_names(lead, profile)]
    assert (kinds.count("key"), kinds.count("client")) == (7, 7)
    for key, _ in keys:
        bind_key(actor=lead, key=key, profile=profile)
    # The lists are gone at once; a client's place goes with its first call by the profile's name.
    assert count() == 1 + 7
    world.settle_in()
    call("coding")
    (place,) = places_of_names(lead, profile)
    assert (place.kind, place.name) == ("profile", "Our code")
    rows = RequestLog.objects.filter(key__in=[key.pk for key, _ in keys])
    assert {row.billed_model for row in rows} == {"demo-chat"}
    assert balance(team) == 1_000_000_000 - sum(row.cost_nano for row in rows)


def test_R049_the_set_up_page_of_a_bound_key_names_the_profile(world: World, team_of: tuple[User, Group], client: Client):
    lead, team = team_of
    key, _ = world.key(team=team)
    bind_key(actor=lead, key=key, profile=profile_of(lead, team, use="image", default_model="demo-image"))
    client.force_login(lead, backend=BACKEND)
    page = client.get(reverse("setup_guide"), {"key": key.pk})
    assert (page.context["model"], page.context["models"]) == ("coding", ["coding", "demo-image"])
    python = next(card for card in page.context["cards"] if card.slug == "python")
    assert 'client.images.generate(model="coding"' in python.snippet
    assert python.answers == "demo-image"
    assert "Put the key into the variable PORTAL_API_KEY" in page.content.decode(), "the steps of each card are on the page"


def test_data_planes_hear_of_a_change_of_the_profile(world: World, team_of: tuple[User, Group]):
    """A copy of the keys elsewhere follows: when a key is bound, when the profile changes, when its limit does."""
    lead, team = team_of
    key, _ = world.key(team=team)
    profile = profile_of(lead, team)
    cursor = key_page("")["cursor"]

    def heard() -> dict[str, Any]:
        nonlocal cursor
        page = key_page(cursor)
        cursor = page["cursor"]
        return {row["key_id"]: row for row in page["rows"]}.get(key.pk, {})

    # While a transaction runs anywhere in the cluster, what came after it is told again.
    until(lambda: heard() == {})
    bind_key(actor=lead, key=key, profile=profile)
    assert heard()["models"] == ["demo-chat"]
    change_profile(actor=lead, profile=profile, default_model="demo-slow", model_names=["demo-chat"])
    assert heard()["models"] == ["demo-chat", "demo-slow"]
    change_profile(actor=lead, profile=profile, figures=CallFigures(requests_per_minute=7))
    assert heard()["rpm"] == 7
    until(lambda: heard() == {})
