"""R031 and R011: dear models behind fences, and which money a team may spend, decided by the contract and by the relay."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Group, Role
from accounts.services.people import create_person
from billing.models import GroupFence
from billing.pricing import RuleFigures
from billing.pricing.table import Price
from billing.pricing.tiers import reference_nano, tier_of_price
from billing.selectors import fences as selectors
from billing.selectors.limit_lines import key_lines
from billing.services import prices
from billing.services.budgets import set_spend_limit
from billing.services.fences import set_group_fence, set_model_tier, set_price_tiers
from config.foundation.errors import InvalidInput, NotAllowed
from gateway.contract.resolve import resolve
from gateway.contract.types import Ask
from gateway.selectors import explain_access, models_open_to
from keys.services import issue_key
from keys.services_policy import set_policy, set_team_money
from tests.gateway.servers import until
from tests.gateway.test_contract import KEY, NOW, snapshot
from tests.gateway.world import World, balance, held, hold_of, log_of

USD = 1_000_000_000


def price(rule: RuleFigures, formula: str = "portal", **fields: object) -> Price:
    return Price(1, "b", formula, Decimal(500_000), "m", rule, Decimal(3), **fields)


@pytest.mark.parametrize(
    ("rule", "formula", "nano"),
    [
        # $2 and $8 per 1M tokens: 1,000 of each cost $0.01, whatever the multiplier.
        (RuleFigures(input_nano=2 * USD, output_nano=8 * USD), "portal", USD // 100),
        (RuleFigures(basis="call", call_nano=USD // 20), "portal", USD // 20),
        (RuleFigures(item_nano=USD // 25), "portal", USD // 25),
        (RuleFigures(unit_prices={"image:a": 7, "image:b": 9}), "portal", 9),
        # A ratio of 15 is $0.03 per 1,000 tokens at an old gateway with 500,000 units a dollar; output counts double.
        (RuleFigures(source_figures={"model_ratio": "15", "completion_ratio": "2"}), "one_api", 9 * USD // 100),
        (RuleFigures(basis="expression", source_figures={"expression": "no sense ("}), "portal", None),
    ],
)
def test_R031_the_price_of_a_reference_call(rule: RuleFigures, formula: str, nano: int | None):
    assert reference_nano(price(rule, formula)) == nano


def test_R031_a_price_belongs_to_the_highest_tier_it_reaches():
    tiers = [(2, 5), (3, 30)]
    assert [tier_of_price(nano, tiers) for nano in (0, 4, 5, 29, 30, 10**12)] == [1, 1, 2, 2, 3, 3]
    assert tier_of_price(None, tiers) == 9
    assert tier_of_price(10**12, []) == 1


@pytest.mark.parametrize(
    ("purpose", "money", "other_teams", "code"),
    [
        ("production", None, "any", None),
        ("production", None, "test", "production_not_allowed"),
        ("production", "production", "test", None),
        ("script", "test", "any", "production_not_allowed"),
        ("test", "test", "any", None),
        ("test", "production", "any", "test_key_not_allowed"),
        ("test", None, "production", "test_key_not_allowed"),
    ],
)
def test_R011_R016_what_a_team_may_spend_decides_before_anything_else(purpose, money, other_teams, code):
    rules = replace(snapshot().rules, team_money={1: money} if money else {}, other_teams=other_teams)
    of_team = replace(KEY, owner_id=None, owner_state=None, owner_group_id=None, team_id=1, purpose=purpose)
    decision = resolve(replace(snapshot(), rules=rules), of_team, Ask("chat"), NOW)
    assert (decision.denial.code if decision.denial else None) == code
    if code:
        assert decision.denial.http_status == 403
    # The same rules do not touch somebody's own key.
    assert resolve(replace(snapshot(), rules=rules), replace(KEY, purpose=purpose), Ask("chat"), NOW).is_allowed


@pytest.fixture
def fenced(world: World) -> World:
    """Group `test` may call up to tier 2; demo-slow is of tier 3 by its price, demo-chat of tier 1."""
    world.test = Group.objects.create(code="test", name="Test")  # type: ignore[attr-defined]
    from models_catalog import services as catalog

    for name in ("demo-chat", "demo-slow", "demo-no-usage"):
        catalog.set_access(actor_name="test", model=world.models[name], group_codes=[world.group.code, "test"])
    dear = RuleFigures(input_nano=20 * USD, output_nano=80 * USD)
    world.publish({"demo-slow": dear, "demo-no-usage": dear})
    set_price_tiers(actor=None, starts={2: USD // 100, 3: USD // 20})
    set_group_fence(actor=None, group=world.test, highest_tier=2, also_allowed=["demo-no-usage"])  # type: ignore[attr-defined]
    world.settle_in()
    return world


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R031_group_test_at_a_tier_3_model_gets_403_with_the_reason(fenced: World):
    person = fenced.person("100", group=fenced.test)  # type: ignore[attr-defined]
    key, clear = fenced.key(person)
    refused = fenced.ask(clear, model="demo-slow")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["type"]) == (403, "model_tier_not_allowed", "permission_error")
    assert "price tier 3" in error["message"]
    assert "price tier 3, and yours end at 2" in error["message"]
    row = log_of(refused.headers["x-request-id"])
    assert (row.outcome, row.error_code, row.cost_nano) == ("no_rights", "model_tier_not_allowed", 0)
    assert hold_of(refused.headers["x-request-id"]) is None
    assert balance(person) == 100 * USD
    # Not a word of it in the list, and what is allowed all the same is there.
    listed = httpx.get(f"{fenced.relay.url}/v1/models", headers={"Authorization": f"Bearer {clear}"}).json()
    assert {one["id"] for one in listed["data"]} == {"demo-chat", "demo-no-usage"}
    assert fenced.ask(clear, model="demo-no-usage").status_code == 200
    assert models_open_to(person, key.pk) == ["demo-chat", "demo-no-usage"]
    decision = explain_access(person, key.pk, "demo-slow")
    assert decision.denial is not None
    assert decision.denial.code == "model_tier_not_allowed"
    # Another group is not fenced, and a word of an administrator opens the model within a second.
    assert fenced.ask(fenced.key(fenced.person("100"))[1], model="demo-slow").status_code == 200
    set_model_tier(actor=None, model=fenced.models["demo-slow"], number=2)
    until(lambda: fenced.ask(clear, model="demo-slow").status_code == 200)
    # The page that staff see says the same.
    boss = create_person(actor=None, username="boss", role=Role.ADMIN)
    groups = {one.group.code: one for one in selectors.fenced_groups(boss)}
    assert (groups["test"].open_count, groups["test"].stopped) == (3, ())
    set_model_tier(actor=boss, model=fenced.models["demo-slow"], number=None)
    assert {one.group.code: one for one in selectors.fenced_groups(boss)}["test"].stopped == ("demo-slow",)
    assert {one.model.name: one.tier for one in selectors.tiered_models(boss)}["demo-slow"] == 3


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R011_a_test_key_on_a_production_only_team_is_refused_by_the_relay(world: World):
    team = Group.objects.create(code="prod", name="Prod")
    from models_catalog import services as catalog

    catalog.set_access(actor_name="test", model=world.models["demo-chat"], group_codes=["prod"])
    world.top_up(team, 10 * USD)
    _, test_key = world.key(team=team, purpose="test")
    _, production_key = world.key(team=team, purpose="production")
    set_team_money(actor=None, team=team, money="production")
    world.settle_in()
    refused = world.ask(test_key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "test_key_not_allowed")
    assert log_of(refused.headers["x-request-id"]).cost_nano == 0
    assert balance(team) == 10 * USD
    assert world.ask(production_key).status_code == 200
    # R016: a project that is not listed may not charge the production balance.
    set_team_money(actor=None, team=team, money=None)
    set_policy(actor=None, issuers="everybody", team_money="test")
    world.settle_in()
    refused = world.ask(production_key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "production_not_allowed")
    assert hold_of(refused.headers["x-request-id"]) is None
    spent = 10 * USD - balance(team)
    until(lambda: balance(team) == 10 * USD - spent)
    set_team_money(actor=None, team=team, money="any")
    world.settle_in()
    assert world.ask(production_key).status_code == 200


@pytest.mark.django_db
def test_R031_fences_are_written_by_operators_alone_and_say_which_field_is_wrong():
    group = Group.objects.create(code="test", name="Test")
    boss = create_person(actor=None, username="boss", role=Role.ADMIN)
    finance = create_person(actor=None, username="fin", role=Role.FINANCE)
    with pytest.raises(NotAllowed):
        set_group_fence(actor=finance, group=group, highest_tier=1)
    with pytest.raises(NotAllowed):
        set_price_tiers(actor=finance, starts={2: 1})
    for starts in ({2: 10, 3: 10}, {1: 5}, {2: 0}):
        with pytest.raises(InvalidInput) as wrong:
            set_price_tiers(actor=boss, starts=starts)
        assert wrong.value.details["field"].startswith("tier_")
    with pytest.raises(InvalidInput) as wrong:
        set_group_fence(actor=boss, group=group, highest_tier=2, also_allowed=["no-such"])
    assert wrong.value.details["field"] == "also_allowed"
    assert not GroupFence.objects.exists()
    assert not AuditEvent.objects.filter(action__in=["group.fence", "price_tiers.set"]).exists()
    set_group_fence(actor=boss, group=group, highest_tier=2)
    set_group_fence(actor=boss, group=group, highest_tier=2)
    set_group_fence(actor=boss, group=group, highest_tier=None)
    assert AuditEvent.objects.filter(action="group.fence").count() == 2


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_R031_a_batch_job_stops_at_its_cap(world: World):
    """A job is a key of purpose script with a cap of 5.00: forty calls of 0.70, eight at a time, spend 4.90 and no more."""
    person = world.person("100")
    world.publish({"demo-chat": RuleFigures(basis="call", call_nano=7 * USD // 10)})
    key, clear = world.key(person, purpose="script")
    set_spend_limit(actor=person, key=key, span="total", limit_nano=5 * USD)
    world.settle_in()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.ask(clear), range(40)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 33
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in refused} == {(403, "key_limit_reached")}
    until(lambda: held(person) == 0)
    spent = 100 * USD - balance(person)
    assert spent == 49 * USD // 10
    assert spent <= 5 * USD
    (line,) = key_lines(key)
    assert (line.limit, line.used, line.left, line.refusal) == (5 * USD, spent, USD // 10, "403 key_limit_reached")


@pytest.mark.django_db
def test_R031_the_page_of_a_key_says_what_it_may_call_and_why_not(client: Client):
    from models_catalog import services as catalog

    group = Group.objects.create(code="test", name="Test")
    person = create_person(actor=None, username="tester", billing_group=group)
    provider = catalog.create_provider(actor_name="t", code="p", name="P")
    route = catalog.create_upstream(actor_name="t", name="u", provider=provider, base_url="http://up", credential="sk-x" * 9)
    for name, opened in (("cheap", ["test"]), ("dear", ["test"]), ("hidden", ["others"])):
        model = catalog.create_model(actor_name="t", figures=catalog.ModelFigures(name=name))
        catalog.set_access(actor_name="t", model=model, group_codes=opened)
        catalog.serve_model(actor_name="t", upstream=route, model=model)
    book = prices.create_book(actor=None, code="b", name="B", formula="portal", is_default=True)
    rules = {"cheap": RuleFigures(output_nano=USD), "dear": RuleFigures(output_nano=90 * USD), "hidden": RuleFigures()}
    prices.publish_version(actor=None, book=book, rules=rules, multipliers={})
    set_price_tiers(actor=None, starts={2: USD // 100, 3: USD // 20})
    set_group_fence(actor=None, group=group, highest_tier=2)
    key, _ = issue_key(actor=person, owner=person, name="mine")
    client.force_login(person)
    page = client.get(reverse("key_may_call", args=[key.pk]))
    assert {row["name"]: row["is_allowed"] for row in page.context["rows"]} == {"cheap": True, "dear": False}
    assert "403 model_tier_not_allowed" in page.content.decode()
    client.force_login(create_person(actor=None, username="stranger"))
    assert client.get(reverse("key_may_call", args=[key.pk])).status_code == 404
