"""What a call costs by how it ended: every cell of the table, its versions, and what it may not say."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import AuditEvent, Group, Role
from billing import outcome_rules as rules_of
from billing.models import OutcomeRule, OutcomeRuleSet
from billing.outcome_rules import DEFAULTS, EVENTS, FIXED, HOUSE_RULES, Ending, OutcomeRules, settle
from billing.pricing import PORTAL, Price, RuleFigures, Usage
from billing.services.outcomes import UnknownRule, change_outcome_rules, load_outcome_table, withdraw_outcome_rules
from config.foundation.errors import InvalidInput, NotAllowed
from config.foundation.outcomes import Outcome
from tests.billing.helpers import person

PRICE = Price(7, "house", PORTAL, Decimal(0), "m", RuleFigures(input_nano=10**9, output_nano=3 * 10**9), Decimal(1))
USAGE = Usage(input=1000, output=200, reasoning=50)
INPUT_COST, WHOLE_COST = 1_000_000, 1_600_000
# What an ending is called, for every outcome; "" is one that cannot have output.
NAMES = {
    # outcome: (sent, no output), (sent, output)
    Outcome.OK: ("complete", "complete"),
    Outcome.UPSTREAM_ERROR: ("failed_before_output", "cut_after_output"),
    Outcome.CUT_STREAM: ("failed_before_output", "cut_after_output"),
    Outcome.TIMEOUT: ("timeout_before_output", "timeout_after_output"),
    Outcome.CANCELLED: ("client_gone_before_output", "client_gone_after_output"),
    Outcome.CLIENT_ERROR: ("failed_before_output", "cut_after_output"),
    Outcome.BAD_KEY: ("failed_before_output", "cut_after_output"),
    Outcome.NO_RIGHTS: ("failed_before_output", "cut_after_output"),
    Outcome.NO_BALANCE: ("failed_before_output", "cut_after_output"),
    Outcome.RATE_LIMITED: ("failed_before_output", "cut_after_output"),
    Outcome.UNKNOWN_MODEL: ("failed_before_output", "cut_after_output"),
    Outcome.MODEL_UNAVAILABLE: ("failed_before_output", "cut_after_output"),
    Outcome.UNSUPPORTED_INPUT: ("failed_before_output", "cut_after_output"),
}


def charge(ending: Ending, rules: OutcomeRules = HOUSE_RULES, held: int | None = 10**9) -> tuple[int, dict]:
    settled = settle(rules=rules, ending=ending, usage=USAGE, price=PRICE, held_nano=held)
    return settled.cost_nano, settled.detail


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("has_output", [False, True])
@pytest.mark.parametrize("is_counted", [False, True])
@pytest.mark.parametrize("was_sent", [False, True])
def test_R025_every_outcome_and_source_of_usage_by_the_rule_of_the_house(
    outcome: Outcome, has_output: bool, is_counted: bool, was_sent: bool
) -> None:
    """R025: no result means no charge; what was delivered is charged, an estimate is marked as one."""
    name = NAMES[outcome][has_output] if was_sent else "refused"
    ending = Ending(outcome.value, was_sent=was_sent, has_output=has_output, is_counted=is_counted)
    cost, detail = charge(ending)
    expected = {
        "complete": WHOLE_COST,
        "cut_after_output": WHOLE_COST,
        "timeout_after_output": WHOLE_COST,
        "client_gone_after_output": WHOLE_COST,
        "client_gone_before_output": INPUT_COST,
        "failed_before_output": 0,
        "timeout_before_output": 0,
        "refused": 0,
    }[name]
    assert (ending.event, cost) == (name, expected)
    assert detail["rule"]["event"] == name
    assert detail.get("cost_nano", 0) == cost
    assert detail["rule"].get("estimated", False) is (is_counted and cost > 0)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("source", ["reported", "counted"])
@pytest.mark.parametrize("action", ["all", "input", "nothing"])
def test_every_cell_can_say_each_of_the_three_unless_it_is_a_promise(event: str, source: str, action: str) -> None:
    table = OutcomeRules(9, {(event, source): action})
    found = {is_counted: table.action(event, is_counted=is_counted) for is_counted in (False, True)}
    wanted = FIXED.get(event, action)
    assert found[source == "counted"] == wanted
    assert found[source != "counted"] == DEFAULTS[event]
    outcome, has_output, by_client, was_sent = {
        "complete": (Outcome.OK, True, True, True),
        "cut_after_output": (Outcome.CUT_STREAM, True, True, True),
        "timeout_after_output": (Outcome.TIMEOUT, True, True, True),
        "client_gone_after_output": (Outcome.CANCELLED, True, True, True),
        "client_gone_before_output": (Outcome.CANCELLED, False, True, True),
        "failed_before_output": (Outcome.UPSTREAM_ERROR, False, True, True),
        "timeout_before_output": (Outcome.TIMEOUT, False, True, True),
        "refused": (Outcome.OK, True, True, False),
    }[event]
    ending = Ending(outcome.value, was_sent, has_output, by_client, source == "counted")
    cost, detail = charge(ending, table)
    assert cost == {"all": WHOLE_COST, "input": INPUT_COST, "nothing": 0}[wanted]
    assert detail["rule"]["version"] == 9


def test_a_relay_that_is_stopped_is_not_a_client_that_left() -> None:
    for has_output, name, cost in ((False, "failed_before_output", 0), (True, "cut_after_output", WHOLE_COST)):
        ending = Ending("cancelled", has_output=has_output, by_client=False)
        assert (ending.event, charge(ending)[0]) == (name, cost)


def test_an_estimate_never_costs_more_than_was_held_and_says_so() -> None:
    ending = Ending("cut_stream", is_counted=True)
    cost, detail = charge(ending, held=1_234)
    assert (cost, detail["cost_nano"], detail["rule"]["capped_from_nano"]) == (1_234, 1_234, WHOLE_COST)
    assert charge(ending, held=WHOLE_COST)[1]["rule"] == {
        "event": "cut_after_output",
        "charged": "all",
        "version": 0,
        "estimated": True,
    }
    # What an upstream reported is charged in full, also above the hold.
    assert charge(Ending("cut_stream"), held=1_234)[0] == WHOLE_COST


def test_what_cannot_be_priced_afterwards_costs_its_hold() -> None:
    settled = settle(rules=HOUSE_RULES, ending=Ending("ok"), usage=Usage(images=1), price=PRICE, held_nano=55)
    assert (settled.cost_nano, settled.detail["formula"]) == (55, "estimate")


@pytest.mark.django_db
class TestVersions:
    def test_the_first_version_is_the_rule_of_the_house(self) -> None:
        table = load_outcome_table()
        assert table.for_all.version_id == OutcomeRuleSet.objects.get(group_code="", number=1).pk
        for event in EVENTS:
            for is_counted in (False, True):
                assert table.for_all.action(event, is_counted=is_counted) == DEFAULTS[event]
        assert set(OutcomeRule.Event.values) == set(EVENTS)
        assert set(OutcomeRule.Action.values) == {rules_of.ALL, rules_of.INPUT, rules_of.NOTHING}

    def test_a_group_has_its_own_version_until_it_is_withdrawn(self) -> None:
        boss = person("fin", Role.FINANCE)
        Group.objects.create(code="vip", name="vip", kind="price_class")
        cells = {"client_gone_before_output": ("nothing", "nothing"), "cut_after_output": ("all", "input")}
        made = change_outcome_rules(actor=boss, group_code="vip", cells=cells, note="by contract")
        assert change_outcome_rules(actor=boss, group_code="vip", cells=cells) == made
        table = load_outcome_table()
        assert table.rules_for("vip").action("client_gone_before_output", is_counted=True) == "nothing"
        assert table.rules_for("vip").action("cut_after_output", is_counted=True) == "input"
        assert table.rules_for("vip").action("cut_after_output", is_counted=False) == "all"
        assert table.rules_for("other").action("client_gone_before_output", is_counted=True) == "input"
        event = AuditEvent.objects.get(action="outcome_rules.changed")
        assert (event.actor, event.reason) == (boss, "by contract")
        withdrawn = withdraw_outcome_rules(actor=boss, group_code="vip")
        assert withdrawn is not None
        assert withdraw_outcome_rules(actor=boss, group_code="vip") is None
        assert load_outcome_table().rules_for("vip") == load_outcome_table().for_all

    @pytest.mark.parametrize(
        "cells",
        [
            {"failed_before_output": ("all", "all")},
            {"timeout_before_output": ("nothing", "input")},
            {"complete": ("nothing", "nothing")},
            {"no_such_end": ("all", "all")},
            {"cut_after_output": ("all", "half")},
        ],
    )
    def test_promises_and_unknown_words_are_refused(self, cells: dict) -> None:
        with pytest.raises(UnknownRule):
            change_outcome_rules(actor=None, cells=cells)
        assert OutcomeRuleSet.objects.count() == 1

    def test_an_unknown_group_and_a_stranger_are_refused(self) -> None:
        with pytest.raises(InvalidInput):
            change_outcome_rules(actor=None, group_code="nobody", cells={})
        for role in (Role.USER, Role.SUPPORT, Role.OPS):
            with pytest.raises(NotAllowed):
                change_outcome_rules(actor=person(role, role), cells={"cut_after_output": ("input", "input")})
        assert OutcomeRuleSet.objects.count() == 1

    def test_the_database_keeps_versions_and_promises(self) -> None:
        version = OutcomeRuleSet.objects.get()
        for statement in (
            "UPDATE billing_outcomeruleset SET note = 'x'",
            "UPDATE billing_outcomerule SET counted = 'all' WHERE event = 'client_gone_before_output'",
            "DELETE FROM billing_outcomerule",
        ):
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
        other = OutcomeRuleSet.objects.create(group_code="x", number=1)
        for event, action in (("failed_before_output", "input"), ("complete", "nothing")):
            with pytest.raises(IntegrityError), transaction.atomic():
                OutcomeRule.objects.create(rules=other, event=event, reported=action, counted=action)
        assert version.rows.count() == len(EVENTS)
