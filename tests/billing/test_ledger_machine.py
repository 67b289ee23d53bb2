"""Two people and a team, two currencies, and everything that can happen to money, against a model of the rules in memory.

After every step balances, holds, numbers of entries and the house's accounts are the model's; at the end of every run every
invariant holds and the history is sealed. ``LEDGER_STEPS`` (2000) sets how many steps there are in all.
"""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accounts.models import Group, Role
from billing.models import DeskItem, Hold, LedgerAccount, RedemptionCode
from billing.services import codes, ledger
from billing.services.conversions import received_for
from billing.services.desk import settle_desk_item, write_off_desk_item
from billing.services.errors import AlreadyReversed, DeskItemClosed, InsufficientBalance, RefundTooHigh
from billing.services.refunds import refund_call, refund_failed_task
from billing.services.seals import seal_entries
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.secrets import digest_of
from tests.billing.helpers import broken, converted, person
from tests.billing.lease_steps import LeaseSteps

STEPS = int(os.environ.get("LEDGER_STEPS", "2000"))
STEPS_A_RUN = 40
CENT = 10_000_000
OWNERS, AMOUNTS = st.integers(0, 2), st.integers(0, 120)
EURO = 2
HOUSE = ("revenue", "suspense", "operator_loss")


@dataclass
class Purse:
    balance: int = 0
    held: int = 0

    @property
    def free(self) -> int:
        return self.balance - self.held


@dataclass
class Call:
    owner: int
    amount: int
    parts: dict[int, int]
    state: str = "open"
    # What each purse gave and has not got back, in the order of the entries.
    draws: dict[int, int] = field(default_factory=dict)
    task_refunded: bool = False
    is_old: bool = False


@dataclass
class Entry:
    """One that may be reversed: (owner, place) of the purse and what it received."""

    pk: int
    owner: int
    place: int
    amount: int
    is_reversed: bool = False


class Rules:
    """Each owner has a bonus and a prepaid purse in USD, drawn in that order, and one in euros that calls never touch."""

    def __init__(self) -> None:
        self.purses = [[Purse(), Purse(), Purse()] for _owner in range(3)]
        self.calls: dict[UUID, Call] = {}
        self.entries: list[Entry] = []
        self.house = dict.fromkeys(HOUSE, 0)
        self.booked = 0

    def reserve(self, call: UUID, owner: int, amount: int) -> str:
        spendable = self.purses[owner][:EURO]
        # Debt in one purse counts against the other.
        if sum(purse.free for purse in spendable) < amount:
            return "no_balance"
        parts, wanted = {}, amount
        for place, purse in enumerate(spendable):
            part = min(max(purse.free, 0), wanted)
            if part:
                parts[place] = part
                purse.held += part
                wanted -= part
        self.calls[call] = Call(owner, amount, parts)
        return "held"

    def a_call(self, owner: int, amount: int, parts: dict[int, int], state: str) -> Call:
        """One that drew on a lease: the parts of it that were lent are held for it now."""
        return Call(owner, amount, parts, state)

    def close(self, call: Call) -> None:
        for place, part in call.parts.items():
            self.purses[call.owner][place].held -= part

    def record(self, call: Call, cost: int) -> str:
        if call.state == "expired" and call.is_old:
            if not cost:
                return "repeated"
            call.state = "parked"
            self.house["suspense"] -= cost
            self.house["revenue"] += cost
            self.booked += 1
            return "parked"
        if call.state not in {"open", "expired"}:
            return "repeated"
        answer = "recorded" if call.state == "open" else "late"
        parts = dict(call.parts) if call.state == "open" else {}
        if call.state == "open":
            self.close(call)
        purses, wanted = self.purses[call.owner][:EURO], cost
        draws = dict.fromkeys(range(EURO), 0)
        for place, part in parts.items():
            draws[place] = min(part, wanted)
            wanted -= draws[place]
        for place, purse in enumerate(purses):
            extra = min(max(purse.free - draws[place], 0), wanted)
            draws[place] += extra
            wanted -= extra
        if wanted:
            draws[max((place in call.parts, place) for place in range(EURO))[1]] += wanted
        call.state, call.draws = "closed", {place: draw for place, draw in draws.items() if draw}
        for place, draw in call.draws.items():
            purses[place].balance -= draw
        self.house["revenue"] += cost
        self.booked += len(call.draws)
        return answer

    def refund(self, call: Call, amount: int) -> None:
        for place in sorted(call.draws, reverse=True):
            part = min(call.draws[place], amount)
            if part:
                call.draws[place] -= part
                self.purses[call.owner][place].balance += part
                amount -= part
                self.house["revenue"] -= part
                self.booked += 1


class Machine(LeaseSteps, RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scope = transaction.atomic()
        self.scope.__enter__()
        self.people = [person("ada"), person("bob")]
        self.team = Group.objects.create(code="crew", name="Crew")
        self.finance = person("finance", Role.FINANCE)
        kinds: tuple[dict[str, Any], ...] = ({"kind": "bonus"}, {}, {"currency": "EUR"})
        self.accounts = [[ledger.purse_for(**self.payer(owner), **kind) for kind in kinds] for owner in range(3)]
        self.cash = [ledger.house_account("cash", currency=currency).pk for currency in ("USD", "USD", "EUR")]
        self.adjusting = [ledger.house_account("adjustment", currency=currency).pk for currency in ("USD", "USD", "EUR")]
        self.houses = {kind: ledger.house_account(kind).pk for kind in HOUSE}
        self.rules = Rules()
        self.begin_lending()
        self.count = 0
        self.started = int(now().timestamp() * 1000)

    def teardown(self) -> None:
        try:
            assert broken() == {}
            while seal_entries(block_size=7):
                pass
            assert broken() == {}
        finally:
            transaction.set_rollback(True)
            self.scope.__exit__(None, None, None)

    def payer(self, owner: int) -> dict[str, Any]:
        return {"group": self.team} if owner == 2 else {"user": self.people[owner]}

    def asks(self, owner: int, amount: int) -> ledger.ReserveRequest:
        # Ids that rise: within a millisecond their order, and with it the outcome, would be a matter of chance.
        self.count += 1
        user = None if owner == 2 else self.people[owner].pk
        group = self.team.pk if owner == 2 else None
        ends = now() + timedelta(minutes=5)
        return ledger.ReserveRequest(uuid7(self.started + self.count), user, group, None, amount, ends)

    def some(self, data: st.DataObject, *states: str) -> tuple[UUID, Call] | None:
        """One of the calls in these states, if there is any."""
        fitting = [call for call, known in self.rules.calls.items() if known.state in states]
        if not fitting:
            return None
        call = data.draw(st.sampled_from(fitting))
        return call, self.rules.calls[call]

    @rule(owner=OWNERS, place=st.integers(0, 2), amount=st.integers(1, 300))
    def top_up(self, owner: int, place: int, amount: int) -> None:
        worth = amount * CENT if place == EURO else amount
        posting = ledger.Posting(uuid7(), "top_up", self.cash[place], self.accounts[owner][place].pk, worth)
        first, again = (ledger.post_entries([posting])[0] for _ in range(2))
        assert (first.status, again.status) == ("posted", "repeated")
        self.rules.purses[owner][place].balance += worth
        self.rules.entries.append(Entry(first.entry_id, owner, place, worth))
        self.rules.booked += 1

    @rule(owner=OWNERS, place=st.integers(0, 2), amount=st.integers(1, 200), is_gift=st.booleans())
    def adjust(self, owner: int, place: int, amount: int, is_gift: bool) -> None:
        sides = self.accounts[owner][place].pk, self.adjusting[place]
        posting = ledger.Posting(uuid7(), "adjustment", *(reversed(sides) if is_gift else sides), amount)
        purse = self.rules.purses[owner][place]
        if is_gift:
            ledger.post_entries([posting])
            purse.balance += amount
            self.rules.booked += 1
            return
        if purse.free < amount:
            with pytest.raises(InsufficientBalance):
                ledger.post_entries([posting])
            return
        ledger.post_entries([posting])
        purse.balance -= amount
        self.rules.booked += 1

    @rule(owner=st.integers(0, 1), amount=st.integers(1, 50))
    def claim_a_code(self, owner: int, amount: int) -> None:
        self.count += 1
        digest = digest_of(f"code-{self.count}")
        owed, equity = ledger.house_account("code_liability").pk, ledger.house_account("opening_equity").pk
        ledger.post_entries([ledger.Posting(uuid7(), "opening", equity, owed, amount)])
        RedemptionCode.objects.create(
            digest=digest.digest, pepper_number=digest.pepper_number, tail=digest.tail, amount_nano=amount
        )
        codes.redeem_code(actor=self.people[owner], presented=f"code-{self.count}")
        with pytest.raises(codes.CodeNotUsable):
            codes.redeem_code(actor=self.people[1 - owner], presented=f"code-{self.count}")
        self.rules.purses[owner][1].balance += amount
        self.rules.booked += 2

    @rule(owner=OWNERS, cents=st.integers(1, 300), rate=st.integers(1, 3_000_000))
    def convert_euros(self, owner: int, cents: int, rate: int) -> None:
        amount, euros = cents * CENT, self.rules.purses[owner][EURO]
        received, residue = received_for(amount, rate, 1_000_000, "USD")
        if euros.free < amount or not received:
            return
        act = {**self.payer(owner), "from_currency": "EUR", "to_currency": "USD", "transaction_id": uuid7()}
        for _time in range(2):
            converted(self.finance, amount_nano=amount, rate_numerator=rate, rate_denominator=1_000_000, reason="asked", **act)
        euros.balance -= amount
        self.rules.purses[owner][1].balance += received
        self.rules.booked += 3 if residue else 2

    @precondition(lambda self: self.rules.entries)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.rules.entries))
        account = self.accounts[entry.owner][entry.place].pk
        posting = ledger.Posting(uuid7(), "reversal", account, self.cash[entry.place], entry.amount, reverses_id=entry.pk)
        purse = self.rules.purses[entry.owner][entry.place]
        if entry.is_reversed or purse.free < entry.amount:
            with pytest.raises((AlreadyReversed, InsufficientBalance)):
                ledger.post_entries([posting])
            return
        ledger.post_entries([posting])
        purse.balance -= entry.amount
        entry.is_reversed = True
        self.rules.booked += 1

    @rule(asked=st.lists(st.tuples(OWNERS, AMOUNTS), min_size=1, max_size=4))
    def hold(self, asked: list[tuple[int, int]]) -> None:
        requests = [self.asks(owner, amount) for owner, amount in asked]
        expected = [
            self.rules.reserve(request.request_id, owner, amount)
            for request, (owner, amount) in zip(requests, asked, strict=True)
        ]
        assert [answer.status for answer in ledger.reserve(requests)] == expected
        held = [request for request, status in zip(requests, expected, strict=True) if status == "held"]
        assert {answer.status for answer in ledger.reserve(held)} <= {"repeated"}

    @rule(data=st.data(), cost=AMOUNTS, times=st.integers(1, 3))
    def settle_or_release(self, data: st.DataObject, cost: int, times: int) -> None:
        """Below, at or above what was held, or nothing: and again, with another cost, which has no effect."""
        found = self.some(data, "open", "expired", "closed", "parked")
        if found is None:
            return
        call, known = found
        expected = [self.rules.record(known, cost)]
        expected += ["repeated"] * (times - 1)
        log = {"outcome": "ok" if cost else "upstream_error"}
        # After the first, the rest are repeats, whatever they say.
        events = [ledger.CallEvent(call, cost + n * (known.state != "expired"), True, "", log) for n in range(times)]
        assert [answer.status for answer in ledger.record_calls(events)] == expected

    @rule(cost=st.integers(1, 50))
    def an_event_of_no_known_call(self, cost: int) -> None:
        self.count += 1
        event = ledger.CallEvent(uuid7(self.started + self.count), cost, True, "", {})
        assert {answer.status for answer in ledger.record_calls([event, event])} == {"refused"}

    @rule()
    def holds_run_out(self) -> None:
        due = [call for call in self.rules.calls.values() if call.state == "open"]
        assert ledger.expire_holds(at=now() + timedelta(hours=1)) == len(due)
        for call in due:
            self.rules.close(call)
            call.state = "expired"

    @rule()
    def eight_days_pass(self) -> None:
        past = now() - timedelta(days=8)
        Hold.objects.filter(state="expired").update(expires_at=past)
        for call in self.rules.calls.values():
            call.is_old = call.is_old or call.state == "expired"

    @rule(data=st.data(), amount=st.integers(1, 130), whole=st.booleans())
    def refund(self, data: st.DataObject, amount: int, whole: bool) -> None:
        found = self.some(data, "closed")
        if found is None:
            return
        call, known = found
        left = sum(known.draws.values())
        wanted = left if whole else amount
        if not left or wanted > left:
            with pytest.raises(RefundTooHigh):
                refund_call(actor=self.finance, request_id=call, reason="r", amount_nano=None if whole else amount)
            return
        for _time in range(2):
            refund_call(actor=self.finance, request_id=call, reason="r", amount_nano=wanted, key=f"act {self.count}")
        self.count += 1
        self.rules.refund(known, wanted)

    @rule(data=st.data())
    def refund_a_failed_task(self, data: st.DataObject) -> None:
        found = self.some(data, "closed")
        if found is None:
            return
        call, known = found
        left = sum(known.draws.values())
        if known.task_refunded:
            assert refund_failed_task(actor=None, request_id=call, reason="r").status == "repeated"
        elif left:
            assert refund_failed_task(actor=None, request_id=call, reason="r").amount_nano == left
            known.task_refunded = True
            self.rules.refund(known, left)
        else:
            with pytest.raises(RefundTooHigh):
                refund_failed_task(actor=None, request_id=call, reason="r")

    @precondition(lambda self: any(call.state == "parked" for call in self.rules.calls.values()))
    @rule(data=st.data(), settle=st.booleans(), cut=st.integers(0, 20))
    def close_a_late_item(self, data: st.DataObject, settle: bool, cut: int) -> None:
        found = self.some(data, "parked")
        assert found is not None
        call, known = found
        item = DeskItem.objects.get(kind="late", request_id=call)
        if item.state != "open":
            with pytest.raises(DeskItemClosed):
                write_off_desk_item(actor=self.finance, item=item, reason="again")
            return
        charged = max(item.amount_nano - cut, 1) if settle else 0
        lost = item.amount_nano - charged
        if settle:
            settle_desk_item(actor=self.finance, item=item, reason="agreed", amount_nano=charged)
        else:
            write_off_desk_item(actor=self.finance, item=item, reason="too old")
        self.rules.purses[known.owner][1].balance -= charged
        self.rules.house["suspense"] += charged + lost
        self.rules.house["operator_loss"] -= lost
        self.rules.booked += bool(charged) + bool(lost)

    @invariant()
    def both_agree(self) -> None:
        rows = {x.pk: (x.balance_nano, x.held_nano) for x in LedgerAccount.objects.filter(is_purse=True)}
        for owner in range(3):
            found = [rows[account.pk] for account in self.accounts[owner]]
            assert found == [(purse.balance, purse.held) for purse in self.rules.purses[owner]]
        with connection.cursor() as cursor:
            cursor.execute(TOTALS, [list(self.houses.values())])
            booked, open_holds, house = cursor.fetchone()
        assert booked == self.rules.booked
        assert open_holds == sum(call.state == "open" for call in self.rules.calls.values())
        totals = orjson.loads(house or "{}")
        sums = {kind: totals.get(str(pk), 0) for kind, pk in self.houses.items()}
        assert sums == self.rules.house


TOTALS = """
SELECT (SELECT count(*) FROM billing_ledgerentry), (SELECT count(*) FROM billing_hold WHERE state = 'open'), (
    SELECT jsonb_object_agg(x.account, x.total) FROM (
        SELECT y.account, sum(y.amount) AS total FROM (
            SELECT to_account_id AS account, amount_nano AS amount FROM billing_ledgerentry
            UNION ALL SELECT from_account_id, -amount_nano FROM billing_ledgerentry
        ) y WHERE y.account = ANY (%s) GROUP BY y.account
    ) x)
"""


@pytest.mark.slow
@pytest.mark.django_db
def test_whatever_happens_to_money_the_ledger_is_what_the_rules_say() -> None:
    size = settings(
        max_examples=max(STEPS // STEPS_A_RUN, 1),
        stateful_step_count=STEPS_A_RUN,
        # Shrinking a failure takes minutes on a real database; LEDGER_SHRINK=1 asks for it.
        phases=tuple(Phase) if "LEDGER_SHRINK" in os.environ else (Phase.explicit, Phase.generate),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="LEDGER_STEPS" not in os.environ,
    )
    with override_settings(ADJUST_ALONE_USD=1):
        run_state_machine_as_test(Machine, settings=size)


def test_the_model_counts_entries_too() -> None:
    """The oracle itself: a call above its hold, in two purses, is two entries, and a refund gives them back in reverse."""
    rules = Rules()
    rules.purses[0][0].balance, rules.purses[0][1].balance = 10, 20
    call = uuid7()
    assert rules.reserve(call, 0, 15) == "held"
    assert rules.record(rules.calls[call], 40) == "recorded"
    assert ([purse.balance for purse in rules.purses[0]], rules.booked) == ([0, -10, 0], 2)
    rules.refund(rules.calls[call], 35)
    assert ([purse.balance for purse in rules.purses[0]], rules.booked) == ([5, 20, 0], 4)
