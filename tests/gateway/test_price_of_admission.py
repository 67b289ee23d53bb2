"""A call is charged by what was in force when it was admitted: prices and the billing rule of how it ended."""

import httpx
import pytest
from django.core.management import call_command

from billing.models import PriceVersion
from billing.pricing import RuleFigures
from billing.services.outcomes import change_outcome_rules
from models_catalog.models import Upstream
from tests.gateway.servers import until
from tests.gateway.world import RULE, World, balance, charges, held, hold_of, log_of

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
