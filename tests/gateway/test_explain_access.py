"""R015: the portal explains a call with the relay's own words: verdict, rule, record, as of when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Group, Role, User
from accounts.services.people import create_person, disable_person
from billing.models import Hold, LedgerEntry
from billing.pricing import RuleFigures
from billing.services.budgets import set_spend_limit
from billing.services.fences import set_group_fence, set_price_tiers
from config.foundation.clock import now
from config.foundation.errors import InvalidInput, NotAllowed, NotFound
from gateway import access
from gateway.access import Question, explain, keys_named
from keys.models import ApiKey
from keys.services import disable_key, enable_key, issue_key, pause_key, revoke_key, set_key_limits
from keys.services_limits import CallFigures, Subject, set_call_limit
from keys.services_policy import set_policy, set_team_money
from models_catalog import services as catalog
from tests.gateway.servers import until
from tests.gateway.world import USD, World, balance, held

MODEL = "demo-chat"


@dataclass
class Case:
    """A key with what is called with it, and what is expected: status, code, rule, kind of record."""

    name: str
    clear: str
    key: ApiKey
    expected: tuple[int, str, str, str]
    model: str = MODEL
    path: str = "/v1/chat/completions"
    more: dict[str, Any] = field(default_factory=dict)


def build_cases(world: World) -> list[Case]:
    """Twenty keys, each with one thing about it."""
    cases: list[Case] = []

    def case(name: str, status: int, code: str, rule: str, record: str, owner: User | None = None, **fields: Any) -> ApiKey:
        call = {part: fields.pop(part) for part in ("model", "path", "more") if part in fields}
        key, clear = world.key(owner, **fields)
        cases.append(Case(name, clear, key, (status, code, rule, record), **call))
        return key

    case("fine", 200, "", "model.open_to_group", "model")
    case("old name", 200, "", "model.open_to_group", "model", model="our-chat")
    case("for its network", 200, "", "model.open_to_group", "model", networks=["127.0.0.0/8"])
    disable_key(actor=None, key=case("disabled", 401, "api_key_disabled", "key.disabled", "key"))
    pause_key(actor=None, key=case("paused", 403, "key_paused", "key.paused", "key"), reason="spend")
    revoke_key(actor=None, key=case("revoked", 401, "invalid_api_key", "key.revoked", "key"))
    expired = case("expired", 401, "api_key_expired", "key.expired", "key")
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=now() - timedelta(minutes=1))
    ended = case("secret ended", 401, "api_key_expired", "secret.expired", "key")
    ended.secrets.update(valid_until=now() - timedelta(minutes=1))
    case("other network", 403, "network_not_allowed", "key.networks", "key", networks=["203.0.113.0/24"])
    off = world.person()
    case("owner off", 403, "account_disabled", "owner.disabled", "person", owner=off)
    disable_person(actor=None, person=off)
    case("model list", 403, "model_not_allowed_for_key", "key.models", "key", model_names=["demo-slow"])
    case("unknown", 404, "model_not_found", "model.unknown", "model", model="no-such-model")
    case("retired", 404, "model_not_found", "name_map.retired", "name", model="gone-chat")
    case("other group", 403, "model_not_available_for_group", "model.closed_to_group", "model", model="demo-for-others")
    case("no price", 403, "model_not_priced", "price.missing", "price", model="demo-no-price")
    fenced = Group.objects.create(code=f"{world.group.code}-fenced", name="Fenced")
    catalog.set_access(actor_name="t", model=world.models["demo-slow"], group_codes=[world.group.code, fenced.code])
    person = world.person("100", group=fenced)
    case("fence", 403, "model_tier_not_allowed", "fence.tier", "fence", owner=person, model="demo-slow")
    set_price_tiers(actor=None, starts={2: USD // 100})
    set_group_fence(actor=None, group=fenced, highest_tier=1)
    team = Group.objects.create(code=f"{world.group.code}-team", name="Team", kind=Group.Kind.TEAM)
    case("test money only", 403, "production_not_allowed", "policy.team_money", "policy", team=team)
    set_team_money(actor=None, team=team, money="test")
    poor = world.person("0.0000001")
    case("no money", 402, "insufficient_quota", "balance.short", "purse", owner=poor)
    capped = case("capped", 429, "key_daily_limit_reached", "limit.key.daily", "spend_limit")
    set_spend_limit(actor=None, key=capped, span="daily", limit_nano=1)
    case("wrong address", 400, "endpoint_not_supported", "upstream.protocol", "model", model="openai-only", path="/v1/messages")
    return cases


@pytest.fixture
def cases(world: World) -> list[Case]:
    for name in ("demo-for-others", "demo-no-price", "openai-only"):
        world.models[name] = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name=name))
        catalog.serve_model(actor_name="t", upstream=world.route, model=world.models[name])
    catalog.set_access(actor_name="t", model=world.models["demo-for-others"], group_codes=["others"])
    for name in ("demo-no-price", "openai-only"):
        catalog.set_access(actor_name="t", model=world.models[name], group_codes=[world.group.code])
    changes = [catalog.NameChange("our-chat", "alias", MODEL), catalog.NameChange("gone-chat", "retired")]
    catalog.publish_name_map(actor_name="t", changes=changes)
    unpriced = world.models.pop("demo-no-price")
    world.publish({"demo-slow": RuleFigures(input_nano=20 * USD, output_nano=80 * USD)})
    world.models["demo-no-price"] = unpriced
    found = build_cases(world)
    world.settle_in()
    return found


@pytest.fixture
def support() -> User:
    return create_person(actor=None, username="sue", role=Role.SUPPORT)


def call(world: World, case: Case) -> httpx.Response:
    body = {"model": case.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100, **case.more}
    headers = {"Authorization": f"Bearer {case.clear}"}
    return httpx.post(f"{world.relay.url}{case.path}", json=body, headers=headers, timeout=30)


def code_of(answer: httpx.Response) -> str:
    error = answer.json().get("error") or {}
    return str(error.get("code") or "")


def question(case: Case) -> Question:
    return Question(case.model, "127.0.0.1", path=case.path, max_tokens=100)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R015_twenty_cases_have_the_right_verdict_and_rule_and_the_relay_decides_the_same(
    world: World, cases: list[Case], support: User
) -> None:
    assert len(cases) == 20
    money = {case.name: balance(case.key.owner or case.key.team) for case in cases}  # type: ignore[arg-type]
    explained, relayed = {}, {}
    for case in cases:
        verdict = explain(support, case.key.pk, question(case))
        status, code = (verdict.denial.http_status, verdict.denial.code) if verdict.denial else (200, "")
        assert verdict.record is not None, case.name
        explained[case.name] = (status, code, verdict.ruling.rule, verdict.record.kind)
    # The question holds and charges nothing.
    assert not Hold.objects.filter(key_id__in=[case.key.pk for case in cases]).exists()
    assert money == {case.name: balance(case.key.owner or case.key.team) for case in cases}  # type: ignore[arg-type]
    assert explained == {case.name: case.expected for case in cases}
    for case in cases:
        answer = call(world, case)
        relayed[case.name] = (answer.status_code, code_of(answer) if answer.status_code != 200 else "")
    assert relayed == {case.name: case.expected[:2] for case in cases}


def _change_cases(world: World, cases: list[Case]) -> dict[str, tuple[Callable[[], object], str]]:
    """By case: what is changed, and the rule that decides afterwards."""
    by_name = {case.name: case for case in cases}
    keys = {name: ApiKey.objects.get(pk=case.key.pk) for name, case in by_name.items()}
    team = keys["test money only"].team
    assert team is not None
    return {
        "fine": (lambda: disable_key(actor=None, key=keys["fine"]), "key.disabled"),
        "disabled": (lambda: enable_key(actor=None, key=keys["disabled"]), "model.open_to_group"),
        "other network": (
            lambda: set_key_limits(
                actor=None, key=keys["other network"], model_names=None, networks=["127.0.0.1"], expires_at=None
            ),
            "model.open_to_group",
        ),
        "unknown": (
            lambda: catalog.publish_name_map(actor_name="t", changes=[catalog.NameChange("no-such-model", "alias", MODEL)]),
            "model.open_to_group",
        ),
        "no money": (lambda: world.top_up(keys["no money"].owner, USD), "model.open_to_group"),  # type: ignore[arg-type]
        "fence": (
            lambda: set_group_fence(actor=None, group=keys["fence"].owner.billing_group, highest_tier=None),  # type: ignore[union-attr, arg-type]
            "model.open_to_group",
        ),
        "test money only": (lambda: set_team_money(actor=None, team=team, money=None), "model.closed_to_group"),
    }


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R015_a_changed_record_changes_the_verdict_here_at_once_and_at_the_relay_within_five_seconds(
    world: World, cases: list[Case], support: User
) -> None:
    for name, (change, rule) in _change_cases(world, cases).items():
        case = next(one for one in cases if one.name == name)
        change()
        verdict = explain(support, case.key.pk, question(case))
        assert verdict.ruling.rule == rule, name
        status = verdict.denial.http_status if verdict.denial else 200
        until(lambda case=case, status=status: call(world, case).status_code == status, 5)


@pytest.mark.django_db
def test_R015_the_policy_for_teams_that_are_not_listed_and_limits_of_calls_are_rules_of_their_own(support: User) -> None:
    from tests.migrations_center.waves.town import Town

    town = Town().build("ann")
    team = Group.objects.create(code=town.group.code + "-t", name="T", kind=Group.Kind.TEAM)
    key, _clear = issue_key(actor=None, team=team, name="team key")
    set_policy(actor=None, issuers="everybody", team_money="test")
    verdict = explain(support, key.pk, Question("town-chat"))
    assert (verdict.ruling.rule, verdict.record and verdict.record.kind) == ("policy.other_teams", "policy")
    assert verdict.record is not None
    assert verdict.record.url == reverse("policy")
    # Nobody counts calls in this test, so a limit of calls lets the call through and the ledger is asked.
    own = town.keys["ann"]
    set_call_limit(actor=None, subject=Subject(key=own), figures=CallFigures(requests_per_minute=5))
    fine = explain(support, own.pk, Question("town-chat"))
    assert (fine.is_allowed, fine.looked_at_money, fine.ruling.rule) == (True, True, "model.open_to_group")
    assert fine.held_nano
    assert (held(town.people["ann"]), LedgerEntry.objects.filter(kind="charge").count()) == (0, 0)


@pytest.mark.django_db
def test_R015_who_may_ask_and_how_a_key_is_named(support: User, client: Client) -> None:
    from tests.migrations_center.waves.town import Town

    town = Town().build("ann", "ben")
    key = town.keys["ann"]
    ann = town.people["ann"]
    for refused in (ann, create_person(actor=None, username="fin", role=Role.FINANCE)):
        with pytest.raises(NotAllowed):
            explain(refused, key.pk, Question("town-chat"))
        client.force_login(refused, backend="allauth.account.auth_backends.AuthenticationBackend")
        assert client.get(reverse("access_explain")).status_code == 403
    assert keys_named(support, f"#{key.pk}") == [key]
    assert keys_named(support, "ANN key") == [key]
    assert set(keys_named(support, "sk-...xxxx")) == set(town.keys.values()), "both tails are xxxx"
    assert keys_named(support, "nothing like it") == []
    with pytest.raises(NotFound):
        explain(support, 10**12, Question("town-chat"))
    with pytest.raises(InvalidInput):
        explain(support, key.pk, Question("town-chat", path="/v1/telepathy"))


@pytest.mark.django_db
def test_R015_the_page_says_verdict_rule_record_and_time_and_never_takes_a_whole_key(support: User, client: Client) -> None:
    from tests.migrations_center.waves.town import Town

    town = Town().build("ann", "ben")
    key = town.keys["ann"]
    client.force_login(support, backend="allauth.account.auth_backends.AuthenticationBackend")
    address = reverse("access_explain")
    asked = {"key": f"#{key.pk}", "model": "town-chat", "address": "", "at": "", "path": "", "max_tokens": ""}
    page = client.get(address, asked)
    assert page.context["verdict"].is_allowed
    assert "model.open_to_group" in page.content.decode()
    disable_key(actor=town.ops, key=key, reason="asked for")
    page = client.get(address, asked)
    words = page.content.decode()
    assert page.context["verdict"].record.changed_by == town.ops.username
    for part in ("key.disabled", "401", "api_key_disabled", reverse("key_detail", args=[key.pk]), town.ops.username):
        assert part in words
    # A time before the change: decided by today's records, and told that they have changed since.
    before = client.get(address, asked | {"at": "2020-01-01T10:00"})
    assert "key.disable" in [event.action for event in before.context["changed_since"]]
    assert "key.disable" in before.content.decode()
    assert "This is decided by the records of now, not by those of" in before.content.decode()
    assert before.context["verdict"].has_rule_changed
    # Another rule decides, whose record did not change; the key did all the same.
    unknown = client.get(address, asked | {"at": "2020-01-01T10:00", "model": "town-nothing"})
    assert "records of now, not" in unknown.content.decode()
    assert "records of now" not in words
    # Two keys with one tail: a choice, and the links lead on.
    several = client.get(address, asked | {"key": "xxxx"})
    assert {one.pk for one in several.context["matches"]} == {one.pk for one in town.keys.values()}
    assert f"key=%23{key.pk}" in several.content.decode()
    assert "No key has this" in client.get(address, asked | {"key": "none such"}).content.decode()
    wrong = client.get(address, asked | {"address": "not an address", "path": "/v1/telepathy"})
    assert set(wrong.context["form"].errors) == {"address", "path"}
    secret = "sk-" + "aB3" * 16
    turned = client.get(address, asked | {"key": secret})
    assert (turned.status_code, turned["Location"]) == (302, address)


@pytest.mark.django_db
def test_R015_programs_ask_the_same(support: User) -> None:
    from tests.migrations_center.waves.town import Town

    town = Town().build("ann")
    api = APIClient()
    api.force_authenticate(support)
    told = api.post("/api/portal/access/explain/", {"key_id": town.keys["ann"].pk, "model": "town-nothing"}, format="json")
    assert told.status_code == 200
    found = told.json()
    assert (found["verdict"], found["rule"], found["http_status"]) == ("deny", "model.unknown", 404)
    assert (found["record"]["kind"], found["record"]["name"], found["held"]) == ("model", "town-nothing", None)
    assert (found["is_past"], found["may_have_differed"], found["changed_since"]) == (False, False, [])
    asked = {"key_id": town.keys["ann"].pk, "model": "town-chat"}
    disable_key(actor=town.ops, key=town.keys["ann"], reason="asked for")
    past = api.post("/api/portal/access/explain/", {**asked, "at": "2020-01-01T10:00:00Z"}, format="json").json()
    assert (past["verdict"], past["is_past"], past["has_rule_changed"], past["may_have_differed"]) == ("deny", True, True, True)
    assert {"action": "key.disable", "by": town.ops.username}.items() <= past["changed_since"][0].items()
    assert api.post("/api/portal/access/explain/", {"key_id": 10**12, "model": "x"}, format="json").status_code == 404
    assert api.post("/api/portal/access/explain/", {"key_id": 1}, format="json").status_code == 400
    assert access.RIGHT == "keys.view"
