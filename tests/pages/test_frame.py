"""The frame: what each role finds in the rail, and what the first view weighs."""

import gzip
import re
from collections.abc import Callable

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from accounts.models import Group, GroupMembership, User
from tests.pages.conftest import World

SignIn = Callable[[User], Client]
EVERYBODY = [
    "Home",
    "Calls",
    "Images and videos",
    "Usage",
    "Keys",
    "Billing",
    "Statements",
    "Models",
    "Model health",
    "Use profiles",
    "Set up",
    "Alerts",
    "Errors",
    "Portal API",
]


def rail(client: Client) -> list[str]:
    return [str(link["label"]) for section in client.get("/").context["rail"] for link in section["links"]]


def test_r018_the_rail_follows_the_role(world: World, as_person: SignIn) -> None:
    assert rail(as_person(world.alice)) == EVERYBODY
    team = Group.objects.create(code="robots", name="Robots")
    GroupMembership.objects.create(group=team, user=world.bob, team_role="owner")
    assert rail(as_person(world.bob)) == [*EVERYBODY, "Team", "Trial lists"]
    support, finance, ops = (rail(as_person(who)) for who in (world.support, world.finance, world.ops))
    assert "Find" in support
    assert not {"Ledger", "Top-ups", "Upstreams", "Audit"} & set(support)
    assert {"Ledger", "Prices", "Top-ups", "Issue statements", "Codes"} <= set(finance)
    assert not {"Upstreams", "Audit"} & set(finance)
    assert {"Imports", "Waves", "Upstreams", "Mail", "Admin"} <= set(ops)
    assert not {"Ledger", "Top-ups", "Audit"} & set(ops)
    assert "Audit" in rail(as_person(world.admin))


def test_every_link_of_the_rail_opens(world: World, as_person: SignIn) -> None:
    for person in (world.alice, world.support, world.finance, world.ops, world.admin):
        client = as_person(person)
        for section in client.get("/").context["rail"]:
            for link in section["links"]:
                assert client.get(link["url"]).status_code == 200, (person.username, link["url"])


def test_the_first_view_is_under_100_kb_compressed(world: World, as_person: SignIn) -> None:
    response = as_person(world.alice).get("/")
    page = response.content.decode()
    weight = len(gzip.compress(response.content))
    for name in re.findall(r'(?:src|href)="/static/([^"]+\.(?:css|js|svg))"', page):
        found = finders.find(name)
        assert found, name
        with open(found, "rb") as file:
            weight += len(gzip.compress(file.read()))
    assert 10_000 < weight < 100_000


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_theme_comes_from_the_cookie_and_nothing_else_does(world: World, as_person: SignIn, theme: str) -> None:
    client = as_person(world.alice)
    client.cookies["theme"] = theme
    assert f'data-theme="{theme}"' in client.get("/").content.decode()
    client.cookies["theme"] = '"><script>'
    assert "data-theme" not in client.get("/").content.decode().split("<body")[0]


def test_the_policy_allows_no_inline_code(world: World, as_person: SignIn) -> None:
    policy = as_person(world.alice).get("/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy


def test_home_costs_a_bounded_number_of_queries(
    world: World, as_person: SignIn, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    client = as_person(world.alice)
    client.get("/")
    with django_assert_max_num_queries(24):  # type: ignore[attr-defined]
        client.get("/")
