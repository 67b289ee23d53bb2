"""The ledger against a model of it in memory: whatever happens in whatever order, both agree on every figure."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from billing.models import Hold, LedgerAccount, LedgerEntry, RedemptionCode, RequestLog
from billing.services import budgets, codes, ledger, usage
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.secrets import digest_of
from tests.billing.helpers import broken, counted, end, key_of, person, wants

AMOUNTS = st.integers(0, 120)


@dataclass
class Purse:
    balance: int = 0
    held: int = 0
    spendable: bool = True
    credit: int = 0

    @property
    def free(self) -> int:
        return self.balance - self.held + self.credit if self.spendable else 0


@dataclass
class Call:
    amount: int
    parts: dict[int, int]
    state: str = "open"
    cost: int = 0


@dataclass
class Model:
    """Purses in the order they are drawn, and the calls."""

    purses: list[Purse]
    limit: int
    spent: int = 0
    calls: dict[UUID, Call] = field(default_factory=dict)

    @property
    def key_held(self) -> int:
        return sum(call.amount for call in self.calls.values() if call.state == "open")

    @property
    def available(self) -> int:
        return sum(purse.free for purse in self.purses)

    def reserve(self, call: UUID, amount: int) -> tuple[str, int]:
        room = self.limit - self.spent - self.key_held
        if room < amount:
            return "key_limit", room
        if self.available < amount:
            return "no_balance", self.available
        parts, wanted = {}, amount
        for place, purse in enumerate(self.purses):
            part = min(max(purse.free, 0), wanted)
            if part:
                parts[place] = part
                purse.held += part
                wanted -= part
        self.calls[call] = Call(amount, parts)
        return "held", self.available

    def close(self, call: Call) -> None:
        for place, part in call.parts.items():
            self.purses[place].held -= part

    def record(self, call: Call, cost: int) -> str:
        if call.state not in {"open", "expired"}:
            return "repeated"
        parts = dict(call.parts) if call.state == "open" else {}
        answer = "recorded" if call.state == "open" else "late"
        if call.state == "open":
            self.close(call)
        draws, wanted = dict.fromkeys(range(len(self.purses)), 0), cost
        for place, part in parts.items():
            draws[place] = min(part, wanted)
            wanted -= draws[place]
        for place, purse in enumerate(self.purses):
            extra = min(max(purse.free - draws[place], 0), wanted) if purse.spendable else 0
            draws[place] += extra
            wanted -= extra
        if wanted:
            draws[self.debtor(call)] += wanted
        for place, draw in draws.items():
            self.purses[place].balance -= draw
        self.spent += cost
        call.state, call.cost = "closed", cost
        return answer

    def debtor(self, call: Call) -> int:
        order = [(purse.spendable, place in call.parts, place) for place, purse in enumerate(self.purses)]
        return max(order)[2]


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scope = transaction.atomic()
        self.scope.__enter__()
        self.user = person()
        self.key = key_of(self.user)
        budgets.set_key_limit(actor=None, key=self.key, limit_nano=900)
        kinds = (("bonus", ""), ("prepaid", "import:one"), ("prepaid", ""))
        self.accounts = [ledger.purse_for(user=self.user, kind=kind, origin=origin) for kind, origin in kinds]
        self.model = Model([Purse() for _ in kinds], 900)
        self.code_count = 0
        self.call_count = 0
        self.started = int(now().timestamp() * 1000)
        # Purses of one kind are drawn by age.
        assert [x.pk for x in sorted(self.accounts, key=lambda x: (x.priority, x.pk))] == [x.pk for x in self.accounts]

    def teardown(self) -> None:
        try:
            usage.fold_usage(7)
            assert broken() == {}
            today = now().date()
            usage.recount(today - timedelta(days=1), today)
            assert broken() == {}
        finally:
            transaction.set_rollback(True)
            self.scope.__exit__(None, None, None)

    def wants(self, amount: int) -> ledger.ReserveRequest:
        # Ids that rise, or their order within a millisecond, and with it the outcome, would be a matter of chance.
        self.call_count += 1
        call = uuid7(self.started + self.call_count)
        return wants(self.user, amount, key=self.key, call=call)

    @rule(place=st.integers(0, 2), amount=st.integers(1, 300))
    def top_up(self, place: int, amount: int) -> None:
        cash = ledger.house_account("cash").pk
        posting = ledger.Posting(uuid7(), "top_up", cash, self.accounts[place].pk, amount)
        assert [ledger.post_entries([posting])[0].status for _ in range(2)] == ["posted", "repeated"]
        self.model.purses[place].balance += amount

    @rule(amount=st.integers(1, 50))
    def redeem(self, amount: int) -> None:
        self.code_count += 1
        bare = f"code-{self.code_count}"
        digest = digest_of(bare)
        owed, equity = ledger.house_account("code_liability").pk, ledger.house_account("opening_equity").pk
        ledger.post_entries([ledger.Posting(uuid7(), "opening", equity, owed, amount)])
        RedemptionCode.objects.create(
            digest=digest.digest, pepper_number=digest.pepper_number, tail=digest.tail, amount_nano=amount
        )
        assert codes.redeem_code(actor=self.user, presented=bare).amount_nano == amount
        with pytest.raises(codes.CodeNotUsable):
            codes.redeem_code(actor=self.user, presented=bare)
        self.model.purses[2].balance += amount

    @rule(spendable=st.booleans())
    def open_or_close_the_old_purse(self, spendable: bool) -> None:
        ledger.set_spendable(actor=None, user_ids=[self.user.pk], origin="import:one", is_spendable=spendable)
        self.model.purses[1].spendable = spendable

    @rule(credit=st.sampled_from([0, 40]))
    def give_credit(self, credit: int) -> None:
        purse = self.model.purses[2]
        if credit < purse.credit and purse.balance - purse.held + credit < 0:
            return
        LedgerAccount.objects.filter(pk=self.accounts[2].pk).update(
            credit_limit_nano=credit, floor_nano=min(-credit, purse.balance - purse.held)
        )
        purse.credit = credit

    @rule(amount=AMOUNTS)
    def reserve(self, amount: int) -> None:
        request = self.wants(amount)
        expected = self.model.reserve(request.request_id, amount)
        (answer,) = ledger.reserve([request])
        assert (answer.status, answer.available_nano) == expected
        if answer.status == "held":
            assert ledger.reserve([request])[0].status == "repeated"

    @rule(amounts=st.lists(AMOUNTS, min_size=2, max_size=5))
    def reserve_in_a_batch(self, amounts: list[int]) -> None:
        requests = [self.wants(amount) for amount in amounts]
        expected = [self.model.reserve(request.request_id, request.amount_nano) for request in requests]
        assert [(x.status, x.available_nano) for x in ledger.reserve(requests)] == expected

    @precondition(lambda self: self.model.calls)
    @rule(data=st.data(), cost=AMOUNTS)
    def record(self, data: st.DataObject, cost: int) -> None:
        call = data.draw(st.sampled_from(list(self.model.calls)))
        expected = self.model.record(self.model.calls[call], cost)
        outcome = "ok" if cost else "upstream_error"
        answer = end(call, cost, user_id=self.user.pk, key_id=self.key.pk, billed_model=f"m{cost % 3}", outcome=outcome)
        assert answer.status == expected
        assert end(call, cost + 1).status == "repeated"

    @precondition(lambda self: self.model.calls)
    @rule(data=st.data(), costs=st.lists(AMOUNTS, min_size=2, max_size=6))
    def record_in_a_batch(self, data: st.DataObject, costs: list[int]) -> None:
        calls = [data.draw(st.sampled_from(list(self.model.calls))) for _ in costs]
        covered, spread = [], []
        for call, cost in zip(calls, costs, strict=True):
            known = self.model.calls[call]
            simple = known.state == "open" and len(known.parts) == 1 and cost <= known.amount
            (covered if simple else spread).append((call, cost))
        # Calls that their hold covers are charged before the others of the batch, so the model takes them in that order.
        if len({call for call, _cost in covered + spread}) < len(calls):
            return
        expected = {call: self.model.record(self.model.calls[call], cost) for call, cost in covered + spread}
        events = [ledger.CallEvent(call, cost, True, "", {}) for call, cost in zip(calls, costs, strict=True)]
        assert [x.status for x in ledger.record_calls(events)] == [expected[call] for call in calls]

    @rule()
    def all_holds_run_out(self) -> None:
        due = [call for call in self.model.calls.values() if call.state == "open"]
        assert ledger.expire_holds(at=now() + timedelta(hours=1)) == len(due)
        for call in due:
            self.model.close(call)
            call.state = "expired"

    @invariant()
    def both_agree(self) -> None:
        rows = {x.pk: x for x in LedgerAccount.objects.filter(user=self.user)}
        found = [(rows[x.pk].balance_nano, rows[x.pk].held_nano) for x in self.accounts]
        assert found == [(purse.balance, purse.held) for purse in self.model.purses]
        assert counted(key=self.key) == (self.model.spent, self.model.key_held)
        assert Hold.objects.filter(state="open").count() == sum(x.state == "open" for x in self.model.calls.values())
        charged = sum(LedgerEntry.objects.filter(kind="charge").values_list("amount_nano", flat=True))
        logged = sum(RequestLog.objects.values_list("cost_nano", flat=True))
        assert charged == logged == sum(call.cost for call in self.model.calls.values())


@pytest.mark.django_db
def test_the_ledger_agrees_with_its_model() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
        ),
    )
