"""Breakers, fallback rules and changes of the name map: who serves a call, at whose price, and what the log says of it."""

import openai
import pytest
from django.core.management import call_command
from django.test import override_settings

from accounts.models import Role, User
from accounts.services.people import create_person
from billing.models import RequestLog
from billing.pricing import RuleFigures
from billing.selectors import CallFilters, calls_for
from billing.selectors.calls import call_detail
from config.foundation.errors import NotAllowed
from gateway.contract.types import Candidate, UpstreamView
from gateway.errors import FallbackRefused
from gateway.models import FallbackRule, UpstreamHealth
from gateway.relay.health import Health
from gateway.services.fallbacks import approve_fallback, end_fallback, propose_fallback
from models_catalog import services as catalog
from models_catalog.services import NameChange, publish_name_map
from tests.gateway.servers import free_port, running, start_relay, until
from tests.gateway.world import World, balance, charges, held, log_of

slow = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def place(number: int) -> Candidate:
    return Candidate(UpstreamView(number, "http://up", "", frozenset(), 0, 1, 60), "m")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_lets_one_trial_through_and_doubles_its_pause():
    clock = Clock()
    health = Health(failures=3, seconds=10, clock=clock)
    one, two = place(1), place(2)
    for _ in range(2):
        health.note(one, "status")
    assert health.usable([one, two]) == [one, two]
    health.note(one, "")
    for _ in range(3):
        assert health.usable([one]) == [one]
        health.note(one, "status")
    assert (health.changed, health.usable([one, two]), health.usable([one])) == (True, [two], [])
    assert health.seconds_until_trial([one]) == 10
    assert [(row[0], row[2], row[3]) for row in health.open_now()] == [(1, "status", 3)]
    clock.now += 10
    assert health.usable([two, one], may_probe=False) == [two]
    assert health.usable([two, one]) == [one, two]
    assert health.usable([two, one]) == [two], "one trial at a time"
    health.note(one, "status")
    assert health.usable([one]) == []
    clock.now += 19
    assert health.usable([one]) == []
    clock.now += 1
    assert health.usable([one], may_probe=False) == [one]
    health.note(one, "")
    assert (health.usable([one]), health.open_now()) == ([one], [])


@pytest.mark.parametrize("error", ["client_gone", "refused", "rate_limited", "relay_stopped"])
def test_what_a_client_does_opens_no_breaker(error: str):
    health = Health(failures=1, seconds=10)
    for _ in range(5):
        health.note(place(1), error)
    assert health.usable([place(1)]) == [place(1)]


class TestServed:
    pytestmark = slow

    def test_a_failing_upstream_is_left_alone_and_comes_back(self, world: World):
        broken = catalog.create_upstream(
            actor_name="test",
            name="broken",
            provider=world.route.provider,
            base_url=f"http://127.0.0.1:{free_port()}",
            credential="sk-nobody",
            priority=10,
        )
        catalog.serve_model(actor_name="test", upstream=broken, model=world.models["demo-chat"])
        with running(start_relay(RELAY_BREAKER_FAILURES="3", RELAY_BREAKER_SECONDS="1")) as relay:
            mine = World(world.upstream, relay, models=world.models, group=world.group, route=world.route)
            mine.settle_in()
            person = world.person("1")
            _, clear = world.key(person)
            tried = []
            for _ in range(7):
                answer = mine.ask(clear, "[[usage 100 10]]")
                assert answer.status_code == 200
                tried.append(len(log_of(answer.headers["x-request-id"]).attempts))
            # Three failures open the breaker; now and then a trial is let through.
            assert tried[:3] == [2, 2, 2]
            assert 1 in tried[3:]
            seen = UpstreamHealth.objects.filter(upstream_id=broken.pk)
            (row,) = until(lambda: list(seen.all()))
            assert (row.upstream_id, row.upstream_name) == (broken.pk, "demo-chat")
            assert row.failure_count >= 3
            catalog.update_upstream(actor_name="test", upstream=broken, base_url=world.upstream.url)
            mine.settle_in()
            until(lambda: log_of(mine.ask(clear).headers["x-request-id"]).attempts[0]["upstream"] == broken.pk, 20, 0.3)
            until(lambda: not seen.all().exists())
            assert held(person) == 0

    def test_a_picture_is_never_made_twice(self, world: World):
        world.publish({"demo-image": RuleFigures(unit_prices={"image:*:*": 40_000_000})})
        spare = catalog.create_upstream(
            actor_name="test", name="spare", provider=world.route.provider, base_url=world.upstream.url, credential="sk-spare"
        )
        catalog.serve_model(actor_name="test", upstream=spare, model=world.models["demo-image"])
        person = world.person("1")
        _, clear = world.key(person)
        client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1", max_retries=0)
        for name in ("demo-cut-before-output", "demo-500", "demo-garbage"):
            for upstream in (world.route, spare):
                catalog.serve_models(actor_name="test", upstream=upstream, served={"demo-image": name}, replace=True)
            world.settle_in()
            world.upstream.reset()
            with pytest.raises(openai.InternalServerError) as failed:
                client.images.generate(model="demo-image", prompt="a house")
            assert world.upstream.calls()["total"] == 1, name
            row = log_of(failed.value.response.headers["x-request-id"])
            assert (len(row.attempts), row.cost_nano) == (1, 0)
        # Where nothing was sent, or the upstream would not have it, another one may make it.
        catalog.update_upstream(actor_name="test", upstream=spare, base_url=f"http://127.0.0.1:{free_port()}", priority=9)
        catalog.serve_models(actor_name="test", upstream=world.route, served={"demo-image": "demo-image"}, replace=True)
        world.settle_in()
        raw = client.images.with_raw_response.generate(model="demo-image", prompt="a house")
        assert len(log_of(raw.headers["x-request-id"]).attempts) == 2
        assert charges(raw.headers["x-request-id"]) == [40_000_000]
        assert balance(person) == 1_000_000_000 - 40_000_000

    def test_R047_a_rule_needs_a_second_person_and_its_uses_are_flagged_and_protected(self, world: World):
        """R047: without an approver 403; a forced fallback is flagged, and costs no more than the asked price."""
        ops, other = staff("ops"), staff("ops")
        asked, cheap, dear = world.models["demo-503"], world.models["demo-chat"], world.models["demo-no-usage"]
        dear_price = RuleFigures(input_nano=9_000_000, output_nano=9_000_000)
        cheap_price = RuleFigures(input_nano=500_000, output_nano=1_000_000)
        catalog.serve_models(actor_name="test", upstream=world.route, served={"demo-no-usage": "demo-chat"}, replace=False)
        world.publish({"demo-chat": cheap_price, "demo-no-usage": dear_price})
        world.settle_in()
        person = world.person("1")
        _, clear = world.key(person)

        def call(**fields: object) -> RequestLog:
            return log_of(world.ask(clear, "[[usage 100 10]]", "demo-503", **fields).headers["x-request-id"])

        def propose(target: object, **fields: object) -> FallbackRule:
            return propose_fallback(
                actor=ops, from_model=asked, to_model=target, triggers=["model_unavailable"], reason="r", **fields
            )

        rule = propose(dear)
        with pytest.raises(NotAllowed):
            approve_fallback(actor=ops, rule=rule)
        with pytest.raises(NotAllowed):
            approve_fallback(actor=staff("support"), rule=rule)
        with pytest.raises(NotAllowed):
            propose_fallback(actor=person, from_model=asked, to_model=dear, triggers=["timeout"], reason="r")
        world.settle_in()
        assert (call().outcome, call().fallback_rule_id) == ("model_unavailable", None)
        approve_fallback(actor=other, rule=rule)
        world.settle_in()
        row = call()
        assert (row.outcome, row.fallback_rule_id, row.asked_model, row.served_model) == (
            "ok",
            rule.pk,
            "demo-503",
            "demo-chat",
        )
        # 130 at the asked price, 990 at the own one.
        assert (row.billed_model, row.cost_nano, charges(row.id.hex)) == ("demo-503", 130, [130])
        assert row.price_detail["fallback"] == {
            "rule": rule.pk, "model": "demo-no-usage", "protected": True, "asked_cost_nano": 130, "own_cost_nano": 990,
        }  # fmt: skip
        assert call(stream=True).cost_nano == 130
        second = propose(cheap)
        approve_fallback(actor=other, rule=second)
        world.settle_in()
        assert FallbackRule.objects.get(pk=rule.pk).state == "ended"
        row = call()
        assert (row.billed_model, row.cost_nano, row.fallback_rule_id) == ("demo-chat", 60, second.pk)
        third = propose(dear, is_price_protected=False)
        approve_fallback(actor=other, rule=third)
        world.settle_in()
        row = call()
        assert (row.billed_model, row.cost_nano) == ("demo-no-usage", 990)
        assert row.held_nano >= 990
        end_fallback(actor=ops, rule=third)
        with pytest.raises(FallbackRefused):
            approve_fallback(actor=other, rule=third)
        world.settle_in()
        assert call().outcome == "model_unavailable"
        spent = sum(RequestLog.objects.filter(user_id=person.pk).values_list("cost_nano", flat=True))
        assert (balance(person), held(person)) == (1_000_000_000 - spent, 0)
        call_command("ledger_check")

    def test_R047_a_key_that_may_not_call_the_other_model_does_not_fall_back(self, world: World):
        """R047: a rule never opens a model to a key whose list leaves it out."""
        rule = propose_fallback(
            actor=staff("ops"),
            from_model=world.models["demo-503"],
            to_model=world.models["demo-chat"],
            triggers=["model_unavailable"],
            reason="r",
        )
        approve_fallback(actor=staff("ops"), rule=rule)
        world.settle_in()
        _, narrow = world.key(model_names=["demo-503"])
        _, wide = world.key(model_names=["demo-503", "demo-chat"])
        assert world.ask(narrow, model="demo-503").status_code == 503
        assert world.ask(wide, model="demo-503").status_code == 200

    def test_R048_the_vendor_changes_and_the_client_does_not(self, world: World):
        """R048: the same SDK script passes before and after a version of the map; only the served name differs."""
        _, clear = world.key()
        client = openai.OpenAI(api_key=clear, base_url=f"{world.relay.url}/v1", max_retries=0)

        def script() -> tuple[str, str, RequestLog]:
            asked = [{"role": "user", "content": "hi [[usage 100 5]]"}]
            raw = client.chat.completions.with_raw_response.create(model="house-model", messages=asked, max_tokens=50)
            parts = client.chat.completions.create(model="house-model", messages=asked, stream=True)
            said = "".join(part.choices[0].delta.content or "" for part in parts)
            return raw.parse().choices[0].message.content, said.strip(), log_of(raw.headers["x-request-id"])

        def lead_to(model: str) -> None:
            publish_name_map(actor_name="test", changes=[NameChange("house-model", "alias", model)])
            world.settle_in()

        lead_to("demo-chat")
        first = script()
        lead_to("demo-other-model")
        second = script()
        assert first[:2] == second[:2]
        assert (first[2].asked_model, second[2].asked_model) == ("house-model", "house-model")
        assert (first[2].served_model, second[2].served_model) == ("demo-chat", "demo-served-instead")
        assert first[2].cost_nano == second[2].cost_nano == 115


def staff(role: str) -> User:
    number = User.objects.count()
    return create_person(actor=None, username=f"{role}{number}", role=Role(role))


class TestNames:
    pytestmark = slow

    def test_R046_three_names_are_kept_and_the_served_one_is_hidden_when_the_house_says_so(self, world: World):
        """R046: asked, billed, served; the price is the billed one's; neither page nor answer shows the served name."""
        person = world.person("1")
        _, clear = world.key(person)
        publish_name_map(actor_name="test", changes=[NameChange("house-model", "alias", "demo-other-model")])
        with running(start_relay(SHOW_SERVED_MODEL="0")) as relay:
            mine = World(world.upstream, relay, models=world.models, group=world.group, route=world.route)
            mine.settle_in()
            answers = [mine.ask(clear, "[[usage 100 5]]", "house-model", stream=is_stream) for is_stream in (False, True)]
            for answer in answers:
                assert answer.status_code == 200
                assert "demo-served-instead" not in answer.text
                assert '"model":"house-model"' in answer.text
                row = log_of(answer.headers["x-request-id"])
                assert (row.asked_model, row.billed_model, row.served_model) == (
                    "house-model", "demo-other-model", "demo-served-instead",
                )  # fmt: skip
                assert row.cost_nano == 115
        with override_settings(SHOW_SERVED_MODEL=False):
            assert call_detail(person, row.pk).served_model == ""
            assert {one.served_model for one in calls_for(person, CallFilters()).rows} == {""}
            assert call_detail(staff("ops"), row.pk).served_model == "demo-served-instead"
        assert call_detail(person, row.pk).served_model == "demo-served-instead"
