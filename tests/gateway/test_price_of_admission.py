"""A call is charged by what was in force when it was admitted: prices and the billing rule of how it ended."""

import httpx
import pytest
from django.core.management import call_command

from accounts.models import Role
from accounts.services.people import create_person
from billing.models import PriceVersion
from billing.pricing import RuleFigures
from billing.services.outcomes import change_outcome_rules
from gateway.access import Question, explain
from gateway.services.fallbacks import approve_fallback, propose_fallback
from models_catalog.models import Upstream
from tests.gateway.servers import until
from tests.gateway.world import RULE, USD, World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_a_version_published_while_a_call_runs_changes_nothing_for_it(world: World):
    person = world.person("1")
    _, clear = world.key(person)
    before = PriceVersion.objects.get()
    first = change_outcome_rules(actor=None, cells={})
    Upstream.objects.filter(pk=world.route.pk).update(timeout_seconds=60)
    world.settle_in()
    body = {"model": "demo-slow", "stream": True, "messages": [{"role": "user", "content": "hi [[usage 1000 30]]"}]}
    with httpx.stream(
        "POST", f"{world.relay.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=20
    ) as answer:
        request_id = answer.headers["x-request-id"]
        parts = answer.iter_raw()
        next(parts)
        dear = RuleFigures(input_nano=10_000_000, output_nano=30_000_000)
        world.publish({"demo-slow": dear, "demo-chat": dear})
        second = change_outcome_rules(actor=None, cells={"client_gone_before_output": ("nothing", "nothing")})
        world.settle_in()
        running = hold_of(request_id)
        assert running is not None
        assert running.state == "open", "the first call still runs"
        later = world.ask(clear, "[[usage 1000 500]]")
        for _part in parts:
            pass
    row = log_of(request_id)
    assert (row.outcome, row.price_version_id, row.usage_source) == ("ok", before.pk, "upstream")
    assert row.cost_nano == 1000 + 3 * 30
    assert row.price_detail["rule"]["version"] == first.pk
    next_row = log_of(later.headers["x-request-id"])
    assert next_row.price_version_id == PriceVersion.objects.latest("number").pk
    assert next_row.cost_nano == 10 * (1000 + 3 * 500)
    assert next_row.price_detail["rule"]["version"] == second.pk != first.pk
    assert balance(person) == 1_000_000_000 - row.cost_nano - next_row.cost_nano
    call_command("ledger_check")


def test_the_table_of_a_group_is_obeyed_for_its_people_and_for_nobody_else(world: World):
    """Cut streams, clients that leave and estimates, by the group's own table; failures cost nothing whatever it says."""
    cells = {
        "cut_after_output": ("input", "input"),
        "client_gone_before_output": ("nothing", "nothing"),
        "client_gone_after_output": ("nothing", "nothing"),
    }
    made = change_outcome_rules(actor=None, group_code=world.group.code, cells=cells)
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)

    cut = world.ask(clear, "hi [[usage 1000 20]]", "demo-cut-stream", stream=True)
    row = log_of(cut.headers["x-request-id"])
    assert (row.outcome, row.usage_source, row.output_tokens > 0) == ("cut_stream", "estimated", True)
    assert row.cost_nano == row.input_tokens
    assert row.price_detail["rule"] == {
        "event": "cut_after_output",
        "charged": "input",
        "version": made.pk,
        "estimated": True,
    }
    assert charges(cut.headers["x-request-id"]) == [row.cost_nano]

    for model in ("demo-500", "demo-cut-before-output", "demo-timeout"):
        failed = world.ask(clear, "hi", model, stream=True)
        row = log_of(failed.headers["x-request-id"])
        assert (row.cost_nano, row.price_detail["rule"]["charged"]) == (0, "nothing")
        assert row.price_detail["rule"]["event"] in {"failed_before_output", "timeout_before_output"}

    body = {"model": "demo-slow", "stream": True, "messages": [{"role": "user", "content": "hi [[usage 1000 100]]"}]}
    with httpx.stream(
        "POST", f"{world.relay.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {clear}"}, timeout=20
    ) as answer:
        request_id = answer.headers["x-request-id"]
        next(answer.iter_raw())
    row = log_of(request_id)
    assert (row.outcome, row.cost_nano, row.output_tokens > 0) == ("cancelled", 0, True)
    assert row.price_detail["rule"]["event"] == "client_gone_after_output"
    hold = hold_of(request_id)
    assert hold is not None
    assert (hold.state, held(person)) == ("released", 0)
    call_command("ledger_check")


def test_an_estimate_is_capped_at_what_was_held(world: World):
    """A model whose input was counted higher than its hold: the charge stops at the hold and says from where."""
    # The hold knows the most the call may use; only a price that is dearer after the fact could pass it, so the hold is
    # made small by a limit of one token while the upstream answers with more and reports nothing.
    person = world.person("1")
    _, clear = world.key(person)
    answer = world.ask(clear, "hi [[usage 10 400]]", "demo-no-usage", max_tokens=1)
    row = log_of(answer.headers["x-request-id"])
    assert (row.outcome, row.usage_source) == ("ok", "estimated")
    whole = (row.input_tokens * RULE.input_nano + row.output_tokens * RULE.output_nano) // 1_000_000
    assert whole > row.held_nano
    assert row.cost_nano == row.held_nano
    assert row.price_detail["rule"]["capped_from_nano"] == whole
    until(lambda: held(person) == 0)
    call_command("ledger_check")


@pytest.mark.parametrize(
    "rule",
    [
        RuleFigures(basis="expression"),
        RuleFigures(input_nano=1, rounding="half_even", unit_prices={"image:1024x1024:*": 1}, basis="expression"),
    ],
)
def test_a_rule_that_cannot_price_the_call_refuses_it(world: World, rule: RuleFigures):
    world.publish({"demo-chat": rule})
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    answer = world.ask(clear)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_priced")
    assert (balance(person), held(person), world.upstream.calls()["total"]) == (1_000_000_000, 0, 0)


UNITS_ONLY = RuleFigures(unit_prices={"image:*:*": 40_000_000})


def test_a_chat_with_a_model_that_prices_only_units_is_refused_and_never_free(world: World):
    """Whoever asks: the relay, the access check; and a work of another unit than the priced one is no better."""
    free = RuleFigures()
    world.publish({"demo-image": UNITS_ONLY, "demo-sound": RuleFigures(character_nano=USD), "demo-embedding": free})
    world.settle_in()
    person = world.person("1")
    key, clear = world.key(person)
    staff = create_person(actor=None, username="sue", role=Role.SUPPORT)
    headers = {"Authorization": f"Bearer {clear}"}

    def asked(path: str, model: str) -> tuple[int, str]:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi", "query": "hi"}
        answer = httpx.post(f"{world.relay.url}{path}", json=body, headers=headers, timeout=20)
        explained = explain(staff, key.pk, Question(model, "127.0.0.1", path=path))
        code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
        assert (explained.denial.code if explained.denial else "") == code, (path, model)
        return answer.status_code, code

    refused = (403, "model_not_priced")
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/moderations", "/v1/rerank"):
        assert asked(path, "demo-image") == refused
        assert asked(path, "demo-sound") == refused
    assert asked("/v1/audio/speech", "demo-image") == refused
    assert asked("/v1/images/generations", "demo-sound") == refused
    assert (balance(person), held(person), world.upstream.calls()["total"]) == (1_000_000_000, 0, 0)
    assert asked("/v1/images/generations", "demo-image") == (200, "")
    assert asked("/v1/audio/speech", "demo-sound") == (200, "")
    assert asked("/v1/chat/completions", "demo-embedding") == (200, "")
    until(lambda: held(person) == 0)
    assert balance(person) < 1_000_000_000 - 40_000_000 + 1
    call_command("ledger_check")


def test_a_model_that_prices_only_units_does_not_answer_a_chat_for_another_one(world: World):
    world.publish({"demo-image": UNITS_ONLY})
    asked, other = world.models["demo-500"], world.models["demo-image"]
    ops, second = (create_person(actor=None, username=name, role=Role.OPS) for name in ("olga", "otto"))
    rule = propose_fallback(actor=ops, from_model=asked, to_model=other, triggers=["upstream_error"], reason="r")
    approve_fallback(actor=second, rule=rule)
    world.settle_in()
    person = world.person("1")
    _, clear = world.key(person)
    answer = world.ask(clear, model="demo-500")
    assert answer.status_code == 502
    row = log_of(answer.headers["x-request-id"])
    assert (row.cost_nano, row.fallback_rule_id) == (0, None)
    until(lambda: held(person) == 0)
