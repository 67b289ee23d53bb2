"""Steps with leases for the state machine of the ledger: lend, spend, renew, give back, run out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.services import leases, ledger
from config.foundation.clock import now
from config.foundation.ids import uuid7
from keys.models import ApiKey


@dataclass
class Lent:
    """A lease as the rules see it: of one owner's purse at a place."""

    owner: int
    place: int
    granted: int
    spent: int = 0
    is_open: bool = True

    @property
    def rest(self) -> int:
        return self.granted - self.spent


class LeaseSteps:
    """Mixed into the machine, which has ``rules``, ``people`` and ``team``."""

    rules: Any
    people: list[Any]
    team: Any
    count: int
    started: int
    lent: dict[UUID, Lent]

    def begin_lending(self) -> None:
        owners: tuple[dict[str, Any], ...] = ({"owner": self.people[0]}, {"owner": self.people[1]}, {"team": self.team})
        self.keys = [ApiKey.objects.create(name="lends", **owner) for owner in owners]
        self.lent = {}

    def may_lend(self, owner: int) -> tuple[int, int | None, int]:
        """What an owner has free in all, the first purse with money, and the most that may be lent of it."""
        free = [purse.free for purse in self.rules.purses[owner][:2]]
        place = next((n for n, amount in enumerate(free) if amount > 0), None)
        share = max(sum(free) * settings.LEASE_SHARE_PERCENT // 100, 0)
        return sum(free), place, 0 if place is None else min(free[place], share)

    def give_back(self, lent: Lent) -> None:
        self.rules.purses[lent.owner][lent.place].held -= lent.rest
        lent.is_open = False

    def one_lease(self, data: st.DataObject) -> tuple[UUID, Lent] | None:
        return data.draw(st.sampled_from(sorted(self.lent.items()))) if self.lent else None

    @rule(owner=st.integers(0, 2), wanted=st.integers(1, 80), least=st.integers(1, 20))
    def lend(self, owner: int, wanted: int, least: int) -> None:
        wanted = max(wanted, least)
        available, place, most = self.may_lend(owner)
        amount = min(wanted, most)
        lease = uuid7()
        wish = leases.LeaseRequest(lease, "relay", self.keys[owner].pk, wanted, least)
        first, again = (leases.open_leases([wish])[0] for _time in range(2))
        if amount < least:
            assert first.status == again.status == ("no_balance" if available < least else "per_call")
            return
        assert place is not None
        assert (first.status, again.status, first.granted_nano, again.granted_nano) == ("open", "repeated", amount, amount)
        self.rules.purses[owner][place].held += amount
        self.lent[lease] = Lent(owner, place, amount)

    @rule(data=st.data(), total=st.integers(0, 150))
    def renew(self, data: st.DataObject, total: int) -> None:
        found = self.one_lease(data)
        if found is None:
            return
        lease, lent = found
        _available, place, most = self.may_lend(lent.owner)
        answers = [leases.renew_leases([leases.LeaseRenewal(lease, "relay", total)])[0] for _time in range(2)]
        if not lent.is_open:
            assert answers[0].status == "closed"
            return
        is_over = place is not None and place < lent.place
        change = max(total, lent.spent) - lent.granted
        if change > 0:
            change = min(change, most) if place == lent.place else 0
        lent.granted += change
        self.rules.purses[lent.owner][lent.place].held += change
        assert (answers[0].status, answers[0].granted_nano) == ("stopped" if is_over else "renewed", lent.granted)
        # The second time it may get a share of what the first one left.
        more = answers[1].granted_nano - lent.granted
        assert 0 <= more <= max(total - lent.granted, 0)
        lent.granted += more
        self.rules.purses[lent.owner][lent.place].held += more

    @rule(data=st.data(), promised=st.integers(0, 60), cost=st.integers(0, 90), times=st.integers(1, 2))
    def a_call_ends_on_a_lease(self, data: st.DataObject, promised: int, cost: int, times: int) -> None:
        """Within its promise or beyond it, on a lease that is open or over; and again, which has no effect."""
        found = self.one_lease(data)
        if found is None:
            return
        lease, lent = found
        self.count += 1
        call = uuid7(self.started + self.count)
        part = min(cost, promised, lent.rest) if lent.is_open else 0
        known = self.rules.a_call(lent.owner, part, {lent.place: part} if part else {}, "open" if lent.is_open else "expired")
        self.rules.calls[call] = known
        lent.spent += part
        expected = [self.rules.record(known, cost)] + ["repeated"] * (times - 1)
        key = self.keys[lent.owner]
        log = {"outcome": "ok" if cost else "upstream_error", "key_id": key.pk, "held_nano": promised}
        events = [ledger.CallEvent(call, cost, True, "", log, lease, promised) for _time in range(times)]
        assert [answer.status for answer in ledger.record_calls(events)] == expected

    @rule(data=st.data())
    def give_a_lease_back(self, data: st.DataObject) -> None:
        found = self.one_lease(data)
        if found is None:
            return
        lease, lent = found
        first, again = (leases.close_leases(source="relay", lease_ids=[lease])[0] for _time in range(2))
        expected = ("closed", lent.rest) if lent.is_open else ("repeated", 0)
        assert ((first.status, first.returned_nano), again.status) == (expected, "repeated")
        if lent.is_open:
            self.give_back(lent)

    @rule()
    def leases_run_out(self) -> None:
        due = [lent for lent in self.lent.values() if lent.is_open]
        assert leases.expire_leases(at=now() + timedelta(hours=1)) == len(due)
        for lent in due:
            self.give_back(lent)
