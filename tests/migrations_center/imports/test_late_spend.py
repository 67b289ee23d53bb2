"""R027 and R028: what the old side spends after the reading is taken over once, and nothing is spent twice beyond the slack."""

import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import LedgerAccount, LedgerEntry
from billing.services.ledger import CallEvent, ReserveRequest, record_calls, reserve, set_spendable
from config.foundation.ids import uuid7
from gateway.relay.loan import Loan
from migrations_center.models import ImportedRow, ImportRun, LateLog, LateSpend, Plan, Wave, WaveMember
from migrations_center.services import late_spend
from tests.billing.helpers import broken
from tests.migrations_center.imports.support import do_import
from tests.migrations_center.sources.conftest import Build, key, one_api, user

__all__ = ["one_api"]
pytestmark = pytest.mark.django_db
USD = 1_000_000_000
UNITS = 500_000
OLD = "http://old.test"


def log(number: int, units: int) -> dict[str, object]:
    at = int(timezone.now().timestamp()) - 3600 + number
    return {"id": number, "user_id": 1, "type": 2, "quota": units, "created_at": at, "model_name": "gpt-4o", "token_name": "a"}


def ann() -> User:
    return User.objects.get(pk=ImportedRow.objects.get(table="users", row_id=1).target_id)


def switched(build: Build, units: int = UNITS) -> User:
    """A person read with this balance and moved to the new side."""
    do_import(build(users=[user(1, quota=units)], tokens=[key(1, 1)]), old_entry=OLD)
    source = ImportRun.objects.get().source
    wave = Wave.objects.create(plan=Plan.objects.create(name="p", source=source), number=1, name="w", state="observing")
    WaveMember.objects.create(wave=wave, user=ann(), state="switched", switched_at=timezone.now())
    set_spendable(actor=None, user_ids=[ann().pk], origin=f"import:{source.code}", is_spendable=True)
    return ann()


def read_again(build: Build, name: str, units: int, *logs: dict[str, object]) -> dict[str, object]:
    return do_import(build(name=name, users=[user(1, quota=units)], tokens=[key(1, 1)], logs=list(logs)), old_entry=OLD)


def balance(who: User) -> int:
    return LedgerAccount.objects.values_list("balance_nano", flat=True).get(user=who, is_purse=True)


def corrections() -> int:
    return LedgerEntry.objects.filter(kind="opening_correction").count()


def test_R027_spend_after_the_snapshot_is_one_delta_entry_with_the_old_log_ids(one_api: Build) -> None:
    """0.37 spent on the old side after the snapshot; the same logs again: nothing; a late log: a second delta, flagged."""
    who = switched(one_api)
    first, second = log(11, 85_000), log(12, 100_000)
    read_again(one_api, "b.db", UNITS - 185_000, first, second)
    assert balance(who) == USD - 370_000_000
    spend = LateSpend.objects.get()
    assert (spend.amount_nano, spend.log_ids, spend.number, spend.is_flagged) == (370_000_000, [11, 12], 1, False)
    entry = spend.entry
    assert (entry.amount_nano, entry.kind, entry.to_account.kind) == (370_000_000, "opening_correction", "opening_equity")
    assert "11, 12" in entry.reason
    read_again(one_api, "c.db", UNITS - 185_000, first, second)
    assert (corrections(), LateSpend.objects.count(), balance(who)) == (1, 1, USD - 370_000_000)
    read_again(one_api, "d.db", UNITS - 190_000, first, second, log(10, 5_000))
    late = LateSpend.objects.latest("number")
    assert (late.number, late.is_flagged, late.log_ids, late.amount_nano) == (2, True, [10], 10_000_000)
    assert balance(who) == USD - 380_000_000
    assert corrections() == 2
    slack = late_spend.slack_of(Wave.objects.get())
    assert (slack.taken_over_nano, slack.entries, slack.flagged) == (380_000_000, 2, 1)
    assert broken() == {}


def test_R027_a_reading_that_died_before_the_entry_is_finished_by_the_next(
    one_api: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, row = switched(one_api), log(11, 1000)
    with monkeypatch.context() as broken_off:

        def die(**_: object) -> int:
            raise RuntimeError("killed")

        broken_off.setattr(late_spend, "take_over", die)
        with pytest.raises(RuntimeError):
            read_again(one_api, "b.db", UNITS - 1000, row)
    assert LateLog.objects.filter(spend=None).count() == 1
    assert corrections() == 0
    read_again(one_api, "c.db", UNITS - 1000, row)
    assert (corrections(), balance(who)) == (1, USD - 2_000_000)
    assert broken() == {}


@dataclass
class TwoSides:
    """Both entries open, as a model: the new side admits by its purse, readings bring the old side's rows with a delay."""

    opening: int
    spent_new: int = 0
    spent_old: int = 0
    taken_over: int = 0
    on_the_way: list[int] = field(default_factory=list)

    def old_spends(self, amount: int) -> None:
        if self.spent_old + amount <= self.opening:
            self.spent_old += amount

    def read(self) -> None:
        self.on_the_way.append(self.spent_old)

    def reading_arrives(self, place: int) -> None:
        """Readings may arrive late and out of order; a row that is known is not taken over again."""
        if self.on_the_way:
            self.taken_over = max(self.taken_over, self.on_the_way.pop(place % len(self.on_the_way)))

    def new_spends(self, amount: int) -> bool:
        if amount > self.opening - self.spent_new - self.taken_over:
            return False
        self.spent_new += amount
        return True


@dataclass
class Move:
    """A person who moves, as a model: calls on the old side take time, the reading is older than the switch, news is late."""

    balance: int = 100
    spent_old: int = 0
    read_at_spend: int = 0
    in_flight: list[int] = field(default_factory=list)
    is_switched: bool = False
    spent_new: int = 0
    taken_over: int = 0
    slack: int = 0

    @property
    def opening(self) -> int:
        return self.balance - self.read_at_spend

    @property
    def late(self) -> int:
        """Spent on the old side after the reading the purse opened with."""
        return self.spent_old - self.read_at_spend

    def step(self, chance: random.Random) -> None:
        act, amount = chance.choice(("begin", "end", "end", "read", "new", "new", "news")), chance.randint(1, 30)
        if act == "begin" and not self.is_switched and self.spent_old + sum(self.in_flight) + amount <= self.balance:
            self.in_flight.append(amount)
        elif act == "end" and self.in_flight:
            self.spent_old += self.in_flight.pop(chance.randrange(len(self.in_flight)))
        elif act == "read" and not self.is_switched:
            self.read_at_spend = self.spent_old
        elif act == "news" and self.is_switched:
            self.taken_over = chance.randint(self.taken_over, self.late)
        elif act == "new" and self.is_switched and amount <= self.opening - self.spent_new - self.taken_over:
            self.spent_new += amount

    def switch(self) -> None:
        """The routes turn: no new call goes to the old side. What may still be spent twice is known now."""
        self.is_switched, self.slack = True, self.late + sum(self.in_flight)


def play(chance: random.Random) -> int:
    """One interleaving with its delays; gives by how much both sides together went beyond the balance that was read."""
    move, beyond, switch_at = Move(), 0, chance.randint(5, 25)
    for number in range(60):
        if number == switch_at:
            move.switch()
        move.step(chance)
        if move.is_switched:
            beyond = max(beyond, move.late + move.spent_new - move.opening)
            assert move.late + move.spent_new <= move.opening + move.slack
            assert move.spent_new <= move.opening
    return beyond


def test_R028_a_thousand_interleavings_never_spend_beyond_balance_and_slack() -> None:
    """Spent on both sides never above balance + slack, which is known at the switch: the old side's spend since the reading
    and its calls that still run."""
    chance = random.Random(28)
    beyond = [play(chance) for _game in range(1000)]
    assert max(beyond) > 0
    assert beyond.count(0) > 100


@dataclass
class LentMove(Move):
    """The same, with two relays on the new side that lend: calls draw on leases, relays die with calls on them."""

    loans: list[Loan | None] = field(default_factory=lambda: [None, None])
    # Of relays that died: the rest of their leases stays held until it runs out.
    lost: list[Loan] = field(default_factory=list)
    calls: list[tuple[Loan, int]] = field(default_factory=list)
    every: list[Loan] = field(default_factory=list)
    by_itself: int = 0

    @property
    def free(self) -> int:
        held = sum(loan.granted - loan.spent for loan in [*self.loans, *self.lost] if loan is not None)
        return self.opening - self.spent_new - self.taken_over - held

    def step(self, chance: random.Random) -> None:
        if not self.is_switched or chance.random() < 0.3:
            if chance.choice((True, False)) or not self.is_switched:
                self.old_or_news(chance)
            return
        act = chance.choice(("call", "call", "call", "end", "end", "renew", "give back", "die", "run out"))
        relay = chance.randint(0, 1)
        loan, amount = self.loans[relay], chance.randint(1, 12)
        if act == "call":
            self.call(relay, amount)
        elif act == "end" and self.calls:
            on, promised = self.calls.pop(chance.randrange(len(self.calls)))
            cost = chance.randint(0, promised)
            on.end(promised, cost)
            self.spent_new += cost
        elif act == "renew" and loan is not None:
            loan.granted += max(0, min(amount, self.free // 2))
        elif act == "give back" and loan is not None:
            loan.granted = loan.spent + loan.promised
        elif act == "die" and loan is not None:
            self.calls = [(on, promised) for on, promised in self.calls if on is not loan]
            self.lost.append(loan)
            self.loans[relay] = None
        elif act == "run out" and self.lost:
            self.lost.pop()

    def old_or_news(self, chance: random.Random) -> None:
        act, amount = chance.choice(("begin", "end", "read", "news")), chance.randint(1, 30)
        if act == "begin" and not self.is_switched and self.spent_old + sum(self.in_flight) + amount <= self.balance:
            self.in_flight.append(amount)
        elif act == "end" and self.in_flight:
            self.spent_old += self.in_flight.pop(chance.randrange(len(self.in_flight)))
        elif act == "read" and not self.is_switched:
            self.read_at_spend = self.spent_old
        elif act == "news" and self.is_switched:
            self.taken_over = chance.randint(self.taken_over, self.late)

    def call(self, relay: int, amount: int) -> None:
        """Admitted by what the relay has free, else by a new lease, else by a hold of its own, as the relay does it."""
        loan = self.loans[relay]
        if loan is None and self.free // 2 >= amount:
            loan = self.loans[relay] = Loan(uuid7(), (1, False), min(4 * amount, self.free // 2), 0.0, 0.0)
            self.every.append(loan)
        if loan is not None and loan.free >= amount:
            loan.take(amount)
            self.calls.append((loan, amount))
        elif amount <= self.free:
            self.spent_new += amount
            self.by_itself += amount


def test_R028_a_thousand_interleavings_with_relays_that_lend() -> None:
    """With leases too: spent on both sides never above balance + slack, on the new side never above what came over; and
    when every lease has come back, what is held is nothing and both sides tie out."""
    chance, drawn = random.Random(2028), 0
    for _game in range(1000):
        move, switch_at = LentMove(), chance.randint(5, 25)
        for number in range(80):
            if number == switch_at:
                move.switch()
            move.step(chance)
            if move.is_switched:
                promised = sum(amount for _loan, amount in move.calls)
                assert move.late + move.spent_new + promised <= move.opening + move.slack
                assert move.spent_new + promised <= move.opening
                assert all(loan.free >= 0 for loan in move.loans if loan is not None)
        for loan, promised in move.calls:
            loan.end(promised, promised)
            move.spent_new += promised
        from_leases = sum(loan.spent for loan in move.every)
        assert move.spent_new == from_leases + move.by_itself
        drawn += from_leases
    assert drawn > 1000


def test_R028_the_real_purse_keeps_to_the_model(one_api: Build) -> None:
    """Seventy-two steps on the database: the ledger admits exactly what the model admits, late news included."""
    who = switched(one_api)
    source, run, purse = Wave.objects.get().plan.source, ImportRun.objects.latest("created_at"), who.purses.get()
    cents = USD // 100
    sides, chance, row = TwoSides(100), random.Random(7), 0
    for _step in range(72):
        act, amount = chance.choice(("old", "new", "new", "read", "arrive")), chance.randint(1, 9)
        if act == "old":
            sides.old_spends(amount)
        elif act == "read":
            sides.read()
        elif act == "new":
            call = uuid7()
            wish = ReserveRequest(call, who.pk, None, None, amount * cents, timezone.now() + timedelta(minutes=5))
            is_held = reserve([wish])[0].status == "held"
            assert is_held == sides.new_spends(amount)
            if is_held:
                record_calls([CallEvent(call, amount * cents, True, "", {"user_id": who.pk, "outcome": "ok"})])
        else:
            before = sides.taken_over
            sides.reading_arrives(chance.randint(0, 9))
            if sides.taken_over > before:
                row += 1
                nano = (sides.taken_over - before) * cents
                LateLog.objects.create(
                    source=source, user=who, call_id=uuid7(), row_id=row, units=nano // 2000, amount_nano=nano
                )
                assert late_spend.take_over(source=source, run=run) == 1
        purse.refresh_from_db()
        assert purse.balance_nano == (100 - sides.spent_new - sides.taken_over) * cents
    assert sides.taken_over > 0
    assert sides.spent_new > 0
    assert broken() == {}
